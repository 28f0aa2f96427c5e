//! Finds the files of manifests, and reads them.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Manifest, ManifestPlace, document};
use crate::workload::WorkloadError;

/// The endings of the files in a directory that are manifests.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Where manifests are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestSource {
    /// A file, or a directory with files that end with `.yaml`, `.yml` or `.json`.
    Path(PathBuf),
    /// The standard input.
    Stdin,
}

impl From<OsString> for ManifestSource {
    fn from(text: OsString) -> Self {
        if text == "-" { Self::Stdin } else { Self::Path(text.into()) }
    }
}

/// Reads all manifests of a source.
///
/// # Errors
/// [`WorkloadError::Manifest`] when nothing can be read, when there is no object, or when a document is invalid.
pub fn read(source: &ManifestSource) -> Result<Vec<Manifest>, WorkloadError> {
    let mut manifests = Vec::new();
    let what = match source {
        ManifestSource::Stdin => {
            let mut text = String::new();
            let read = std::io::stdin().lock().read_to_string(&mut text);
            read.map_err(|source| refused("stdin", source.to_string()))?;
            manifests = read_text("stdin", &text)?;
            "stdin".to_owned()
        }
        ManifestSource::Path(path) => {
            for file in files(path)? {
                let name = file.display().to_string();
                let text = fs::read_to_string(&file).map_err(|source| refused(&name, source.to_string()))?;
                manifests.extend(document::parse(&name, &text)?);
            }
            path.display().to_string()
        }
    };
    if manifests.is_empty() { Err(refused(&what, "it contains no object".into())) } else { Ok(manifests) }
}

/// Parses a text, which is from `name`.
///
/// # Errors
/// As [`read`].
pub fn read_text(name: &str, text: &str) -> Result<Vec<Manifest>, WorkloadError> {
    document::parse(name, text)
}

/// The file itself, or the manifests in a directory in the order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>, WorkloadError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let name = path.display().to_string();
    let listed = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let listed = listed.map_err(|source| refused(&name, source.to_string()))?.into_iter().map(|entry| entry.path());
    let is_manifest = |file: &PathBuf| {
        file.is_file() && file.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known))
    };
    let mut files: Vec<PathBuf> = listed.filter(is_manifest).collect();
    files.sort();
    if files.is_empty() {
        return Err(refused(&name, "the directory has no file that ends with .yaml, .yml or .json".into()));
    }
    Ok(files)
}

fn refused(file: &str, why: String) -> WorkloadError {
    WorkloadError::Manifest { place: ManifestPlace { file: file.to_owned(), document: None }, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

    #[test]
    fn a_directory_gives_its_manifests_in_order() {
        let directory = tempfile::tempdir().unwrap();
        for (file, name) in [("b.yml", "second"), ("a.json", "first"), ("c.yaml", "third"), ("notes.txt", "ignored")] {
            fs::write(directory.path().join(file), OBJECT.replace("name: a", &format!("name: {name}"))).unwrap();
        }
        fs::create_dir(directory.path().join("d.yaml")).unwrap();
        let source = ManifestSource::from(directory.path().as_os_str().to_owned());
        let names: Vec<String> = read(&source).unwrap().iter().map(|manifest| manifest.name().to_owned()).collect();
        assert_eq!(names, ["first", "second", "third"]);
    }

    #[test]
    fn what_has_no_object_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let why = |path: &Path| read(&ManifestSource::Path(path.to_owned())).unwrap_err().to_string();
        assert!(why(directory.path()).contains("no file that ends with"));
        let empty = directory.path().join("empty.yaml");
        fs::write(&empty, "# nothing\n---\n").unwrap();
        assert!(why(&empty).contains("empty.yaml") && why(&empty).contains("no object"), "{}", why(&empty));
        assert!(why(&directory.path().join("gone.yaml")).contains("No such file"));
        fs::write(&empty, [0xff, 0xfe]).unwrap();
        assert!(why(&empty).contains("UTF-8"), "{}", why(&empty));
    }
}
