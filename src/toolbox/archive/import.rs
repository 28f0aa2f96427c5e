//! Reads an archive, verifies it, and puts its modules in place.

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use tar::{Archive, Entries, EntryType};

use super::manifest::{ArchivedFile, NAME, ToolboxManifest, hex, plain};
use super::{CHUNK, Pace};
use crate::io_error::IoError;
use crate::progress::{Progress, Step};
use crate::shutdown::{Interrupted, Shutdown};
use crate::toolbox::module::{Pins, root};
use crate::toolbox::module_directory::{UnfinishedModule, check, lock, remove_leftovers};
use crate::toolbox::on_thread;
use crate::toolbox::{InstallRemedy, ToolboxError};

/// No manifest is larger.
const LARGEST_MANIFEST: u64 = 1 << 20;
/// As much may follow the last file: tar fills its last record with zeros.
const LONGEST_END: u64 = 1 << 20;

/// What was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedToolbox {
    /// What the archive contains.
    pub manifest: ToolboxManifest,
    /// The names of the modules that were in the cache already, and whole. They were not replaced.
    pub already_there: Vec<String>,
}

/// Puts the modules of the archive `file` into `cache`, if they were built from what this program pins, for this machine, and
/// every file has its checksum. A module that is in the cache already is not replaced, unless it is damaged.
///
/// # Errors
/// [`ToolboxError::BadArchive`], [`ToolboxError::OtherPlatform`] and [`ToolboxError::OtherPins`], with an unchanged cache;
/// [`ToolboxError::InstallFailed`] when a program does not run on this machine, [`ToolboxError::Io`],
/// [`ToolboxError::Interrupted`].
pub async fn import(
    file: &Path,
    cache: &Path,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<ImportedToolbox, ToolboxError> {
    let bad = |why: String| ToolboxError::BadArchive { path: file.to_owned(), why };
    let step = progress.step(format!("import the toolbox from {}", file.display()));
    let mut archive = open(file)?;
    let manifest = read_manifest(&archive).map_err(bad)?;
    archive.rewind().map_err(|source| IoError::file("read", file, source))?;
    let pins = manifest.accept(file)?;

    let root = root(cache);
    fs::create_dir_all(&root).map_err(|source| IoError::file("create", &root, source))?;
    let mut places = Vec::new();
    for pins in pins {
        places.push(Place::take(pins, &root, cache, &step, shutdown).await?);
    }
    let (listed, interrupt) = (manifest.clone(), shutdown.clone());
    let (unpacked, places, step) = on_thread(move || {
        let unpacked = unpack(&archive, &listed, &places, &mut Pace::new(&step, &interrupt));
        (unpacked, places, step)
    })
    .await?;
    if shutdown.is_cancelled() {
        return Err(Interrupted.into());
    }
    unpacked.map_err(|problem| match problem {
        Problem::Archive(why) => bad(why),
        Problem::Io(error) => error.into(),
    })?;

    let there = places.iter().filter(|place| place.unfinished.is_none());
    let already_there = there.map(|place| place.pins.module.name().to_owned()).collect();
    put_in_place(places, cache).await?;
    step.done();
    Ok(ImportedToolbox { manifest, already_there })
}

/// The place of a module in the cache, which no other process changes until this is dropped.
struct Place {
    pins: Pins,
    /// `None` when the module is there already.
    unfinished: Option<UnfinishedModule>,
    _lock: File,
}

impl Place {
    async fn take(
        pins: Pins,
        root: &Path,
        cache: &Path,
        step: &Step,
        shutdown: &Shutdown,
    ) -> Result<Self, ToolboxError> {
        let lock = lock(root, pins.module, step, shutdown).await?;
        remove_leftovers(root, pins.module);
        let whole = check(pins.module, &pins.bin(cache)).await.is_ok();
        let unfinished = if whole { None } else { Some(UnfinishedModule::new(&pins, root)?) };
        Ok(Self { pins, unfinished, _lock: lock })
    }
}

/// Gives the modules their final names, except those with a program that does not run here.
async fn put_in_place(places: Vec<Place>, cache: &Path) -> Result<(), ToolboxError> {
    let (mut what, mut why) = (Vec::new(), Vec::new());
    for Place { pins, unfinished, _lock } in places {
        let Some(unfinished) = unfinished else { continue };
        match check(pins.module, &unfinished.bin()).await {
            Ok(()) => unfinished.move_to(&pins.directory(cache))?,
            Err(problem) => {
                what.push(pins.module.title());
                why.push(problem);
            }
        }
    }
    if what.is_empty() {
        return Ok(());
    }
    let why = format!("the imported program cannot be used on this machine: {}", why.join("; "));
    Err(ToolboxError::InstallFailed { what: what.join(", "), why, remedy: InstallRemedy::BuiltHere })
}

/// Opens a file, not a pipe or a device, because it is read twice: for the manifest, and for the programs.
fn open(path: &Path) -> Result<File, ToolboxError> {
    let bad = |why: &str| ToolboxError::BadArchive { path: path.to_owned(), why: why.to_owned() };
    let failed = |source: io::Error| match source.kind() {
        ErrorKind::NotFound => bad("there is no such file"),
        _ => IoError::file("read", path, source).into(),
    };
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(bad("it is not a regular file"));
    }
    File::open(path).map_err(failed)
}

