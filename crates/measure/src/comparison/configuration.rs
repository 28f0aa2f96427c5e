//! What differs between runs, and the names that follow from it.

use serde::{Deserialize, Serialize};

use crate::{Measurement, Mode};

/// What the rounds of a comparison have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// How many pods, where that is known.
    pub replicas: Option<u32>,
    /// How requests reached them, where that is known.
    pub mode: Option<Mode>,
}

impl Configuration {
    /// The configuration of a run.
    #[must_use]
    pub fn of(run: &Measurement) -> Self {
        Self { replicas: run.replicas, mode: run.mode }
    }
}

/// How configurations are named: by what they differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Naming {
    /// Whether their modes differ.
    pub modes: bool,
    /// Whether their numbers of pods do.
    pub replicas: bool,
}

impl Naming {
    /// The names for these configurations.
    #[must_use]
    pub fn of(configurations: impl IntoIterator<Item = Configuration>) -> Self {
        let configurations: Vec<Configuration> = configurations.into_iter().collect();
        let differ = |same: fn(&Configuration, &Configuration) -> bool| {
            configurations.iter().any(|configuration| !same(configuration, &configurations[0]))
        };
        Self { modes: differ(|a, b| a.mode == b.mode), replicas: differ(|a, b| a.replicas == b.replicas) }
    }

    /// "10 pods"; "client" where they differ in their modes alone; "client, 10 pods" where they differ in both.
    #[must_use]
    pub fn name(self, configuration: Configuration) -> String {
        self.joined(configuration, pods(configuration.replicas))
    }

    /// A short name for use after another one: "10", "client".
    #[must_use]
    pub fn short(self, configuration: Configuration) -> String {
        let than = configuration.replicas.map_or_else(|| "the first".to_owned(), |replicas| replicas.to_string());
        self.joined(configuration, than)
    }

    fn joined(self, configuration: Configuration, pods: String) -> String {
        let mode = configuration.mode.map_or("another way", Mode::name);
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
    fn configurations_are_called_by_what_they_differ_in() {
        let configuration = |replicas, mode| Configuration { replicas: Some(replicas), mode: Some(mode) };
        let name =
            |configurations: &[Configuration]| Naming::of(configurations.iter().copied()).name(configurations[0]);
        let one = configuration(1, Mode::Client);
        assert_eq!(name(&[one]), "1 pod");
        assert_eq!(name(&[one, configuration(2, Mode::Client)]), "1 pod");
        assert_eq!(name(&[one, configuration(1, Mode::Keepalive)]), "client");
        assert_eq!(name(&[one, configuration(2, Mode::Keepalive)]), "client, 1 pod");
    }
}
