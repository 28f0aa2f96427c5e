//! Writes the archive.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};

use super::manifest::{ArchivedFile, ArchivedModule, NAME, ToolboxManifest, file_of, hex, paths};
use super::{CHUNK, Pace};
use crate::io_error::IoError;
use crate::progress::Progress;
use crate::shutdown::{Interrupted, Shutdown};
use crate::toolbox::ToolboxError;
use crate::toolbox::module::{Module, Pins, root};
use crate::toolbox::module_directory::check;
use crate::toolbox::on_thread;
use crate::write_file::WriteFile;

/// Writes the programs in `cache` that were built from the pinned modules to the archive `file`; an existing file is
/// replaced. Modules that are not there, or not whole, are named in the progress.
///
/// # Errors
/// [`ToolboxError::NothingToExport`], [`ToolboxError::Io`], [`ToolboxError::Interrupted`]. No partial archive is left.
pub async fn export(
    file: &Path,
    cache: &Path,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<ToolboxManifest, ToolboxError> {
    let (mut modules, mut absent) = (Vec::new(), Vec::new());
    for module in Module::ALL {
        match check(*module, &module.pins().bin(cache)).await {
            Ok(()) => modules.push(module.pins()),
            Err(_) => absent.push(module.title()),
        }
    }
    if modules.is_empty() {
        return Err(ToolboxError::NothingToExport { directory: root(cache) });
    }
    if !absent.is_empty() {
        progress.note(format!("not in the cache, and therefore not in the archive: {}", absent.join(", ")));
    }
    let step = progress.step(format!("export the toolbox to {}", file.display()));
    let (target, cache, interrupt) = (file.to_owned(), cache.to_owned(), shutdown.clone());
    let (written, step) = on_thread(move || {
        let mut pace = Pace::new(&step, &interrupt);
        let written = write(&target, &modules, &cache, &mut pace);
        (written, step)
    })
    .await?;
    if shutdown.is_cancelled() {
        return Err(Interrupted.into());
    }
    let manifest = written?;
    step.done();
    Ok(manifest)
}

/// A program that is exported. It stays open, so that a build at the same time cannot exchange it after it was hashed.
struct Program {
    path: PathBuf,
    file: File,
}

fn write(target: &Path, modules: &[Pins], cache: &Path, pace: &mut Pace<'_>) -> Result<ToolboxManifest, IoError> {
    let mut programs = Vec::new();
    let mut listed = Vec::new();
    for pins in modules {
        let mut files = vec![file_of("go.mod", &pins.go_mod), file_of("go.sum", &pins.go_sum)];
        for path in paths(pins.module).into_iter().skip(files.len()) {
            let program = pins.directory(cache).join(&path);
            let failed = |source| IoError::file("read", &program, source);
            let mut file = File::open(&program).map_err(failed)?;
            let (size, sha256) = hash(&mut file, pace).map_err(failed)?;
            files.push(ArchivedFile { path, size, sha256 });
            programs.push(Program { path: program, file });
        }
        let (name, version) = (pins.module.name().to_owned(), pins.version().to_owned());
        listed.push(ArchivedModule { name, version, flags: pins.flags(), files });
    }
    let manifest = ToolboxManifest::new(listed);
    let written = WriteFile::named().write_with(target, &mut |to| {
        let to = GzEncoder::new(BufWriter::new(to), Compression::fast());
        write_archive(to, &manifest, modules, &mut programs, pace)?.finish()?.flush()
    });
    written.map_err(|source| IoError::file("write", target, source))?;
    Ok(manifest)
}

fn hash(file: &mut File, pace: &mut Pace<'_>) -> io::Result<(u64, String)> {
    let (mut sum, mut size, mut buffer) = (Sha256::new(), 0, vec![0; CHUNK]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((size, hex(sum))),
            length => {
                sum.update(&buffer[..length]);
                size += length as u64;
                pace.advance(0)?;
            }
        }
    }
}

fn write_archive<W: Write>(
    to: W,
    manifest: &ToolboxManifest,
    modules: &[Pins],
    programs: &mut [Program],
    pace: &mut Pace<'_>,
) -> io::Result<W> {
    let mut archive = tar::Builder::new(to);
    let text = serde_json::to_vec_pretty(manifest)?;
    append(&mut archive, NAME, text.len() as u64, &text[..])?;
    let mut programs = programs.iter_mut();
    for (listed, pins) in manifest.modules.iter().zip(modules) {
        for file in &listed.files {
            let path = format!("{}/{}", pins.directory_name(), file.path);
            match &*file.path {
                "go.mod" => append(&mut archive, &path, file.size, pins.go_mod.as_bytes())?,
                "go.sum" => append(&mut archive, &path, file.size, pins.go_sum.as_bytes())?,
                _ => {
                    let Some(program) = programs.next() else { return Err(io::ErrorKind::NotFound.into()) };
                    program.file.rewind()?;
                    let content = Paced { program, pace: &mut *pace };
                    append(&mut archive, &path, file.size, content.take(file.size))?;
                }
            }
        }
    }
    archive.into_inner()
}

fn append(archive: &mut tar::Builder<impl Write>, path: &str, size: u64, content: impl Read) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(if path.contains("/bin/") { 0o755 } else { 0o644 });
    header.set_size(size);
    header.set_mtime(0);
    archive.append_data(&mut header, path, content)
}

/// The content of a program; errors name the program, because all others are about the archive.
struct Paced<'a, 'b> {
    program: &'a mut Program,
    pace: &'a mut Pace<'b>,
}

impl Read for Paced<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.program.file.read(buffer);
        let length = length
            .map_err(|source| io::Error::other(format!("{} cannot be read: {source}", self.program.path.display())))?;
        self.pace.advance(length)?;
        Ok(length)
    }
}