/// The tar in an archive. A program that fetched the archive may have unpacked it.
fn tar_of(file: &File) -> io::Result<Box<dyn Read + '_>> {
    let mut magic = Vec::new();
    let (mut start, mut whole) = (file, file);
    Read::by_ref(&mut start).take(2).read_to_end(&mut magic)?;
    whole.rewind()?;
    let whole = BufReader::with_capacity(CHUNK, whole);
    Ok(if magic == [0x1f, 0x8b] { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) })
}

/// The manifest, which is the first file. The error is the end of a sentence.
fn read_manifest(file: &File) -> Result<ToolboxManifest, String> {
    let no_archive = || "it is not an archive that evenkeel toolbox export made".to_owned();
    let mut archive = Archive::new(tar_of(file).map_err(|_| no_archive())?);
    // Without raw, the crate would itself read long names and other extensions, whatever their size.
    let mut entries = archive.entries().map_err(|_| no_archive())?.raw(true);
    let mut entry = entries.next().and_then(Result::ok).ok_or_else(no_archive)?;
    if entry.path_bytes() != NAME.as_bytes() || entry.size() > LARGEST_MANIFEST {
        return Err(no_archive());
    }
    let mut text = Vec::new();
    entry.read_to_end(&mut text).map_err(|source| unreadable(&source))?;
    ToolboxManifest::parse(&text)
}

/// Why the tar cannot be read on.
fn unreadable(source: &io::Error) -> String {
    match source.kind() {
        ErrorKind::UnexpectedEof => "it is truncated".to_owned(),
        _ => format!("it is damaged ({})", plain(&source.to_string())),
    }
}

/// Why an archive cannot be unpacked.
enum Problem {
    /// It is not as it should be; the end of a sentence.
    Archive(String),
    /// A file cannot be written.
    Io(IoError),
}

/// Verifies every file of the archive, and writes those of the modules that are not there.
fn unpack(archive: &File, manifest: &ToolboxManifest, places: &[Place], pace: &mut Pace<'_>) -> Result<(), Problem> {
    let damaged = |source: io::Error| Problem::Archive(unreadable(&source));
    let mut archive = Archive::new(tar_of(archive).map_err(damaged)?);
    let mut entries = archive.entries().map_err(damaged)?.raw(true);
    // The manifest has been read.
    entries.next();
    for (module, place) in manifest.modules.iter().zip(places) {
        for file in &module.files {
            let path = format!("{}/{}", place.pins.directory_name(), file.path);
            let to = place.unfinished.as_ref().map(|unfinished| unfinished.path().join(&file.path));
            unpack_file(&mut entries, &path, file, to, pace)?;
        }
    }
    if let Some(entry) = entries.next() {
        let entry = entry.map_err(damaged)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        return Err(Problem::Archive(format!("it has an unexpected file ({})", plain(&path))));
    }
    let end = io::copy(&mut archive.into_inner().take(LONGEST_END), &mut io::sink()).map_err(damaged)?;
    if end == LONGEST_END { Err(Problem::Archive("data follows its end".to_owned())) } else { Ok(()) }
}

/// Verifies the next file, and writes it to `to`. Its name there is not the one in the archive, which is only compared.
fn unpack_file<R: Read>(
    entries: &mut Entries<'_, R>,
    path: &str,
    file: &ArchivedFile,
    to: Option<PathBuf>,
    pace: &mut Pace<'_>,
) -> Result<(), Problem> {
    let damaged = |source: io::Error| Problem::Archive(unreadable(&source));
    let wrong = |what: String| Err(Problem::Archive(what));
    let Some(entry) = entries.next() else { return wrong(format!("it is truncated: {path} is missing")) };
    let mut entry = entry.map_err(damaged)?;
    if entry.header().entry_type() != EntryType::Regular || entry.path_bytes() != path.as_bytes() {
        let (kind, found) = (entry.header().entry_type(), String::from_utf8_lossy(&entry.path_bytes()).into_owned());
        return wrong(format!("it has {} ({kind:?}) where the file {path} is expected", plain(&found)));
    }
    if entry.size() != file.size {
        return wrong(format!("{path} has {} bytes, expected {}", entry.size(), file.size));
    }
    let mut out = to.map(|to| create(&to, &file.path).map(|out| (out, to))).transpose().map_err(Problem::Io)?;
    let (mut sum, mut size, mut buffer) = (Sha256::new(), 0, vec![0; CHUNK]);
    loop {
        let length =
            entry.read(&mut buffer).and_then(|length| pace.advance(length).map(|()| length)).map_err(damaged)?;
        if length == 0 {
            break;
        }
        size += length as u64;
        sum.update(&buffer[..length]);
        if let Some((out, to)) = &mut out {
            let written = out.write_all(&buffer[..length]);
            written.map_err(|source| Problem::Io(IoError::file("write", to, source)))?;
        }
    }
    let found = hex(sum);
    if size != file.size {
        wrong("it is truncated".to_owned())
    } else if found != file.sha256 {
        wrong(format!("{path} has the SHA-256 {found}, expected {}", plain(&file.sha256)))
    } else {
        Ok(())
    }
}

/// A new file of a module, with the mode that it needs and not the one in the archive.
fn create(to: &Path, path: &str) -> Result<File, IoError> {
    let mode = if path.starts_with("bin/") { 0o755 } else { 0o644 };
    let file = File::options().write(true).create(true).truncate(true).mode(mode).open(to);
    file.map_err(|source| IoError::file("create", to, source))
}
