//! The directory of a module in the cache: made under a temporary name, and renamed when it is complete.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::find::is_executable;
use super::module::{Module, Pins};
use super::program::Program;
use super::release::Release;
use super::{on_thread, version};
use crate::io_error::IoError;
use crate::progress::Step;
use crate::shutdown::{self, Shutdown};
use crate::toolbox::ToolboxError;

/// Waits until no other process builds or imports the module. The lock is released when the file is closed.
pub(super) async fn lock(root: &Path, module: Module, step: &Step, shutdown: &Shutdown) -> Result<File, ToolboxError> {
    let path = root.join(format!(".{module}.lock"));
    let failed = |source| IoError::file("lock", &path, source);
    let file = File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(fs::TryLockError::WouldBlock) => step.detail("waiting for another evenkeel that builds or imports it"),
        Err(fs::TryLockError::Error(source)) => return Err(failed(source).into()),
    }
    let locked = on_thread(move || file.lock().map(|()| file));
    Ok(shutdown::unless(shutdown, locked).await??.map_err(failed)?)
}

/// Checks that all programs of a module are in `bin` and have a suitable version.
pub(super) async fn check(module: Module, bin: &Path) -> Result<(), String> {
    for program in Program::of_module(module) {
        let path = bin.join(program.name());
        if !is_executable(&path) {
            return Err(format!("{program} is missing"));
        }
        if let Some(why) = version::judge(program, &version::ask(program, &path).await, Release::pinned()) {
            return Err(format!("{program} {why}"));
        }
    }
    Ok(())
}

/// The prefix of the temporary directories of a module.
fn unfinished(module: Module) -> String {
    format!(".unfinished-{module}-")
}

/// Removes the directories of killed builds and imports; the caller must hold the lock. Failures do no harm.
pub(super) fn remove_leftovers(root: &Path, module: Module) {
    let entries = fs::read_dir(root).into_iter().flatten().filter_map(Result::ok);
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&unfinished(module))) {
        let _ = fs::remove_dir_all(entry.path());
    }
}

/// The temporary directory of a module. It is removed when it is dropped before [`UnfinishedModule::move_to`].
pub(super) struct UnfinishedModule(PathBuf);

impl UnfinishedModule {
    /// Makes it, with the pins and without programs.
    pub(super) fn new(pins: &Pins, root: &Path) -> Result<Self, ToolboxError> {
        let directory = Self(root.join(format!("{}{}", unfinished(pins.module), std::process::id())));
        let fill = || {
            fs::create_dir(&directory.0)?;
            fs::create_dir(directory.bin())?;
            fs::create_dir(directory.scratch())?;
            fs::write(directory.0.join("go.mod"), &*pins.go_mod)?;
            fs::write(directory.0.join("go.sum"), &*pins.go_sum)
        };
        fill().map_err(|source| IoError::file("make", &directory.0, source))?;
        Ok(directory)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn bin(&self) -> PathBuf {
        self.0.join("bin")
    }

    /// For Go's temporary files, so that they are removed too when Go is killed.
    fn scratch(&self) -> PathBuf {
        self.0.join("tmp")
    }

    /// Moves it to `place`, replacing a damaged module.
    pub(super) fn move_to(self, place: &Path) -> Result<(), IoError> {
        let mut damaged = self.0.clone();
        damaged.set_extension("damaged");
        let moved = || {
            fs::remove_dir_all(self.scratch())?;
            if place.exists() {
                fs::rename(place, &damaged)?;
                fs::remove_dir_all(&damaged)?;
            }
            fs::rename(&self.0, place)
        };
        moved().map_err(|source| IoError::file("make", place, source))
    }
}

impl Drop for UnfinishedModule {
    fn drop(&mut self) {
        // If this fails, the next build or import removes it.
        let _ = fs::remove_dir_all(&self.0);
    }
}
