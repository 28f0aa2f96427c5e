//! The CPU quota of a cgroup, of version 1 or 2: the time that its processes may run in each period.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;

/// The kernel's smallest quota, in microseconds.
const SMALLEST: u64 = 1_000;
/// The file of version 2, which has both numbers.
const MAX: &str = "cpu.max";
/// The files of version 1.
const QUOTA: &str = "cpu.cfs_quota_us";
const PERIOD: &str = "cpu.cfs_period_us";

/// A quota and its period in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CpuQuota {
    /// `None`: no limit.
    quota: Option<u64>,
    period: u64,
}

impl CpuQuota {
    /// The quota of a group; `None` where its hierarchy does not limit processor time.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub(super) fn read(group: &Path) -> io::Result<Option<Self>> {
        let read = |file: &str| match fs::read_to_string(group.join(file)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            text => text.map(Some),
        };
        let text = match read(MAX)? {
            Some(text) => text,
            None => match (read(QUOTA)?, read(PERIOD)?) {
                (Some(quota), Some(period)) => format!("{} {}", quota.trim(), period.trim()),
                _ => return Ok(None),
            },
        };
        text.trim().replace(' ', ".").parse().map(Some).map_err(|()| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// Gives it to a group. The period must be the group's own.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn write(self, group: &Path) -> io::Result<()> {
        let max = group.join(MAX);
        if max.exists() {
            let quota = self.quota.map_or_else(|| "max".to_owned(), |quota| quota.to_string());
            return fs::write(max, format!("{quota} {}", self.period));
        }
        fs::write(group.join(QUOTA), self.quota.map_or_else(|| "-1".to_owned(), |quota| quota.to_string()))
    }

    /// This percentage of one CPU in the same period; `None` if that would not lower the quota.
    pub(super) fn lowered_to(self, percent: u8) -> Option<Self> {
        let quota = (self.period * u64::from(percent) / 100).max(SMALLEST);
        self.quota.is_none_or(|limit| quota < limit).then_some(Self { quota: Some(quota), ..self })
    }
}

/// "max.100000", as a part of the name of a group.
impl fmt::Display for CpuQuota {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.quota {
            Some(quota) => write!(formatter, "{quota}.{}", self.period),
            None => write!(formatter, "max.{}", self.period),
        }
    }
}

impl FromStr for CpuQuota {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (quota, period) = text.split_once('.').ok_or(())?;
        let quota = match quota {
            "max" | "-1" => None,
            quota => Some(quota.parse().map_err(drop)?),
        };
        Ok(Self { quota, period: period.parse().map_err(drop)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(files: &[(&str, &str)]) -> tempfile::TempDir {
        let group = tempfile::tempdir().unwrap();
        for (file, text) in files {
            fs::write(group.path().join(file), text).unwrap();
        }
        group
    }

    #[test]
    fn both_versions_are_read_lowered_and_restored() {
        let two = group(&[(MAX, "max 100000\n")]);
        let one = group(&[(QUOTA, "-1\n"), (PERIOD, "100000\n")]);
        for (group, file, lowered, restored) in
            [(&two, MAX, "10000 100000", "max 100000"), (&one, QUOTA, "10000", "-1")]
        {
            let before = CpuQuota::read(group.path()).unwrap().unwrap();
            before.lowered_to(10).unwrap().write(group.path()).unwrap();
            let text = || fs::read_to_string(group.path().join(file)).unwrap();
            assert_eq!(text(), lowered);
            before.to_string().parse::<CpuQuota>().unwrap().write(group.path()).unwrap();
            assert_eq!(text(), restored);
        }
        let none = group(&[("memory.max", "max\n")]);
        assert_eq!(CpuQuota::read(none.path()).unwrap(), None);
        let bad = group(&[(MAX, "much 100000\n")]);
        assert!(CpuQuota::read(bad.path()).is_err());
    }

    #[test]
    fn a_limit_that_is_lower_already_is_kept() {
        let quota = |text: &str| text.parse::<CpuQuota>().unwrap();
        assert_eq!(quota("50000.100000").lowered_to(10), Some(quota("10000.100000")));
        assert_eq!(quota("max.50000").lowered_to(10), Some(quota("5000.50000")));
        assert_eq!(quota("10000.100000").lowered_to(10), None);
        assert_eq!(quota("max.10000").lowered_to(1), Some(quota("1000.10000")), "the kernel's smallest");
        for bad in ["", "max", "5", "x.5", "5.x"] {
            assert!(bad.parse::<CpuQuota>().is_err(), "{bad:?}");
        }
    }
}
