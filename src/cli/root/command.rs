//! The command that this process is: as it runs behind sudo, and as the user types it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::environment::{SETTING, TRIED, is_of_lab, passed_on};
use crate::cli::command_line::without_secrets;
use crate::io_error::IoError;
use crate::process::Invocation;
use crate::toolbox::is_executable;

/// Sets the variables for the program. sudo's own assignments need a rule with SETENV.
const ENV: &str = "/usr/bin/env";
/// Directories that are in every distribution's `secure_path`, in which sudo looks for programs.
const SECURE_PATH: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Where a wrapper's own settings lead to.
const STORE: &[u8] = b"/nix/store/";

/// This process as a command.
pub(super) struct OwnCommand {
    /// The file that runs.
    program: PathBuf,
    /// The program as it was called: a name, or a path, perhaps of a wrapper or a link.
    called: OsString,
    /// The arguments.
    pub(super) arguments: Vec<OsString>,
    /// The environment.
    variables: Vec<(OsString, OsString)>,
}

impl OwnCommand {
    /// This process.
    ///
    /// # Errors
    /// [`IoError`] if its program cannot be found.
    pub(super) fn of_this_process() -> Result<Self, IoError> {
        let mut words = env::args_os();
        Ok(Self {
            program: env::current_exe().map_err(|source| IoError::new("find this program", source))?,
            called: words.next().unwrap_or_default(),
            arguments: words.collect(),
            variables: env::vars_os().collect(),
        })
    }

    /// The same command behind sudo.
    pub(super) fn behind(&self, sudo: &Path, options: &[&str]) -> Invocation {
        let mut words: Vec<OsString> = options.iter().map(OsString::from).collect();
        words.extend(["--", ENV].map(OsString::from));
        let (passed, _) = passed_on(self.variables.iter().cloned());
        let assignments = passed.into_iter().chain([(SETTING.into(), TRIED.into())]);
        words.extend(assignments.map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            name
        }));
        if self.program.as_os_str().as_bytes().contains(&b'=') {
            // env would read the path as one more variable. The script is fixed, so it reads no argument as code.
            words.extend(["/bin/sh", "-c", "exec \"$0\" \"$@\""].map(OsString::from));
        }
        words.push(self.program.clone().into_os_string());
        words.extend(self.arguments.iter().cloned());
        Invocation::new(sudo, words)
    }

    /// The names of the variables that the command behind sudo lacks because they contain a password.
    pub(super) fn withheld(&self) -> Vec<String> {
        passed_on(self.variables.iter().cloned()).1
    }

    /// The same command for a root shell: a program that is found there, the lab's variables, and no secrets.
    pub(super) fn typed(&self) -> Invocation {
        let called = self.called_path();
        let program = called.as_deref().unwrap_or(&self.program);
        let wrapped = program.canonicalize().is_ok_and(|real| real != self.program);
        // A wrapper sets its own variables again.
        let by_wrapper = |value: &OsStr| wrapped && value.as_bytes().starts_with(STORE);
        let variables = self.variables.iter().filter(|(name, value)| is_of_lab(name) && !by_wrapper(value));
        let is_found =
            program.parent().is_some_and(|parent| SECURE_PATH.iter().any(|found| parent == Path::new(found)));
        let word = program.file_name().filter(|_| is_found).map_or(program, Path::new);
        let command = Invocation::new(word, without_secrets(self.arguments.iter().cloned()));
        variables.fold(command, |command, (name, value)| command.env(name, value))
    }

    /// The path by which this program was called, if that is known.
    fn called_path(&self) -> Option<PathBuf> {
        let called = Path::new(&self.called);
        // Whoever starts a program chooses its first word freely.
        if called.file_name()? != self.program.file_name()? {
            return None;
        }
        if called.components().count() > 1 {
            return std::path::absolute(called).ok().filter(|path| is_executable(path));
        }
        let (_, path) = self.variables.iter().find(|(name, _)| name == "PATH")?;
        env::split_paths(path).map(|directory| directory.join(called)).find(|path| is_executable(path))
    }
}

