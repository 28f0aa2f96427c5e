//! Versions of programs, as the programs report them.

use std::fmt;

/// Major, minor and patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// The leading numbers of a word: `v1.36.3`, `go1.26.8`, `1.6.20~ds1`, `2.0`. A single number is not a version.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.strip_prefix('v').or_else(|| word.strip_prefix("go")).unwrap_or(word);
        let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
        let mut numbers = word[..end].split('.').map(str::parse::<u32>);
        let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some(Self(major, minor, numbers.next().and_then(Result::ok).unwrap_or(0)))
    }

    /// The first word that is a version.
    #[must_use]
    pub fn in_text(text: &str) -> Option<Self> {
        text.split_whitespace().find_map(Self::parse)
    }
}

/// The patch is left out if it is 0: a program in version 1.21.0 is one of 1.21.
impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(major, minor, 0) => write!(formatter, "{major}.{minor}"),
            Self(major, minor, patch) => write!(formatter, "{major}.{minor}.{patch}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_report() {
        let answers = [
            ("cargo 1.95.0 (f2d3ce0bd 2026-03-21)", Some(Version(1, 95, 0))),
            ("go version go1.26.8 linux/amd64", Some(Version(1, 26, 8))),
            ("go version devel +a1b2c3 linux/amd64", None),
            ("containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u1", Some(Version(1, 6, 20))),
            ("Kubernetes v1.36.3", Some(Version(1, 36, 3))),
            ("version 3", None),
        ];
        for (answer, version) in answers {
            assert_eq!(Version::in_text(answer), version, "{answer}");
        }
    }

    #[test]
    fn versions_are_ordered_by_number() {
        assert!(Version(1, 9, 0) < Version(1, 21, 0));
        assert_eq!(Version(1, 21, 0).to_string(), "1.21");
        assert_eq!(Version(1, 0, 1).to_string(), "1.0.1");
    }
}
