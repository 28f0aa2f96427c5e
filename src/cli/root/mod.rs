//! Root. A verb asks for it once its arguments are validated and before it changes anything. Without root, the program
//! replaces itself by the same command behind sudo.

mod command;
mod environment;

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use self::command::{OwnCommand, as_root};
use self::environment::{SETTING, TRIED};
use crate::cli::error::Error;
use crate::process::{ProgramError, last_lines};
use crate::progress::Progress;
use crate::toolbox::is_executable;

/// Directories in which sudo may be, if PATH lacks them. The last one is NixOS's.
const DIRECTORIES: [&str; 4] = ["/usr/bin", "/usr/local/bin", "/bin", "/run/wrappers/bin"];

/// Why the program did not become root by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRoot {
    /// It was not asked to.
    Unasked,
    /// sudo is not installed.
    NoSudo,
    /// sudo did not run the command, for this reason.
    Refused(String),
    /// sudo ran the command, but not as root.
    StillNotRoot,
    /// An argument is an open file of this process, which a command behind sudo does not have.
    OpenFile(String),
}

impl fmt::Display for NotRoot {
    /// As the end of a sentence.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unasked => Ok(()),
            Self::NoSudo => write!(formatter, "; sudo was not found"),
            Self::Refused(why) => write!(formatter, "; sudo did not run it: {why}"),
            Self::StillNotRoot => write!(formatter, "; sudo ran it as another user than root"),
            Self::OpenFile(file) => write!(formatter, "; sudo cannot pass the open file {file} on to it"),
        }
    }
}

/// Returns if the user is root. Otherwise runs this command again with sudo, in the place of this process.
///
/// # Errors
/// [`Error::NeedsRoot`] if that is not possible; [`Error::BadValue`] for an unknown value of `EVENKEEL_SUDO`.
pub fn require(verb: &'static str, progress: &Progress) -> Result<(), Error> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let own = OwnCommand::of_this_process()?;
    let setting = env::var_os(SETTING).unwrap_or_default();
    let why = match (obstacle(&setting, &own.arguments)?, sudo()) {
        (Some(why), _) => why,
        (None, None) => NotRoot::NoSudo,
        (None, Some(sudo)) => replace(&own, &sudo, progress),
    };
    Err(needed_by(verb, why, &own))
}

/// The error for a verb that needs root and does not ask for it.
///
/// # Errors
/// [`Error::Io`] if this program cannot be found.
pub fn needed(verb: &'static str) -> Result<Error, Error> {
    Ok(needed_by(verb, NotRoot::Unasked, &OwnCommand::of_this_process()?))
}

/// The command that runs `command` as root on this machine, pasteable.
#[must_use]
pub fn by_hand(command: &str) -> String {
    as_root(command, sudo().is_some())
}

fn needed_by(verb: &'static str, why: NotRoot, own: &OwnCommand) -> Error {
    let by_sudo = why != NotRoot::StillNotRoot && sudo().is_some();
    Error::NeedsRoot { verb, command: as_root(&own.typed().to_string(), by_sudo), why }
}

/// Why sudo is not used for a command with these arguments.
fn obstacle(setting: &OsStr, arguments: &[OsString]) -> Result<Option<NotRoot>, Error> {
    match setting.to_str() {
        Some("") => {
            let file =
                arguments.iter().find_map(|argument| open_file(argument)).or_else(|| requests_of_stdin(arguments));
            Ok(file.map(NotRoot::OpenFile))
        }
        Some("never") => Ok(Some(NotRoot::Unasked)),
        Some(TRIED) => Ok(Some(NotRoot::StillNotRoot)),
        _ => {
            let given = setting.to_string_lossy().into_owned();
            Err(Error::BadValue { what: SETTING, given, why: "expected never, or nothing".to_owned() })
        }
    }
}

