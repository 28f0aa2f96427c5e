//! Images of programs from Debian's and Ubuntu's packages.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use serde_json::Value;

use crate::apt::apt;
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
    package_image_with(package, name, config, None)
}

/// The same with a program of this path, under this name in /usr/bin.
pub(crate) fn package_image_with(package: &str, name: &str, config: Value, program: Option<(&Path, &str)>) -> PathBuf {
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
        extract_all(&directory, &tree);
        if let Some((program, name)) = program {
            let copy = tree.join("usr/bin").join(name);
            fs::copy(program, &copy).unwrap();
            fs::set_permissions(copy, fs::Permissions::from_mode(0o755)).unwrap();
        }
        pack_tree(&tree, name, config, &archive);
    }
    archive
}

/// The files of a package, without those of its dependencies. It is downloaded once for a target directory, and not installed.
pub(crate) fn package_files(package: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian-files").join(package);
    let tree = directory.join("tree");
    if !tree.exists() {
        let _ = fs::remove_dir_all(&directory);
        let unfinished = directory.join("unfinished");
        fs::create_dir_all(&unfinished).unwrap();
        download(&BTreeSet::from([package.to_owned()]), &directory);
        extract_all(&directory, &unfinished);
        fs::rename(unfinished, &tree).unwrap();
    }
    tree
}

/// apt, or one of its programs, with package lists of the tests' own. Those of the machine may be missing or old.
fn with_own_lists(program: &str) -> Command {
    static LISTS: LazyLock<PathBuf> = LazyLock::new(|| {
        let lists = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian/lists");
        if !lists.join("complete").exists() {
            fs::create_dir_all(lists.join("partial")).unwrap();
            let updated = with_lists("apt-get", &lists).arg("update").output().unwrap();
            assert!(updated.status.success(), "{}", String::from_utf8_lossy(&updated.stderr));
            fs::write(lists.join("complete"), "").unwrap();
        }
        lists
    });
    with_lists(program, &LISTS)
}

fn with_lists(program: &str, lists: &Path) -> Command {
    let mut command = apt(program);
    command.arg(format!("--option=Dir::State::lists={}", lists.display()));
    command.arg(format!("--option=Dir::Cache={}", lists.display()));
    command
}

/// The package and what it depends on, directly or not.
fn with_dependencies(package: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::from([package.to_owned()]);
    let mut new: Vec<String> = all.iter().cloned().collect();
    while !new.is_empty() {
        let apt = with_own_lists("apt-cache").args(["depends", "--important"]).args(&new).output().unwrap();
        assert!(apt.status.success(), "{}", String::from_utf8_lossy(&apt.stderr));
        let listed = String::from_utf8(apt.stdout).unwrap();
        let names = listed.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        let needed = names.filter(|name| NEEDED.iter().any(|needed| name.starts_with(needed)));
        new = needed.map(str::to_owned).filter(|name| all.insert(name.clone())).collect();
    }
    all
}

fn download(packages: &BTreeSet<String>, directory: &Path) {
    let apt = with_own_lists("apt-get").arg("download").args(packages).current_dir(directory).output().unwrap();
    assert!(apt.status.success(), "{}", String::from_utf8_lossy(&apt.stderr));
}

/// Extracts the packages in a directory.
fn extract_all(directory: &Path, tree: &Path) {
    for file in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "deb") {
            extract(&file, tree);
        }
    }
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
