//! Starts programs: always by an argument list, never through a shell.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use nix::sys::signal::{SigHandler, Signal, signal};

use crate::platform;

/// A program that could not be started, or that failed.
#[derive(Debug, thiserror::Error)]
#[error("`{command}` failed ({outcome}){}", indented(tail))]
pub struct ProgramError {
    /// The command, pasteable.
    pub command: String,
    /// "exit 3", "signal 9", "not found".
    pub outcome: String,
    /// The end of what it wrote.
    pub tail: String,
}

/// A tail of output as the end of a sentence: nothing, or its lines indented below.
#[must_use]
pub fn indented(tail: &str) -> String {
    let tail = tail.trim_end();
    if tail.is_empty() { String::new() } else { format!(":\n  {}", tail.replace('\n', "\n  ")) }
}

/// A program with its arguments and environment. `Display` gives a command that can be pasted into a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The program's path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables set on top of the caller's environment.
    pub env: Vec<(OsString, OsString)>,
    /// The directory it runs in; this program's own when not given.
    pub directory: Option<PathBuf>,
}

impl Invocation {
    /// `program` with `args`.
    pub fn new<A: AsRef<OsStr>>(program: impl Into<PathBuf>, args: impl IntoIterator<Item = A>) -> Self {
        Self {
            program: program.into(),
            args: args.into_iter().map(|a| a.as_ref().to_owned()).collect(),
            env: Vec::new(),
            directory: None,
        }
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets the directory.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// The command, in its own process group, with empty stdin. The kernel kills it when the thread that started it ends.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = self.detached_command();
        platform::die_with_parent(&mut command);
        command
    }

    /// Like [`Invocation::command`], but it is not killed when its parent ends.
    #[must_use]
    pub fn detached_command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.env.iter().map(|(k, v)| (k, v))).stdin(Stdio::null()).process_group(0);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }

    /// Like [`Invocation::detached_command`], and no signal is ignored: what this program ignores (SIGHUP under `nohup`,
    /// SIGINT in a background job) is otherwise ignored by everything that it starts, containers included.
    #[must_use]
    pub fn daemon_command(&self) -> Command {
        let mut command = self.detached_command();
        // SAFETY: sigaction is async-signal-safe, and a default disposition runs no code of this program.
        #[allow(unsafe_code, reason = "dispositions of the child can only be set between fork and exec")]
        unsafe {
            command.pre_exec(|| {
                for reset in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM] {
                    signal(reset, SigHandler::SigDfl)?;
                }
                Ok(())
            });
        }
        command
    }

    /// Replaces this process by it, which keeps its stdin, terminal and process group. Returns only if that fails.
    #[must_use]
    pub fn replace(&self) -> ProgramError {
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.env.iter().map(|(k, v)| (k, v)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        self.not_started(&command.exec())
    }

    /// Runs it until it exits and returns what it wrote to stdout.
    ///
    /// # Errors
    /// [`ProgramError`] when it cannot be started or does not exit with 0, with the last lines of stderr.
    pub fn run(&self) -> Result<Vec<u8>, ProgramError> {
        let output = self.command().output().map_err(|source| self.not_started(&source))?;
        self.check(output)
    }

    /// Like [`Invocation::run`], without blocking the runtime. The program is killed when the future is dropped.
    ///
    /// # Errors
    /// As [`Invocation::run`].
    pub async fn run_async(&self) -> Result<Vec<u8>, ProgramError> {
        let mut command = tokio::process::Command::from(self.command());
        let output = command.kill_on_drop(true).output().await.map_err(|source| self.not_started(&source))?;
        self.check(output)
    }

    /// What a run of it wrote to stdout.
    ///
    /// # Errors
    /// [`ProgramError`] when it did not exit with 0, with the last lines of stderr.
    pub fn check(&self, output: Output) -> Result<Vec<u8>, ProgramError> {
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(ProgramError {
            command: self.to_string(),
            outcome: outcome(output.status),
            tail: last_lines(&String::from_utf8_lossy(&output.stderr), 10),
        })
    }

    /// The error for a program that could not be started.
    #[must_use]
    pub fn not_started(&self, source: &io::Error) -> ProgramError {
        ProgramError { command: self.to_string(), outcome: source.to_string(), tail: String::new() }
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(directory) = &self.directory {
            write!(formatter, "cd {} && ", quoted(directory.as_os_str()))?;
        }
        for (name, value) in &self.env {
            write!(formatter, "{}={} ", name.to_string_lossy(), quoted(value))?;
        }
        formatter.write_str(&quoted(self.program.as_os_str()))?;
        self.args.iter().try_for_each(|arg| write!(formatter, " {}", quoted(arg)))
    }
}

/// "exit 3" or "signal 9".
#[must_use]
pub fn outcome(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit status".into(),
    }
}

/// The last `count` lines of a text.
#[must_use]
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// The last `count` lines of a file, at most 64 KiB of them; empty when the file cannot be read.
#[must_use]
pub fn tail_of(path: &Path, count: usize) -> String {
    const MAX_BYTES: u64 = 64 * 1024;
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(MAX_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(bytes)
    };
    read().map(|bytes| last_lines(&String::from_utf8_lossy(&bytes), count)).unwrap_or_default()
}

fn quoted(word: &OsStr) -> String {
    let Some(word) = word.to_str() else {
        // Only this form, which bash, zsh and ksh accept, can hold bytes that are not UTF-8.
        let escaped: String = word.as_bytes().iter().map(|byte| byte.escape_ascii().to_string()).collect();
        return format!("$'{escaped}'");
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_can_be_pasted() {
        let invocation = Invocation::new("/bin/echo", ["a b", "it's", "", "x=1"]).env("A", "1 2").directory("/tmp");
        assert_eq!(invocation.to_string(), r"cd /tmp && A='1 2' /bin/echo 'a b' 'it'\''s' '' x=1");
    }

    #[test]
    fn a_path_that_is_not_utf_8_can_be_pasted() {
        let path = OsStr::from_bytes(b"it's \xff.html");
        assert_eq!(Invocation::new("/bin/echo", [path]).to_string(), r"/bin/echo $'it\'s \xff.html'");
    }

    #[test]
    fn failure_names_command_exit_and_tail() {
        let error = Invocation::new("/bin/sh", ["-c", "echo oh no >&2; exit 3"]).run().unwrap_err();
        let text = error.to_string();
        assert!(text.contains("exit 3") && text.contains("oh no") && text.contains("/bin/sh"), "{text}");
    }

    #[test]
    fn the_tail_of_a_long_file_is_limited() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a line of a log\n".repeat(100_000) + "the dog\nate my lease\n").unwrap();
        assert_eq!(tail_of(file.path(), 2), "the dog\nate my lease");
        assert!(tail_of(file.path(), usize::MAX).len() <= 64 * 1024);
        assert_eq!(tail_of(Path::new("/does/not/exist"), 2), "");
    }

    #[test]
    fn missing_program_is_an_error() {
        assert!(Invocation::new("/does/not/exist", ["x"]).run().is_err());
    }
}
