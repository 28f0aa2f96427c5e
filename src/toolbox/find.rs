//! Finds the programs: on PATH first, then in the cache. Each is asked for its version.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use futures::future::join_all;
use serde::Serialize;

use super::module::Module;
use super::program::{Program, ProgramSource};
use super::release::Release;
use super::remembered_versions::RememberedVersions;
use super::version;

/// Directories of system programs, which are searched even if the caller's PATH lacks them.
const SYSTEM_DIRECTORIES: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"];
/// Directories in which distributions install CNI plugins.
const PLUGIN_DIRECTORIES: &[&str] = &["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];

/// The result of the search for one program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The program.
    pub program: Program,
    /// Its path; `None` when no suitable one was found.
    pub path: Option<PathBuf>,
    /// Its version, if it reports one.
    pub version: Option<String>,
    /// Why there is no path.
    pub problem: Option<String>,
    /// Programs of that name that are not suitable, in the order of the search.
    pub passed_over: Vec<PassedOver>,
}

/// A program of the right name that is not suitable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// Where it is.
    pub path: PathBuf,
    /// Why it is not suitable: "is version 1.35.2, but 1.36 or 1.37 is needed".
    pub why: String,
}

impl Found {
    /// Whether it is missing and required.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.path.is_none() && !self.program.is_optional()
    }
}

/// Looks for all programs on PATH, in the usual directories and then in `cache`; takes the first suitable one of each.
pub async fn find(cache: &Path) -> Vec<Found> {
    let places = Places::of_this_machine(cache);
    let remembered = RefCell::new(RememberedVersions::read(cache));
    let release = release(&places, &remembered).await;
    let found = join_all(Program::ALL.iter().map(|&program| search(program, release, &places, &remembered))).await;
    remembered.into_inner().write(cache);
    found
}

/// Looks for one program, as [`find`] does for all.
pub async fn find_one(program: Program, cache: &Path) -> Found {
    let (places, remembered) = (Places::of_this_machine(cache), RefCell::new(RememberedVersions::read(cache)));
    let of_kubernetes = program.is_kubernetes_component() || program == Program::Kubectl;
    let release = if of_kubernetes { release(&places, &remembered).await } else { Release::pinned() };
    search(program, release, &places, &remembered).await
}

/// The directories that are searched, the cache's last.
struct Places {
    programs: Vec<PathBuf>,
    plugins: Vec<PathBuf>,
    built: BTreeMap<Module, PathBuf>,
}

impl Places {
    fn of_this_machine(cache: &Path) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut plugin_path = std::env::var_os("CNI_PATH").unwrap_or_default();
        plugin_path.push(":");
        plugin_path.push(&path);
        Self {
            programs: directories(&path, SYSTEM_DIRECTORIES),
            plugins: directories(&plugin_path, PLUGIN_DIRECTORIES),
            built: built(cache),
        }
    }

    /// The possible paths of a program, in the order of preference.
    fn of(&self, program: Program) -> impl Iterator<Item = PathBuf> {
        let usual = if program.is_cni_plugin() { &self.plugins } else { &self.programs };
        let built = match program.source() {
            ProgramSource::Built(module) => self.built.get(&module),
            ProgramSource::Packaged(_) | ProgramSource::GoPackage(_) => None,
        };
        usual.iter().chain(built).map(move |directory| directory.join(program.name()))
    }
}

/// The directories into which this program's pinned modules are built.
fn built(cache: &Path) -> BTreeMap<Module, PathBuf> {
    Module::ALL.iter().map(|module| (*module, module.pins().bin(cache))).collect()
}

/// The directories of a PATH-like variable and `more`. A directory with two names (`/bin`, `/usr/bin`) occurs once.
fn directories(variable: &OsStr, more: &[&str]) -> Vec<PathBuf> {
    let mut seen = Vec::new();
    let mut directories = Vec::new();
    for directory in std::env::split_paths(variable).chain(more.iter().map(PathBuf::from)) {
        let Ok(real) = directory.canonicalize() else { continue };
        if directory.is_absolute() && !seen.contains(&real) {
            seen.push(real);
            directories.push(directory);
        }
    }
    directories
}

