//! `toolbox export` and `toolbox import`: programs are taken over only as they were built from the pins, and nothing else is
//! written.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use evenkeel::toolbox::{Module, Program};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::EntryType;

use super::{Said, World};

const MANIFEST: &str = "toolbox.json";

/// A script that answers as the pinned version of a program does.
fn script(program: Program, module: Module) -> String {
    let version = module.pins().version().to_owned();
    let bare = version.trim_start_matches('v');
    let says = match program {
        Program::Kubectl => format!("Client Version: {version}"),
        Program::Etcd => "etcd Version: 3.6.14".to_owned(),
        Program::Coredns => format!("CoreDNS-{bare}"),
        Program::Runc => format!("runc version {bare}\nlibseccomp: 2.5.4"),
        _ if program.is_cni_plugin() => r#"{"cniVersion":"1.1.0","supportedVersions":["1.0.0","1.1.0"]}"#.to_owned(),
        _ if module == Module::Kubernetes => format!("Kubernetes {version}"),
        _ => format!("{program} github.com/containerd/containerd/v2 {version}"),
    };
    format!("#!/bin/sh\n# {program}\necho '{says}'\n")
}

/// A world in whose cache the programs of these modules were built.
fn world_with(modules: &[Module]) -> World {
    let world = World::new();
    for module in modules {
        let bin = module.pins().bin(&world.path("cache"));
        fs::create_dir_all(&bin).unwrap();
        for program in Program::of_module(*module) {
            let path = bin.join(program.name());
            fs::write(&path, script(program, *module)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    world
}

impl World {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    #[track_caller]
    fn does(&self, arguments: &[&str]) -> Said {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {}", said.stderr);
        said
    }

    fn import(&self, file: &str, cache: &str) -> Said {
        self.run(&["toolbox", "import", file, "--cache-dir", cache])
    }
}

/// The files below a directory, without the locks.
fn tree(directory: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut files = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            if metadata.is_dir() {
                directories.push(path);
            } else if path.extension().is_none_or(|extension| extension != "lock") {
                let name = path.strip_prefix(directory).unwrap().to_owned();
                files.insert(name, (metadata.mode() & 0o7777, fs::read(&path).unwrap()));
            }
        }
    }
    files
}

/// An archive that can be changed.
#[derive(Clone)]
struct Archive {
    manifest: Value,
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    path: String,
    kind: EntryType,
    content: Vec<u8>,
}

impl Archive {
    fn read(file: &Path) -> Self {
        let mut archive = tar::Archive::new(GzDecoder::new(File::open(file).unwrap()));
        let mut entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            Entry { path, kind: entry.header().entry_type(), content }
        });
        let manifest = entries.next().unwrap();
        assert_eq!(manifest.path, MANIFEST);
        Self { manifest: serde_json::from_slice(&manifest.content).unwrap(), entries: entries.collect() }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let manifest = serde_json::to_vec(&self.manifest).unwrap();
        let manifest = Entry { path: MANIFEST.to_owned(), kind: EntryType::Regular, content: manifest };
        for Entry { path, kind, content } in std::iter::once(&manifest).chain(&self.entries) {
            let mut header = tar::Header::new_ustar();
            // Not by the functions of the crate, which refuse `..`.
            header.as_ustar_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o6777);
            header.set_size(content.len() as u64);
            if kind.is_symlink() || kind.is_hard_link() {
                header.as_ustar_mut().unwrap().linkname[..11].copy_from_slice(b"/etc/passwd");
            }
            header.set_cksum();
            archive.append(&header, &content[..]).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap()
    }

    /// The program of this name, and its place in the manifest.
    fn program(&mut self, name: &str) -> (&mut Entry, &mut Value) {
        let end = format!("/bin/{name}");
        let entry = self.entries.iter_mut().find(|entry| entry.path.ends_with(&end)).unwrap();
        let modules = self.manifest["modules"].as_array_mut().unwrap();
        let mut files = modules.iter_mut().flat_map(|module| module["files"].as_array_mut().unwrap());
        (entry, files.find(|file| file["path"] == format!("bin/{name}")).unwrap())
    }

    /// Another content of a program, with the right size and checksum in the manifest.
    fn replace(&mut self, name: &str, content: &str) {
        let (entry, listed) = self.program(name);
        entry.content = content.as_bytes().to_vec();
        listed["size"] = json!(content.len());
        listed["sha256"] = json!(sha256(content.as_bytes()));
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[test]
fn what_one_cache_has_another_one_takes_over_as_it_is() {
    let world = world_with(Module::ALL);
    let said = world.does(&["toolbox", "export", "toolbox.tar.gz"]);
    assert!(said.stdout.contains("kubernetes   v1."), "{}", said.stdout);
    assert!(!said.stderr.contains("not in the cache"), "{}", said.stderr);
    let said = world.does(&["toolbox", "import", "toolbox.tar.gz", "--cache-dir", "other", "--json"]);
    let result: Value = serde_json::from_str(&said.stdout).unwrap();
    let modules = result["modules"].as_array().unwrap();
    assert_eq!(modules.len(), Module::ALL.len(), "{result}");
    assert!(modules.iter().all(|module| module["already_there"] == false), "{result}");

    let imported = tree(&world.path("other/toolbox"));
    for module in Module::ALL {
        let pins = module.pins();
        let directory = PathBuf::from(pins.directory_name());
        assert_eq!(imported[&directory.join("go.sum")].1, pins.go_sum.as_bytes(), "{module}");
        for program in Program::of_module(*module) {
            let expected = (0o755, script(program, *module).into_bytes());
            assert_eq!(imported[&directory.join("bin").join(program.name())], expected, "{program}");
        }
    }
    let programs = Module::ALL.iter().map(|module| Program::of_module(*module).count() + 2).sum::<usize>();
    assert_eq!(imported.len(), programs, "nothing else is there: {:?}", imported.keys());

    // Equal programs make equal archives.
    world.does(&["toolbox", "export", "again.tar.gz", "--cache-dir", "other"]);
    assert_eq!(fs::read(world.path("again.tar.gz")).unwrap(), fs::read(world.path("toolbox.tar.gz")).unwrap());
}

#[test]
fn what_is_there_and_whole_is_not_replaced_and_what_is_damaged_is() {
    let world = world_with(&[Module::Cni, Module::Runc]);
    let said = world.does(&["toolbox", "export", "toolbox.tar.gz"]);
    assert!(said.stderr.contains("not in the archive: containerd, CoreDNS, Kubernetes and etcd"), "{}", said.stderr);
    let runc = Module::Runc.pins().bin(&world.path("cache")).join("runc");
    let ptp = Module::Cni.pins().bin(&world.path("cache")).join("ptp");
    let before = fs::metadata(&runc).unwrap();
    fs::remove_file(&ptp).unwrap();
    let said = world.does(&["toolbox", "import", "toolbox.tar.gz"]);
    let results: Vec<_> = said.stdout.lines().skip(1).map(|line| line.rsplit("   ").next().unwrap()).collect();
    assert_eq!(results, ["imported", "already there"], "{}", said.stdout);
    let after = fs::metadata(&runc).unwrap();
    assert_eq!((after.ino(), after.mtime_nsec()), (before.ino(), before.mtime_nsec()));
    assert_eq!(fs::read_to_string(&ptp).unwrap(), script(Program::CniPtp, Module::Cni));
    let left: Vec<_> =
        tree(&world.path("cache")).into_keys().filter(|path| path.to_string_lossy().contains("unfinished")).collect();
    assert_eq!(left, Vec::<PathBuf>::new());
}

/// Checks that the archive is refused with these words, and that no program was taken over.
#[track_caller]
fn refuses(world: &World, bytes: &[u8], words: &[&str]) {
    world.write("changed.tar.gz", bytes);
    let said = world.import("changed.tar.gz", "refused");
    assert_eq!(said.code, 2, "{words:?}: {}", said.stderr);
    assert_eq!(said.stdout, "");
    for word in words {
        assert!(said.stderr.contains(word), "should say {word:?}: {}", said.stderr);
    }
    assert!(!said.stderr.contains('\u{1b}'), "{:?}", said.stderr);
    assert_eq!(tree(&world.path("refused")), BTreeMap::new(), "{words:?}");
    assert!(!world.path("outside").exists());
}

#[test]
fn what_is_no_archive_of_a_toolbox_is_refused() {
    let world = world_with(&[Module::Cni]);
    world.does(&["toolbox", "export", "toolbox.tar.gz"]);
    let whole = fs::read(world.path("toolbox.tar.gz")).unwrap();
    let no_archive = "it is not an archive that evenkeel toolbox export made";
    for bytes in [&b""[..], b"\x1f\x8b", b"garbage", &[0; 4096]] {
        refuses(&world, bytes, &[no_archive]);
    }
    let mut empty = GzEncoder::new(Vec::new(), Compression::fast());
    empty.write_all(b"#!/bin/sh").unwrap();
    refuses(&world, &empty.finish().unwrap(), &[no_archive]);
    let missing = world.import("missing.tar.gz", "refused");
    assert!(missing.code == 2 && missing.stderr.contains("there is no such file"), "{}", missing.stderr);

    let end = whole.len();
    for length in [end / 2, end * 3 / 4, end - 9, end - 1] {
        refuses(&world, &whole[..length], &["cannot be imported: it is truncated"]);
    }
    let unpacked = |bytes: &[u8]| {
        let mut tar = Vec::new();
        GzDecoder::new(bytes).read_to_end(&mut tar).unwrap();
        tar
    };
    let tar = unpacked(&whole);
    refuses(&world, &tar[..tar.len() / 2], &["it is truncated"]);
    refuses(&world, &[&whole[..], b"more"].concat(), &["cannot be imported: it is "]);
    refuses(&world, &[&tar[..], &vec![1; 2 << 20][..]].concat(), &["data follows its end"]);
    // Not compressed, as some programs fetch it.
    world.write("toolbox.tar", &tar);
    world.does(&["toolbox", "import", "toolbox.tar", "--cache-dir", "plain"]);
}

#[test]
fn a_changed_archive_is_refused() {
    let world = world_with(&[Module::Cni, Module::Runc]);
    world.does(&["toolbox", "export", "toolbox.tar.gz"]);
    let archive = Archive::read(&world.path("toolbox.tar.gz"));
    let changed = |change: &dyn Fn(&mut Archive), words: &[&str]| {
        let mut archive = archive.clone();
        change(&mut archive);
        refuses(&world, &archive.bytes(), words);
    };
    let kind = |kind: EntryType| move |archive: &mut Archive| archive.program("ptp").0.kind = kind;

    changed(&|archive| archive.program("runc").0.content[20] ^= 1, &["/bin/runc has the SHA-256 ", ", expected "]);
    changed(&|archive| archive.program("ptp").0.content.push(b'x'), &["/bin/ptp has ", " bytes, expected "]);
    changed(
        &|archive| archive.program("ptp").1["size"] = json!(5_u64 << 30),
        &["bin/ptp has 5368709120 bytes, expected at most"],
    );
    changed(&|archive| drop(archive.entries.pop()), &["it is truncated: runc-"]);
    changed(&|archive| drop(archive.entries.remove(2)), &["where the file cni-"]);
    changed(&|archive| archive.program("ptp").0.path = "../../outside".into(), &["it has ../../outside (Regular)"]);
    changed(&|archive| archive.program("ptp").0.path = "/outside".into(), &["it has /outside (Regular)"]);
    let mut more = archive.entries[0].clone();
    more.path = "runc-x/bin/\u{1b}[31mmore".to_owned();
    changed(&|archive| archive.entries.push(more.clone()), &["it has an unexpected file (runc-x/bin/\\u{1b}[31mmore)"]);
    for (of, name) in [
        (EntryType::Symlink, "Symlink"),
        (EntryType::Link, "Link"),
        (EntryType::Fifo, "Fifo"),
        (EntryType::Block, "Block"),
        (EntryType::Directory, "Directory"),
        (EntryType::GNULongName, "GNULongName"),
        (EntryType::XHeader, "XHeader"),
        (EntryType::GNUSparse, "GNUSparse"),
    ] {
        changed(&kind(of), &[&format!("({name}) where the file ")]);
    }

    changed(&|archive| archive.manifest["schema_version"] = json!(2), &["its format is version 2, expected version 1"]);
    changed(&|archive| archive.manifest["modules"] = json!("x"), &["its toolbox.json cannot be read"]);
    changed(&|archive| archive.manifest["modules"] = json!([]), &["it has no modules"]);
    changed(&|archive| archive.manifest["modules"].as_array_mut().unwrap().reverse(), &["not in the expected order"]);
    changed(
        &|archive| drop(archive.manifest["modules"][0]["files"].as_array_mut().unwrap().pop()),
        &["it does not have exactly the files of the CNI plugins"],
    );
}

#[test]
fn an_archive_for_another_machine_or_of_other_pins_is_refused_before_anything_is_written() {
    let world = world_with(&[Module::Cni, Module::Runc]);
    world.does(&["toolbox", "export", "toolbox.tar.gz"]);
    let archive = Archive::read(&world.path("toolbox.tar.gz"));
    let refused = |change: &dyn Fn(&mut Value), words: &[&str]| {
        let mut archive = archive.clone();
        change(&mut archive.manifest);
        refuses(&world, &archive.bytes(), words);
        assert!(!world.path("refused").exists(), "not even a directory: {words:?}");
    };
    refused(
        &|manifest| manifest["platform"] = json!("linux/s390x"),
        &["has programs for linux/s390x, and this machine is linux/"],
    );
    refused(&|manifest| manifest["platform"] = json!("\u{1b}[2J"), &["has programs for \\u{1b}[2J"]);
    refused(
        &|manifest| manifest["modules"][1]["version"] = json!("v1.0.0"),
        &["evenkeel pins: runc: v1.0.0, expected v1."],
    );
    refused(&|manifest| manifest["modules"][1]["name"] = json!("crun"), &["crun is not pinned here"]);
    refused(
        &|manifest| manifest["modules"][0]["files"][1]["sha256"] = json!(sha256(b"another go.sum")),
        &["the CNI plugins: other versions or checksums in go.mod or go.sum"],
    );
    refused(
        &|manifest| manifest["modules"][1]["flags"] = json!(["-trimpath"]),
        &["runc: other flags of go install", "with this version of Evenkeel"],
    );
}

#[test]
fn a_program_that_does_not_run_here_is_named_and_the_others_are_imported() {
    let world = world_with(&[Module::Cni, Module::Runc]);
    world.does(&["toolbox", "export", "toolbox.tar.gz"]);
    let mut archive = Archive::read(&world.path("toolbox.tar.gz"));
    archive.replace(
        "runc",
        "#!/bin/sh\necho 'runc: error while loading shared libraries: libseccomp.so.2' >&2\nexit 127\n",
    );
    world.write("changed.tar.gz", &archive.bytes());
    let said = world.import("changed.tar.gz", "other");
    assert_eq!(said.code, 1, "{}", said.stderr);
    for word in ["runc could not be installed", "cannot be used on this machine: runc does not report", "libseccomp"] {
        assert!(said.stderr.contains(word), "{word}: {}", said.stderr);
    }
    assert!(Module::Cni.pins().bin(&world.path("other")).join("ptp").exists());
    assert!(!Module::Runc.pins().directory(&world.path("other")).exists());
}

#[test]
fn an_export_or_import_that_fails_leaves_no_part() {
    let world = World::new();
    let said = world.run(&["toolbox", "export", "toolbox.tar.gz"]);
    assert_eq!(said.code, 1);
    assert!(
        said.stderr.contains("there is nothing to export") && said.stderr.contains("--install-tools"),
        "{}",
        said.stderr
    );
    assert_eq!(world.files(), Vec::<String>::new());

    let world = world_with(&[Module::Runc]);
    for (file, why) in
        [("missing/toolbox.tar.gz", "No such file"), ("/dev/full", "No space left"), ("cache", "irectory")]
    {
        let said = world.run(&["toolbox", "export", file]);
        assert_eq!(said.code, 1, "{file}: {}", said.stderr);
        assert!(
            said.stderr.contains(&format!("could not write {file}")) && said.stderr.contains(why),
            "{}",
            said.stderr
        );
    }
    assert_eq!(world.files(), ["cache"]);
    world.does(&["toolbox", "export", "toolbox.tar.gz"]);
    let said = world.import("toolbox.tar.gz", "toolbox.tar.gz/cache");
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stderr.contains("toolbox.tar.gz/cache/toolbox: Not a directory"), "{}", said.stderr);
}

#[test]
fn an_archive_on_stdout_is_not_followed_by_the_table() {
    let world = world_with(&[Module::Runc]);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.args(["toolbox", "export", "/dev/stdout"]).env("EVENKEEL_CACHE_DIR", world.path("cache"));
    command.env("EVENKEEL_STATE_DIR", world.path("state"));
    world.write("toolbox.tar.gz", &command.output().unwrap().stdout);
    world.does(&["toolbox", "import", "toolbox.tar.gz", "--cache-dir", "other"]);
}
