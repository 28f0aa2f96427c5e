//! Manifests: Kubernetes objects in YAML or JSON, from files, directories, stdin or the program itself.

mod document;
mod helm_hook;
mod own;
mod read;

use std::fmt;

use kube::api::DynamicObject;

pub use helm_hook::take_other_hooks;
pub use own::own;
pub use read::{ManifestSource, read, read_text};

/// Where a manifest is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestPlace {
    /// The file, or "stdin".
    pub file: String,
    /// The number of the document in the file, from 1. `None` for the file as a whole.
    pub document: Option<usize>,
}

impl fmt::Display for ManifestPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.document {
            Some(document) => write!(formatter, "{}, document {document}", self.file),
            None => formatter.write_str(&self.file),
        }
    }
}

/// An object that is to be applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Where it is from.
    pub place: ManifestPlace,
    /// The object. It has an apiVersion, a kind and a name.
    pub object: DynamicObject,
}

impl Manifest {
    /// Its kind; empty only if it has none.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.object.types.as_ref().map_or("", |types| &types.kind)
    }

    /// Its apiVersion; empty only if it has none.
    #[must_use]
    pub fn api_version(&self) -> &str {
        self.object.types.as_ref().map_or("", |types| &types.api_version)
    }

    /// Its name; empty only if it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }

    /// The object as a typed value; `None` if it is of another kind, or does not match the type.
    #[must_use]
    pub fn typed<K>(&self) -> Option<K>
    where
        K: kube::Resource<DynamicType = ()> + serde::de::DeserializeOwned,
    {
        let is_of_kind = self.kind() == K::kind(&()) && self.api_version() == K::api_version(&());
        is_of_kind.then(|| self.object.clone().try_parse().ok()).flatten()
    }
}
