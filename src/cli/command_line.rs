//! The command as reports show it, without values that may be secret.

use std::ffi::OsString;

use crate::process::Invocation;

/// Flags whose values may be secret and are not shown.
const SECRET: [&str; 4] = ["-H", "--header", "-b", "--body"];

/// The command with these arguments, in a form that can be pasted.
pub(super) fn command(arguments: impl Iterator<Item = OsString>) -> String {
    Invocation::new("evenkeel", without_secrets(arguments)).to_string()
}

/// The arguments, with … in the place of values that may be secret.
pub(super) fn without_secrets(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut shown: Vec<OsString> = Vec::new();
    let mut pending: Option<&str> = None;
    for argument in arguments {
        // Only to look for flags: an argument may be a path of any bytes.
        let text = argument.to_string_lossy();
        if let Some(flag) = pending.take() {
            shown.push(hidden(flag, &text).into());
            continue;
        }
        let secret = SECRET.into_iter().find_map(|flag| match text.strip_prefix(flag)? {
            rest if flag.starts_with("--") && !rest.is_empty() && !rest.starts_with('=') => None,
            rest => Some((flag, rest)),
        });
        match secret {
            // Its value is the next argument.
            Some((flag, "")) => pending = Some(flag),
            Some((flag, value)) => {
                let (sign, value) = value.strip_prefix('=').map_or(("", value), |value| ("=", value));
                shown.push(format!("{flag}{sign}{}", hidden(flag, value)).into());
                continue;
            }
            None => {}
        }
        shown.push(argument);
    }
    shown
}

/// The name of a header, or the file of a body; everything else of the value is left out.
fn hidden(flag: &str, value: &str) -> String {
    match value.split_once(':') {
        Some((name, _)) if matches!(flag, "-H" | "--header") => format!("{name}: …"),
        _ if value.starts_with('@') => value.to_owned(),
        _ => "…".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_shown_without_its_secrets() {
        let shown = |arguments: &[&str]| command(arguments.iter().map(OsString::from));
        assert_eq!(shown(&["test", "--replicas", "2,5", "-d", "5s"]), "evenkeel test --replicas 2,5 -d 5s");
        for given in [
            &["-H", "Authorization: Bearer s3cret"][..],
            &["-HAuthorization: Bearer s3cret"],
            &["--header", "Authorization:s3cret"],
            &["--header=Authorization: s3cret"],
            &["-b", "password=s3cret"],
            &["--body", "{\"password\":\"s3cret\"}"],
            &["--body=s3cret: x"],
        ] {
            let command = shown(given);
            assert!(!command.contains("s3cret") && command.contains('…'), "{given:?}: {command}");
        }
        assert_eq!(shown(&["-H", "X: y", "-b", "@file"]), "evenkeel -H 'X: …' -b @file");
    }

    #[test]
    fn a_path_of_any_bytes_is_shown_and_a_secret_of_any_bytes_is_not() {
        use std::os::unix::ffi::OsStringExt;

        let shown = |arguments: &[&[u8]]| command(arguments.iter().map(|bytes| OsString::from_vec(bytes.to_vec())));
        assert_eq!(shown(&[b"test", b"--html", b"\xff.html"]), r"evenkeel test --html $'\xff.html'");
        for given in [&[&b"-b"[..], b"s3cret \xff"][..], &[b"--body=s3cret \xff"], &[b"-Hs3cret \xff"]] {
            let command = shown(given);
            assert!(!command.contains("s3cret") && command.contains('…'), "{command}");
        }
    }
}
