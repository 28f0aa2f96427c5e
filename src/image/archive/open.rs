//! Opens an archive as a plain tar file: a pipe is copied to a temporary file, and a compressed archive is unpacked to one.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, poll};
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

use crate::progress::{Progress, Step};

/// How often progress in bytes is reported.
const INTERVAL: Duration = Duration::from_millis(250);
/// How long a pipe that nothing has open for writing is waited for, in milliseconds.
const FIRST_WRITER: u16 = 2_000;

/// An archive that is open.
pub(super) struct OpenArchive {
    /// The tar file.
    pub(super) tar: File,
    /// The size of the archive as it was given.
    pub(super) bytes: u64,
    /// Whether the tar file is a temporary one, which nothing else has open.
    pub(super) is_temporary: bool,
}

/// Opens an archive. Temporary files have no name, so nothing is left of them if this process is killed.
///
/// # Errors
/// Why it cannot be read, as the end of a sentence.
pub(super) fn open(path: &Path, progress: &Progress) -> Result<OpenArchive, String> {
    let metadata = path.metadata().map_err(|source| read_problem(&source))?;
    let mut is_temporary = false;
    let mut file = if metadata.is_file() {
        File::open(path).map_err(|source| read_problem(&source))?
    } else if metadata.file_type().is_fifo() {
        is_temporary = true;
        spool(path, progress).map_err(|source| read_problem(&source))?
    } else {
        return Err("it is neither a file nor a pipe".into());
    };
    let bytes = file.metadata().map_err(|source| read_problem(&source))?.len();
    if let Some(tar) = unpack(&mut file, progress)? {
        return Ok(OpenArchive { tar, bytes, is_temporary: true });
    }
    Ok(OpenArchive { tar: file, bytes, is_temporary })
}

/// Whether an archive is read from a pipe, which can be read only once.
#[must_use]
pub fn is_pipe(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo())
}

fn read_problem(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        _ => source.to_string(),
    }
}

/// Copies a pipe to a temporary file.
fn spool(pipe: &Path, progress: &Progress) -> io::Result<File> {
    let step = progress.step(format!("read {}", pipe.display()));
    let mut spooled = temporary()?;
    let mut counted = Counted::new(&mut spooled, &step);
    io::copy(&mut open_pipe(pipe)?, &mut counted)?;
    let size = counted.size();
    spooled.rewind()?;
    step.done_with(size);
    Ok(spooled)
}

/// Opens a pipe, and waits as long as something has it open to write to it.
fn open_pipe(path: &Path) -> io::Result<impl Read> {
    // Without O_NONBLOCK, opening a pipe that nothing writes to would wait for ever.
    let mut pipe = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let mut first = Vec::new();
    // It is at its end if there is no writer, and would block if there is one that has written nothing so far.
    let read = Read::by_ref(&mut pipe).take(1).read_to_end(&mut first);
    if read.is_ok_and(|length| length == 0)
        && poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], FIRST_WRITER)? == 0
    {
        return Err(io::Error::other("nothing writes to this pipe"));
    }
    fcntl(&pipe, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(io::Cursor::new(first).chain(pipe))
}

/// The unpacked archive in a temporary file, or `None` for one that is not compressed.
fn unpack(file: &mut File, progress: &Progress) -> Result<Option<File>, String> {
    let mut magic = Vec::new();
    let peeked = Read::by_ref(file).take(6).read_to_end(&mut magic).and_then(|_| file.rewind());
    peeked.map_err(|source| read_problem(&source))?;
    let unpack: fn(&File, &mut dyn Write) -> io::Result<()> = match &magic[..] {
        [0x1f, 0x8b, ..] => gunzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => unpack_zstd,
        [0xfd, b'7', b'z', b'X', b'Z', 0] => return Err(unknown_compression("xz")),
        [b'B', b'Z', b'h', ..] => return Err(unknown_compression("bzip2")),
        _ => return Ok(None),
    };
    let step = progress.step("unpack the archive");
    let unpacked = || {
        let mut unpacked = temporary()?;
        let mut counted = Counted::new(BufWriter::new(&mut unpacked), &step);
        unpack(file, &mut counted)?;
        counted.flush()?;
        let size = counted.size();
        drop(counted);
        unpacked.rewind()?;
        Ok::<_, io::Error>((unpacked, size))
    };
    let (tar, size) = unpacked().map_err(|source| format!("it cannot be unpacked ({source})"))?;
    step.done_with(size);
    Ok(Some(tar))
}

fn unknown_compression(name: &str) -> String {
    format!("it is compressed with {name}; expected tar, gzip or zstd")
}

fn gunzip(file: &File, unpacked: &mut dyn Write) -> io::Result<()> {
    io::copy(&mut MultiGzDecoder::new(BufReader::new(file)), unpacked).map(drop)
}

/// A file may consist of several frames, and those that contain no data are skipped.
fn unpack_zstd(file: &File, unpacked: &mut dyn Write) -> io::Result<()> {
    let mut file = BufReader::new(file);
    while !file.fill_buf()?.is_empty() {
        match StreamingDecoder::new(&mut file) {
            Ok(mut frame) => drop(io::copy(&mut frame, unpacked)?),
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                io::copy(&mut file.by_ref().take(length.into()), &mut io::sink())?;
            }
            Err(problem) => return Err(io::Error::other(problem.to_string())),
        }
    }
    Ok(())
}

/// A temporary file without a name. Many machines have `/tmp` in memory, and `/var/tmp` on a disk.
pub(in crate::image) fn temporary() -> io::Result<File> {
    let named = std::env::var_os("TMPDIR").is_some_and(|directory| !directory.is_empty());
    if named { tempfile::tempfile() } else { tempfile::tempfile_in("/var/tmp").or_else(|_| tempfile::tempfile()) }
}

/// Reports how many bytes were written to it.
struct Counted<'a, W> {
    inner: W,
    bytes: u64,
    step: &'a Step,
    reported: Instant,
}

impl<'a, W: Write> Counted<'a, W> {
    fn new(inner: W, step: &'a Step) -> Self {
        Self { inner, bytes: 0, step, reported: Instant::now() }
    }

    fn size(&self) -> String {
        megabytes(self.bytes)
    }
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        if self.reported.elapsed() >= INTERVAL {
            self.reported = Instant::now();
            self.step.detail(self.size());
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// "12.3 MB", in units of 1,000,000 bytes.
#[allow(clippy::cast_precision_loss, reason = "no image is so large that it loses digits")]
pub(in crate::image) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
