//! The content of an image: one static program, no shell, no libraries.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use serde_json::Value;

pub(super) fn holds_one_static_file(image: &Value, name: &str) {
    let archive = entries(File::open(image["archive"].as_str().unwrap()).unwrap());
    let json = |path: &str| serde_json::from_slice::<Value>(&archive[path]).unwrap();
    let blob = |descriptor: &Value| format!("blobs/{}", descriptor["digest"].as_str().unwrap().replace(':', "/"));
    let manifest = json(&blob(&json("index.json")["manifests"][0]));
    let layers = manifest["layers"].as_array().unwrap();
    let files: BTreeMap<_, _> = layers.iter().flat_map(|layer| entries(&*archive[&blob(layer)])).collect();
    assert_eq!(files.keys().collect::<Vec<_>>(), [name], "{manifest:#}");
    assert!(is_static(&files[name]));
    let config = &json(&blob(&manifest["config"]))["config"];
    assert_eq!((&config["User"], &config["Entrypoint"][0]), (&"65532:65532".into(), &format!("/{name}").into()));
}

/// The files of an uncompressed archive.
fn entries(archive: impl Read) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if !entry.header().entry_type().is_dir() {
            found.insert(path.trim_start_matches("./").to_owned(), content);
        }
    }
    found
}

/// Whether a 64-bit ELF program has no interpreter (`PT_INTERP`), that is, needs no dynamic loader.
fn is_static(elf: &[u8]) -> bool {
    let number = |at: usize, length: usize| {
        elf[at..at + length].iter().rev().fold(0, |number: usize, &byte| number << 8 | usize::from(byte))
    };
    assert_eq!(&elf[..5], b"\x7fELF\x02");
    let (first, size, count) = (number(0x20, 8), number(0x36, 2), number(0x38, 2));
    assert!(count > 0);
    (0..count).all(|header| number(first + header * size, 4) != 3)
}
