//! Images of programs from Debian's and Ubuntu's packages.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::image_tree::pack_tree;

/// The dependencies that servers need at run time, by how their names begin. The others are for administration.
const NEEDED: [&str; 4] = ["lib", "zlib", "nginx-common", "redis-tools"];
/// What a container does not need.
const LEFT_OUT: [&str; 4] = ["./usr/share/doc", "./usr/share/man", "*/gconv/*", "*/systemd/*"];

/// Whether this machine can download packages.
pub(crate) fn has_packages() -> bool {
    ["apt-get", "apt-cache", "dpkg-deb"].iter().all(|program| Command::new(program).arg("--version").output().is_ok())
}

/// An archive with an image of this name, with the package and the libraries that it needs; made once for a target directory.
pub(crate) fn package_image(package: &str, name: &str, config: Value) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian").join(package);
    let archive = directory.join("image.tar");
    if !archive.exists() {
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        let tree = directory.join("tree");
        // Packages of a distribution with a merged /usr rely on these links.
        for merged in ["bin", "sbin", "lib", "lib64"] {
            fs::create_dir_all(tree.join("usr").join(merged)).unwrap();
            symlink(format!("usr/{merged}"), tree.join(merged)).unwrap();
        }
        download(&with_dependencies(package), &directory);
        for file in fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_some_and(|extension| extension == "deb") {
                extract(&file, &tree);
            }
        }
        pack_tree(&tree, name, config, &archive);
    }
    archive
}

/// The package and what it depends on, directly or not.
fn with_dependencies(package: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::from([package.to_owned()]);
    let mut new: Vec<String> = all.iter().cloned().collect();
    while !new.is_empty() {
        let mut apt = Command::new("apt-cache");
        let apt = apt.args(["depends", "--important"]).args(&new).env("LC_ALL", "C").output().unwrap();
        assert!(apt.status.success(), "{}", String::from_utf8_lossy(&apt.stderr));
        let listed = String::from_utf8(apt.stdout).unwrap();
        let names = listed.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        let needed = names.filter(|name| NEEDED.iter().any(|needed| name.starts_with(needed)));
        new = needed.map(str::to_owned).filter(|name| all.insert(name.clone())).collect();
    }
    all
}

fn download(packages: &BTreeSet<String>, directory: &Path) {
    let mut apt = Command::new("apt-get");
    let apt = apt.arg("download").args(packages).current_dir(directory).output().unwrap();
    assert!(apt.status.success(), "{}", String::from_utf8_lossy(&apt.stderr));
}

/// Unlike `dpkg-deb --extract`, this follows the links of the tree.
fn extract(package: &Path, tree: &Path) {
    let mut content = Command::new("dpkg-deb");
    let content = content.arg("--fsys-tarfile").arg(package).stdout(Stdio::piped());
    let mut content = content.spawn().unwrap();
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--keep-directory-symlink", "--directory"]).arg(tree);
    tar.args(LEFT_OUT.map(|pattern| format!("--exclude={pattern}"))).stdin(content.stdout.take().unwrap());
    assert!(tar.status().unwrap().success() && content.wait().unwrap().success(), "{}", package.display());
}
