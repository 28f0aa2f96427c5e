//! The AppArmor profile of the lab's containers. Where AppArmor is on, containerd loads it into the machine's kernel, and
//! leaves it there.
//!
//! Other programs on the machine, such as its own containerd, may use a profile of the same name. So a lab removes it
//! only if it was not loaded before the lab, and if no process uses it now.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::lock;
use crate::cluster::ClusterError;
use crate::config::LabName;
use crate::io_error::IoError;

/// The profile's name, which is fixed in containerd.
const PROFILE: &str = "cri-containerd.apparmor.d";
/// The kernel's interface to AppArmor.
const INTERFACE: &str = "/sys/kernel/security/apparmor";

/// Notes that the profile is not loaded yet, so that [`unload`] removes it later. The note is a file with a fixed name
/// outside the state directory, so that `down` needs no state.
///
/// # Errors
/// [`ClusterError::Io`] when the note cannot be written.
pub(super) fn note_absence(lab: &LabName) -> Result<(), ClusterError> {
    note_absence_in(Path::new(INTERFACE), &note(lab))
}

/// Removes the profile if a lab loaded it; the lab's processes must have ended.
///
/// # Errors
/// [`ClusterError::Io`] when the kernel refuses, or when the note cannot be removed.
pub(super) fn unload(lab: &LabName) -> Result<(), IoError> {
    unload_from(Path::new(INTERFACE), &note(lab), is_used)
}

fn note(lab: &LabName) -> PathBuf {
    Path::new(lock::DIRECTORY).join(format!("evenkeel-{lab}.apparmor"))
}

fn note_absence_in(interface: &Path, note: &Path) -> Result<(), ClusterError> {
    if is_loaded(interface) == Some(false) {
        fs::write(note, "").map_err(|source| IoError::file("write", note, source))?;
    }
    Ok(())
}

fn unload_from(interface: &Path, note: &Path, is_used: impl Fn() -> bool) -> Result<(), IoError> {
    if !note.exists() {
        return Ok(());
    }
    if is_loaded(interface) == Some(true) && !is_used() {
        let remove = interface.join(".remove");
        // The kernel takes the name as it is written: one write, without a newline.
        let removed =
            OpenOptions::new().write(true).open(&remove).and_then(|mut file| file.write_all(PROFILE.as_bytes()));
        removed.map_err(|source| IoError::new(format!("remove the AppArmor profile {PROFILE}"), source))?;
    }
    match fs::remove_file(note) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(IoError::file("remove", note, source)),
        _ => Ok(()),
    }
}

/// Whether the profile is loaded; `None` where the kernel has no AppArmor.
fn is_loaded(interface: &Path) -> Option<bool> {
    let profiles = fs::read_to_string(interface.join("profiles")).ok()?;
    Some(profiles.lines().any(|line| line.split(" (").next() == Some(PROFILE)))
}

/// Whether the profile confines any process of the machine.
fn is_used() -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let confinement = |process: &Path| {
        let files = ["attr/apparmor/current", "attr/current"].map(|file| process.join(file));
        files.iter().find_map(|file| fs::read_to_string(file).ok()).unwrap_or_default()
    };
    processes.into_iter().any(|process| confinement(&process.path()).contains(PROFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHERS: &str = "docker-default (enforce)\n/usr/sbin/ntpd (enforce)\n";

    struct Kernel(tempfile::TempDir);

    impl Kernel {
        fn with(profiles: &str) -> Self {
            let kernel = Self(tempfile::tempdir().unwrap());
            fs::write(kernel.interface().join(".remove"), "").unwrap();
            kernel.load(profiles);
            kernel
        }

        fn load(&self, profiles: &str) {
            fs::write(self.interface().join("profiles"), profiles).unwrap();
        }

        fn interface(&self) -> &Path {
            self.0.path()
        }

        fn note(&self) -> PathBuf {
            self.interface().join("note")
        }

        fn removed(&self) -> String {
            fs::read_to_string(self.interface().join(".remove")).unwrap()
        }
    }

    #[test]
    fn a_profile_that_the_lab_loaded_is_removed() {
        let kernel = Kernel::with(OTHERS);
        note_absence_in(kernel.interface(), &kernel.note()).unwrap();
        kernel.load(&format!("{OTHERS}{PROFILE} (enforce)\n"));
        unload_from(kernel.interface(), &kernel.note(), || false).unwrap();
        assert_eq!(kernel.removed(), PROFILE);
        assert!(!kernel.note().exists());
    }

    #[test]
    fn a_profile_that_was_there_or_is_used_by_others_stays() {
        let loaded = format!("{OTHERS}{PROFILE} (enforce)\n");
        let kernel = Kernel::with(&loaded);
        note_absence_in(kernel.interface(), &kernel.note()).unwrap();
        unload_from(kernel.interface(), &kernel.note(), || false).unwrap();
        assert_eq!(kernel.removed(), "");

        let kernel = Kernel::with(OTHERS);
        note_absence_in(kernel.interface(), &kernel.note()).unwrap();
        kernel.load(&loaded);
        unload_from(kernel.interface(), &kernel.note(), || true).unwrap();
        assert_eq!(kernel.removed(), "");
        assert!(!kernel.note().exists());
    }

    #[test]
    fn a_kernel_without_apparmor_has_nothing_to_note() {
        let nowhere = tempfile::tempdir().unwrap();
        let note = nowhere.path().join("note");
        note_absence_in(&nowhere.path().join("apparmor"), &note).unwrap();
        assert!(!note.exists());
        unload_from(&nowhere.path().join("apparmor"), &note, || false).unwrap();
    }
}