/// `command` as root, pasteable: with sudo, or else with su.
pub(super) fn as_root(command: &str, by_sudo: bool) -> String {
    if by_sudo { format!("sudo {command}") } else { Invocation::new("su", ["-c", command]).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::PermissionsExt;

    fn own(program: &str, arguments: &[&[u8]], variables: &[(&str, &str)]) -> OwnCommand {
        OwnCommand {
            program: program.into(),
            called: program.into(),
            arguments: arguments.iter().map(|bytes| OsString::from_vec(bytes.to_vec())).collect(),
            variables: variables.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        }
    }

    #[test]
    fn sudo_gets_every_argument_as_it_is() {
        let own = own("/x/evenkeel", &[b"test", b"--html", b"a b\xff", b"--", b"X=1"], &[("EVENKEEL_NAME", "a=b c")]);
        let behind = own.behind(Path::new("/usr/bin/sudo"), &["-n"]);
        assert_eq!(behind.program, Path::new("/usr/bin/sudo"));
        let before = ["-n", "--", "/usr/bin/env", "EVENKEEL_NAME=a=b c", "EVENKEEL_SUDO=tried", "/x/evenkeel"];
        assert_eq!(behind.args[..6], before);
        assert_eq!(behind.args[6..], own.arguments);
    }

    #[test]
    fn a_program_whose_path_looks_like_a_variable_is_run() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("a=b");
        fs::write(&program, "#!/bin/sh\necho \"$EVENKEEL_SUDO $*\"\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let behind = own(program.to_str().unwrap(), &[b"up", b"$(false)"], &[]).behind(Path::new("sudo"), &[]);
        assert_eq!(behind.args[0], "--");
        let said = Invocation::new(&behind.args[1], &behind.args[2..]).run().unwrap();
        assert_eq!(String::from_utf8(said).unwrap(), "tried up $(false)\n");
    }

    #[test]
    fn the_typed_command_finds_the_program_and_the_lab() {
        let typed = |program: &str, variables: &[(&str, &str)]| own(program, &[b"up"], variables).typed().to_string();
        assert_eq!(typed("/usr/bin/evenkeel", &[("PATH", "/usr/bin"), ("TERM", "dumb")]), "evenkeel up");
        for hidden in ["/usr/local/bin/evenkeel", "/home/ann/.cargo/bin/evenkeel"] {
            assert_eq!(typed(hidden, &[]), format!("{hidden} up"));
        }
        let variables = [("EVENKEEL_NAME", "lab2"), ("EVENKEEL_SUDO", "never"), ("CNI_PATH", "/a b")];
        assert_eq!(typed("/x y/evenkeel", &variables), "EVENKEEL_NAME=lab2 CNI_PATH='/a b' '/x y/evenkeel' up");
    }

    #[test]
    fn a_wrapper_is_typed_instead_of_the_program_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let wrapper = directory.path().join("evenkeel");
        fs::write(&wrapper, "").unwrap();
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        let variables = [
            ("PATH", directory.path().to_str().unwrap()),
            ("EVENKEEL_PAUSE_IMAGE", "/nix/store/x-pause.tar"),
            ("EVENKEEL_NAME", "lab2"),
        ];
        let mut own = own("/nix/store/x-cli/bin/evenkeel", &[b"up"], &variables);
        for called in ["evenkeel".into(), wrapper.clone().into_os_string()] {
            own.called = called;
            assert_eq!(own.typed().to_string(), format!("EVENKEEL_NAME=lab2 {} up", wrapper.display()));
        }
        // A first word that is the name of another program.
        own.called = "sh".into();
        assert!(own.typed().to_string().ends_with(" /nix/store/x-cli/bin/evenkeel up"));
    }

    #[test]
    fn a_command_for_root_can_be_pasted() {
        assert_eq!(as_root("evenkeel up", true), "sudo evenkeel up");
        assert_eq!(as_root("'/it'\\''s/evenkeel' up", false), r"su -c ''\''/it'\''\'\'''\''s/evenkeel'\'' up'");
    }
}