/// The release of Kubernetes that the lab uses: the one in which every component was found; of two, the one whose API server
/// comes first. If there is none, it is the pinned one, which can be installed.
async fn release(places: &Places, remembered: &RefCell<RememberedVersions>) -> Release {
    let offered = join_all(Program::KUBERNETES_COMPONENTS.map(|program| offered(program, places, remembered))).await;
    let complete = |release: &&Release| offered.iter().all(|offered| offered.contains(release));
    let [apiserver, ..] = &offered[..] else { return Release::pinned() };
    apiserver.iter().find(complete).copied().unwrap_or_else(Release::pinned)
}

/// The supported releases in which a component was found, in the order of the search.
async fn offered(program: Program, places: &Places, remembered: &RefCell<RememberedVersions>) -> Vec<Release> {
    let mut offered = Vec::new();
    for path in places.of(program).filter(|path| is_executable(path)) {
        let release = ask(program, &path, remembered).await.ok().and_then(|answer| version::release(&answer));
        offered.extend(release.filter(|release| Release::supported().contains(release)));
    }
    offered
}

async fn search(
    program: Program,
    release: Release,
    places: &Places,
    remembered: &RefCell<RememberedVersions>,
) -> Found {
    let mut passed_over = Vec::new();
    for path in places.of(program).filter(|path| is_executable(path)) {
        let answer = ask(program, &path, remembered).await;
        if let Some(why) = version::judge(program, &answer, release) {
            passed_over.push(PassedOver { path, why });
        } else {
            let version = answer.ok().and_then(|answer| version::shown(program, &answer));
            return Found { program, path: Some(path), version, problem: None, passed_over };
        }
    }
    let problem = match passed_over.first() {
        Some(PassedOver { path, why }) => format!("{} {why}", path.display()),
        None => "not found".to_owned(),
    };
    Found { program, path: None, version: None, problem: Some(problem), passed_over }
}

async fn ask(program: Program, path: &Path, remembered: &RefCell<RememberedVersions>) -> Result<String, String> {
    if let Some(answer) = remembered.borrow().answer(path) {
        return Ok(answer.to_owned());
    }
    let answer = version::ask(program, path).await?;
    remembered.borrow_mut().learn(path, &answer);
    Ok(answer)
}

/// The first program of that name on PATH or in the system's directories, in any version.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    all_on_path(name, &[]).into_iter().next()
}

/// All programs of that name on PATH, in `more` and in the system's directories.
pub(super) fn all_on_path(name: &str, more: &[&str]) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more: Vec<&str> = more.iter().chain(SYSTEM_DIRECTORIES).copied().collect();
    let paths = directories(&path, &more).into_iter().map(|directory| directory.join(name));
    paths.filter(|path| is_executable(path)).collect()
}

