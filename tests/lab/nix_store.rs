//! Programs from the Nix store: while the lab is up, Nix's garbage collector finds a root for each of them.

use std::path::Path;

use crate::lab::{Lab, NAME, text};

/// Makes a root file system with a `/nix` of its own, in which everything else is the machine's, and enters it.
const OWN_NIX: &str = r#"
set -e
root=$(mktemp -d); mount -t tmpfs root "$root"
for path in /*; do
  if [ "$path" = /nix ]; then continue; fi
  if [ -L "$path" ]; then cp -a "$path" "$root/"
  elif [ -d "$path" ]; then mkdir "$root$path"; mount --rbind "$path" "$root$path"; fi
done
mkdir -p "$root/nix/store" "$root/nix/var/nix/gcroots" "$root/.old"
cd "$root"; pivot_root . .old; umount -l /.old; rmdir /.old; cd /; umount -l "$root"; rmdir "$root"
runc=$(PATH="$PATH:$(echo /var/cache/evenkeel/toolbox/runc-*/bin)" command -v runc)
mkdir -p /nix/store/a-runc/bin /nix/store/b-unused; cp "$runc" /nix/store/a-runc/bin/
export PATH=/nix/store/a-runc/bin:$PATH
roots() { find /nix/var/nix/gcroots -type l -printf '%p -> %l\n'; }
"#;

const DEAD_SCHEDULER: &str = r#"
printf '#!/bin/sh\n[ "$1" = --version ] && echo Kubernetes v1.36.3 && exit\nexit 7\n' >/nix/store/a-runc/bin/kube-scheduler
chmod +x /nix/store/a-runc/bin/kube-scheduler
"#;

#[test]
fn what_the_lab_uses_of_the_nix_store_has_roots_until_it_is_down() {
    let Some(lab) = Lab::new() else { return };
    if Path::new("/nix/store").exists() {
        // The programs of this machine may be in there, and the store of the test would hide them.
        eprintln!("skipped, because this machine has a Nix store");
        return;
    }
    // Installs the toolbox if necessary.
    lab.up();
    lab.down();
    let run = |script: &str| {
        let output = lab.script(&["--mount", "--propagation=private"], &format!("{OWN_NIX}{script}"));
        (text(&output.stdout), text(&output.stderr))
    };

    let (stdout, stderr) =
        run("\"$EVENKEEL\" up >/dev/null; roots; echo down; \"$EVENKEEL\" down; ls -A /nix/var/nix/gcroots");
    let root = format!("/nix/var/nix/gcroots/evenkeel-{NAME}/a-runc -> /nix/store/a-runc\ndown\n");
    assert!(stdout.starts_with(&root), "{stdout}{stderr}");
    assert!(stdout.ends_with(&format!(", /nix/var/nix/gcroots/evenkeel-{NAME}.\n")), "{stdout}{stderr}");

    // A boot that fails leaves none.
    let (stdout, stderr) = run(&format!("{DEAD_SCHEDULER}! \"$EVENKEEL\" up; roots; echo end"));
    assert!(stdout == "end\n" && stderr.contains("kube-scheduler ended while starting (exit 7)"), "{stdout}{stderr}");
    // A store without a place for roots is no failure.
    let (stdout, stderr) = run("rmdir /nix/var/nix/gcroots; \"$EVENKEEL\" up >/dev/null && \"$EVENKEEL\" down");
    assert!(stdout.starts_with("Removed the lab"), "{stdout}{stderr}");
    assert!(stderr.contains("Nix's garbage collector may delete programs of the lab"), "{stderr}");
}
