//! What sets runs apart, and how they are called by it.

use serde::{Deserialize, Serialize};

use crate::{Measurement, Mode};

/// What rounds of one case have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// How many pods, where that is known.
    pub replicas: Option<u32>,
    /// How requests reached them, where that is known.
    pub mode: Option<Mode>,
}

impl Kind {
    /// A run's.
    #[must_use]
    pub fn of(run: &Measurement) -> Self {
        Self { replicas: run.replicas, mode: run.mode }
    }
}

/// How kinds are called beside each other: by what they differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Naming {
    /// Whether their modes differ.
    pub modes: bool,
    /// Whether their numbers of pods do.
    pub replicas: bool,
}

impl Naming {
    /// For these.
    #[must_use]
    pub fn of(kinds: impl IntoIterator<Item = Kind>) -> Self {
        let kinds: Vec<Kind> = kinds.into_iter().collect();
        let differ = |same: fn(&Kind, &Kind) -> bool| kinds.iter().any(|kind| !same(kind, &kinds[0]));
        Self { modes: differ(|a, b| a.mode == b.mode), replicas: differ(|a, b| a.replicas == b.replicas) }
    }

    /// "10 pods"; "client" where they differ in their modes alone; "client, 10 pods" where they differ in both.
    #[must_use]
    pub fn name(self, kind: Kind) -> String {
        self.joined(kind, pods(kind.replicas))
    }

    /// The same after another name: "10", "client".
    #[must_use]
    pub fn short(self, kind: Kind) -> String {
        let than = kind.replicas.map_or_else(|| "the first".to_owned(), |replicas| replicas.to_string());
        self.joined(kind, than)
    }

    fn joined(self, kind: Kind, pods: String) -> String {
        let mode = kind.mode.map_or("another way", Mode::name);
        match (self.modes, self.replicas) {
            (false, _) => pods,
            (true, false) => mode.to_owned(),
            (true, true) => format!("{mode}, {pods}"),
        }
    }
}

/// "10 pods", "1 pod".
fn pods(replicas: Option<u32>) -> String {
    match replicas {
        None => "an unknown number of pods".to_owned(),
        Some(1) => "1 pod".to_owned(),
        Some(replicas) => format!("{replicas} pods"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_called_by_what_they_differ_in() {
        let kind = |replicas, mode| Kind { replicas: Some(replicas), mode: Some(mode) };
        let name = |kinds: &[Kind]| Naming::of(kinds.iter().copied()).name(kinds[0]);
        let one = kind(1, Mode::Client);
        assert_eq!(name(&[one]), "1 pod");
        assert_eq!(name(&[one, kind(2, Mode::Client)]), "1 pod");
        assert_eq!(name(&[one, kind(1, Mode::Keepalive)]), "client");
        assert_eq!(name(&[one, kind(2, Mode::Keepalive)]), "client, 1 pod");
    }
}