/// Whether a path leads to a file that may be executed.
#[must_use]
pub fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A script that prints `says`.
    fn script(directory: &Path, name: &str, says: &str) -> PathBuf {
        fs::create_dir_all(directory).unwrap();
        let path = directory.join(name);
        fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn places(path: &[&Path], cache: &Path) -> Places {
        let programs = path.iter().map(|path| path.to_path_buf()).collect();
        Places { programs, plugins: Vec::new(), built: built(cache) }
    }

    async fn searched(program: Program, path: &[&Path], cache: &Path) -> Found {
        search(program, Release::pinned(), &places(path, cache), &RefCell::default()).await
    }

    /// Scripts in place of these components in this version.
    fn components(directory: &Path, programs: &[Program], version: &str) {
        for program in programs {
            script(directory, program.name(), &format!("Kubernetes {version}"));
        }
    }

    #[tokio::test]
    async fn a_lab_uses_the_first_release_in_which_every_component_was_found() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let all = Program::KUBERNETES_COMPONENTS;
        components(&at("old"), &all, "v1.35.9");
        components(&at("newest"), &all, "v1.38.0");
        components(&at("part"), &[Program::KubeApiserver, Program::Kubelet], "v1.37.0");
        components(&at("next"), &all, "v1.37.2");
        components(&at("pinned"), &all, "v1.36.1");
        let used = async |path: &[&str]| {
            let path: Vec<PathBuf> = path.iter().map(|name| at(name)).collect();
            let path: Vec<&Path> = path.iter().map(PathBuf::as_path).collect();
            release(&places(&path, &at("cache")), &RefCell::default()).await
        };
        let pinned = Release::pinned();
        assert_eq!(used(&["old", "next", "pinned"]).await, pinned.after(), "the first one on PATH");
        assert_eq!(used(&["newest", "pinned", "next"]).await, pinned);
        assert_eq!(used(&["part", "pinned"]).await, pinned, "components of two releases are not mixed");
        assert_eq!(used(&["part", "old", "newest"]).await, pinned, "the one that can be installed");
        components(&Module::Kubernetes.pins().bin(&at("cache")), &all, "v1.36.3");
        assert_eq!(used(&["part"]).await, pinned);
        assert_eq!(used(&["next"]).await, pinned.after());

        let mixed = searched(Program::Kubelet, &[&at("part"), &at("pinned")], &at("cache")).await;
        assert_eq!(mixed.path, Some(at("pinned").join("kubelet")));
        assert!(mixed.passed_over[0].why.contains("one minor version, here 1.36"), "{mixed:?}");
    }

    #[tokio::test]
    async fn path_comes_before_the_cache() {
        let directory = tempfile::tempdir().unwrap();
        let (path, cache) = (directory.path().join("path"), directory.path().join("cache"));
        let mine = script(&path, "kubelet", "Kubernetes v1.36.1");
        script(&Module::Kubernetes.pins().bin(&cache), "kubelet", "Kubernetes v1.36.3");
        let found = searched(Program::Kubelet, &[&path], &cache).await;
        assert_eq!((found.path, found.version.as_deref()), (Some(mine), Some("1.36.1")));
    }

    #[tokio::test]
    async fn a_wrong_version_is_passed_over_and_named() {
        let directory = tempfile::tempdir().unwrap();
        let (path, cache) = (directory.path().join("path"), directory.path().join("cache"));
        let old = script(&path, "kubelet", "Kubernetes v1.30.0");
        let found = searched(Program::Kubelet, &[&path], &cache).await;
        assert!(found.is_missing());
        assert!(found.problem.unwrap().contains("1.30.0"));

        let cached = script(&Module::Kubernetes.pins().bin(&cache), "kubelet", "Kubernetes v1.36.3");
        let found = searched(Program::Kubelet, &[&path], &cache).await;
        assert_eq!(found.path, Some(cached));
        assert_eq!(found.passed_over.len(), 1);
        assert_eq!(found.passed_over[0].path, old);
    }

    #[tokio::test]
    async fn a_file_that_is_not_executable_is_not_found() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("nft"), "no program").unwrap();
        fs::create_dir(directory.path().join("ip")).unwrap();
        for program in [Program::Nft, Program::Ip] {
            let found = searched(program, &[directory.path()], directory.path()).await;
            assert_eq!(found.problem.as_deref(), Some("not found"), "{program}");
        }
    }

    #[test]
    fn a_directory_is_searched_once() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().join("real");
        fs::create_dir(&real).unwrap();
        let alias = directory.path().join("alias");
        std::os::unix::fs::symlink(&real, &alias).unwrap();
        let variable = std::env::join_paths([&alias, &real, &directory.path().join("gone")]).unwrap();
        assert_eq!(directories(&variable, &[]), [alias]);
    }
}