/// Replaces this process by the command behind sudo. Returns only if that failed.
fn replace(own: &OwnCommand, sudo: &Path, progress: &Progress) -> NotRoot {
    let may_ask = can_ask();
    if !may_ask {
        // sudo would print why it fails as text, also with JSON, and this process would be gone.
        if let Err(error) = own.behind(sudo, &["-n", "-l"]).run() {
            return refused(&error);
        }
    }
    for name in own.withheld() {
        progress.note(format!("{name} contains a password and is not passed on to sudo, which logs its arguments"));
    }
    progress.note("This needs root: running it with sudo.");
    refused(&own.behind(sudo, if may_ask { &[] } else { &["-n"] }).replace())
}

/// The last line that sudo printed, or else how it ended.
fn refused(error: &ProgramError) -> NotRoot {
    let said = last_lines(&error.tail, 1);
    let said = said.trim_start_matches("sudo: ");
    NotRoot::Refused(if said.is_empty() { &error.outcome } else { said }.to_owned())
}

/// Whether sudo can ask for a password: on the terminal, or with a program of the user.
fn can_ask() -> bool {
    File::open("/dev/tty").is_ok() || env::var_os("SUDO_ASKPASS").is_some_and(|program| !program.is_empty())
}

/// The machine's sudo. One in the Nix store cannot work, because nothing in there is setuid.
fn sudo() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(DIRECTORIES.map(PathBuf::from));
    let mut found = directories.filter(|directory| directory.is_absolute()).map(|directory| directory.join("sudo"));
    found.find(|program| {
        let in_store = program.canonicalize().is_ok_and(|real| real.starts_with("/nix/store"));
        is_executable(program) && !in_store
    })
}

/// The file in an argument that only this process has open, such as `/dev/stdin`, whose content may be read already.
fn open_file(argument: &OsStr) -> Option<String> {
    let text = String::from_utf8_lossy(argument.as_bytes());
    ["/dev/stdin", "/dev/fd/", "/proc/self/fd/"].iter().find_map(|prefix| {
        let file = &text[text.find(prefix)?..];
        let output = ["/1", "/2"].iter().any(|number| prefix.ends_with('/') && file[prefix.len() - 1..] == **number);
        (!output).then(|| file.to_owned())
    })
}

/// The standard input, if requests were read from it.
fn requests_of_stdin(arguments: &[OsString]) -> Option<String> {
    const FLAG: &str = "--requests-file";
    let separate = arguments.windows(2).any(|pair| pair[0] == FLAG && pair[1] == "-");
    let joined = arguments.iter().any(|argument| argument.to_str() == Some("--requests-file=-"));
    (separate || joined).then(|| "/dev/stdin".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(setting: &str, argument: &str) -> Option<NotRoot> {
        obstacle(setting.as_ref(), &["test".into(), argument.into()]).unwrap()
    }

    #[test]
    fn sudo_is_used_unless_it_is_forbidden_or_was_tried() {
        assert_eq!(met("", "-c"), None);
        assert_eq!(met("never", "-c"), Some(NotRoot::Unasked));
        assert_eq!(met(TRIED, "-c"), Some(NotRoot::StillNotRoot));
        for bad in ["no", "0", "NEVER"] {
            let error = obstacle(bad.as_ref(), &[]).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains("EVENKEEL_SUDO"), "{error}");
        }
    }

    #[test]
    fn a_file_that_only_this_process_has_open_is_not_lost_silently() {
        for (argument, file) in [
            ("@/dev/stdin", "/dev/stdin"),
            ("--body=@/dev/fd/63", "/dev/fd/63"),
            ("--requests-file=-", "/dev/stdin"),
            ("/dev/fd/12", "/dev/fd/12"),
            ("/proc/self/fd/0", "/proc/self/fd/0"),
        ] {
            assert_eq!(met("", argument), Some(NotRoot::OpenFile(file.into())), "{argument}");
        }
        for argument in ["/dev/stdout", "--html=/dev/fd/1", "/dev/fd/2", "/dev/null", "stdin"] {
            assert_eq!(met("", argument), None, "{argument}");
        }
    }
}
