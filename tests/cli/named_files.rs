//! Files that the user names belong to the user, have the usual mode, and may be pipes and devices.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};

use super::World;
use super::server::Server;

/// A script with `$EVENKEEL` and `$URL`, behind sudo as far as its variables say so.
fn script(world: &World, url: &str, script: &str) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(world.directory.path());
    command.env("EVENKEEL", env!("CARGO_BIN_EXE_evenkeel")).env("EVENKEEL_NAME", "cli-test").env("URL", url);
    let output = command.env("SUDO_UID", "12345").env("SUDO_GID", "12346").output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Mode, and owner as far as this process could change it.
fn look(path: &Path) -> (u32, Option<(u32, u32)>) {
    let file = fs::metadata(path).unwrap();
    let owner = nix::unistd::geteuid().is_root().then(|| (file.uid(), file.gid()));
    (file.mode() & 0o777, owner)
}

fn of_caller(mode: u32) -> (u32, Option<(u32, u32)>) {
    (mode, nix::unistd::geteuid().is_root().then_some((12345, 12346)))
}

const FILES: [(&str, &str); 7] = [
    ("--html", "a.html"),
    ("--md", "a.md"),
    ("--csv", "a.csv"),
    ("--hgrm", "a.hgrm"),
    ("--hlog", "a.hlog"),
    ("--pods-csv", "a-pods.csv"),
    ("--json-file", "a.json"),
];

#[test]
fn a_file_belongs_to_the_caller_behind_sudo_and_has_the_usual_mode() {
    let world = World::new();
    let at = |name: &str| world.directory.path().join(name);
    let server = Server::new();
    let flags: Vec<String> = FILES.iter().map(|(flag, file)| format!("{flag} {file}")).collect();
    let test =
        format!("umask 027; \"$EVENKEEL\" test --target $URL -c 1 -d 1s --warmup 0 --rate 20 {}", flags.join(" "));
    script(&world, &server.url(), &test);
    for (flag, file) in FILES {
        assert_eq!(look(&at(file)), of_caller(0o640), "{flag}");
    }
    for format in ["--html", "--md", "--csv", "--pods-csv", "--hgrm", "--hlog", "--table", "--json"] {
        script(&world, "", &format!("umask 002; \"$EVENKEEL\" report a.json {format} -o report{format}"));
        assert_eq!(look(&at(&format!("report{format}"))), of_caller(0o664), "{format}");
    }
    // What exists stays as it is, behind a link too.
    fs::write(at("kept"), "before").unwrap();
    script(&world, "", "umask 022; chmod 604 kept; ln -s kept link; \"$EVENKEEL\" report a.json --md -o link");
    let (mode, owner) = look(&at("kept"));
    assert!(fs::read_to_string(at("kept")).unwrap().contains('|') && at("link").is_symlink());
    assert_eq!((mode, owner.map(|(user, _)| user)), (0o604, owner.map(|_| 0)));

    // A pipe, the program's own stdout in its three forms, and nothing at all.
    let markdown = fs::read_to_string(at("kept")).unwrap();
    let piped = script(&world, "", "\"$EVENKEEL\" report a.json --md -o /dev/stdout | cat");
    assert_eq!(String::from_utf8_lossy(&piped.stdout), markdown);
    script(&world, "", "{ echo before; \"$EVENKEEL\" report a.json --md -o /dev/stdout; echo after; } > out");
    assert_eq!(fs::read_to_string(at("out")).unwrap(), format!("before\n{markdown}after\n"));
    script(&world, "", "mkfifo pipe; cat pipe > piped & \"$EVENKEEL\" report a.json --md -o pipe && wait");
    assert_eq!(fs::read_to_string(at("piped")).unwrap(), markdown);
    script(&world, "", "\"$EVENKEEL\" report a.json --md -o /dev/null");
    let left = world.files().into_iter().filter(|name| name.starts_with(".evenkeel"));
    assert_eq!(left.count(), 0, "temporary files are left");
}
