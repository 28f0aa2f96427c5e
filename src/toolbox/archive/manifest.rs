//! The manifest of an archive: what its programs were built from, for which machines, and the checksum of every file.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::platform;
use crate::toolbox::ToolboxError;
use crate::toolbox::module::{Module, Pins};
use crate::toolbox::program::Program;

/// Its name in the archive, in which it is the first file.
pub(super) const NAME: &str = "toolbox.json";
/// The version of the format of archives.
const FORMAT: u32 = 1;
/// No program is larger.
const LARGEST_FILE: u64 = 1 << 30;

/// What an archive contains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolboxManifest {
    /// The version of the format.
    pub schema_version: u32,
    /// The version of the evenkeel that exported it.
    pub evenkeel: String,
    /// The machines on which the programs run: "linux/amd64".
    pub platform: String,
    /// The modules, in the order of the archive.
    pub modules: Vec<ArchivedModule>,
}

/// A module in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedModule {
    /// Its name.
    pub name: String,
    /// The version of its programs.
    pub version: String,
    /// The flags of `go install`.
    pub flags: Vec<String>,
    /// go.mod and go.sum, which have the versions and checksums of all sources, and the programs.
    pub files: Vec<ArchivedFile>,
}

/// A file in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedFile {
    /// Its path in the directory of its module.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 of its content, in hexadecimal.
    pub sha256: String,
}

impl ArchivedModule {
    /// Its programs, without go.mod and go.sum.
    pub fn programs(&self) -> impl Iterator<Item = &ArchivedFile> {
        self.files.iter().filter(|file| file.path.starts_with(PROGRAMS))
    }
}

/// The directory of the programs in the directory of a module.
const PROGRAMS: &str = "bin/";

/// The paths of a module's files, in the order of the archive.
pub(super) fn paths(module: Module) -> Vec<String> {
    let programs = Program::of_module(module).map(|program| format!("{PROGRAMS}{program}"));
    ["go.mod", "go.sum"].map(str::to_owned).into_iter().chain(programs).collect()
}

/// A file whose content is in memory.
pub(super) fn file_of(path: &str, content: &str) -> ArchivedFile {
    ArchivedFile { path: path.to_owned(), size: content.len() as u64, sha256: hex(Sha256::new_with_prefix(content)) }
}

/// A checksum in hexadecimal.
pub(super) fn hex(sum: Sha256) -> String {
    sum.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The platform of this machine: "linux/amd64".
fn platform_here() -> String {
    format!("{}/{}", std::env::consts::OS, platform::architecture())
}

impl ToolboxManifest {
    /// The manifest of an archive that is made here.
    pub(super) fn new(modules: Vec<ArchivedModule>) -> Self {
        let (evenkeel, platform) = (env!("CARGO_PKG_VERSION").to_owned(), platform_here());
        Self { schema_version: FORMAT, evenkeel, platform, modules }
    }

    /// Reads it, whatever it says.
    ///
    /// # Errors
    /// Why it cannot be read, as the end of a sentence.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Format {
            schema_version: u32,
        }
        let unreadable =
            |problem: serde_json::Error| format!("its {NAME} cannot be read ({})", plain(&problem.to_string()));
        let Format { schema_version } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if schema_version != FORMAT {
            return Err(format!("its format is version {schema_version}, expected version {FORMAT}"));
        }
        serde_json::from_slice(bytes).map_err(unreadable)
    }

    /// The pins of its modules, if it has programs for this machine that were built from what this program pins.
    ///
    /// # Errors
    /// [`ToolboxError::OtherPlatform`], [`ToolboxError::OtherPins`], [`ToolboxError::BadArchive`].
    pub(super) fn accept(&self, archive: &Path) -> Result<Vec<Pins>, ToolboxError> {
        if self.platform != platform_here() {
            let found = plain(&self.platform);
            return Err(ToolboxError::OtherPlatform { path: archive.to_owned(), found, wanted: platform_here() });
        }
        let mut differences = Vec::new();
        let mut modules = Vec::new();
        for module in &self.modules {
            match Module::ALL.iter().find(|known| known.name() == module.name).map(|known| known.pins()) {
                None => differences.push(format!("{} is not pinned here", plain(&module.name))),
                Some(pins) => {
                    differences.extend(module.difference(&pins));
                    modules.push(pins);
                }
            }
        }
        if !differences.is_empty() {
            return Err(ToolboxError::OtherPins { path: archive.to_owned(), differences });
        }
        self.problem(&modules)
            .map_or(Ok(modules), |why| Err(ToolboxError::BadArchive { path: archive.to_owned(), why }))
    }

    /// What is wrong with the lists of modules and files, as the end of a sentence.
    fn problem(&self, modules: &[Pins]) -> Option<String> {
        if modules.is_empty() {
            return Some("it has no modules".to_owned());
        }
        // In this order each occurs once, and two imports at the same time lock them in the same order.
        if !modules.is_sorted_by(|one, next| one.module < next.module) {
            return Some("its modules are not in the expected order".to_owned());
        }
        for (listed, pins) in self.modules.iter().zip(modules) {
            if !listed.files.iter().map(|file| &file.path).eq(&paths(pins.module)) {
                return Some(format!("it does not have exactly the files of {}", pins.module.title()));
            }
            if let Some(large) = listed.files.iter().find(|file| file.size > LARGEST_FILE) {
                return Some(format!("{} has {} bytes, expected at most {LARGEST_FILE}", large.path, large.size));
            }
        }
        None
    }
}

impl ArchivedModule {
    /// How it differs from what is pinned.
    fn difference(&self, pins: &Pins) -> Option<String> {
        let title = pins.module.title();
        if self.version != pins.version() {
            return Some(format!("{title}: {}, expected {}", plain(&self.version), pins.version()));
        }
        let pinned = [file_of("go.mod", &pins.go_mod), file_of("go.sum", &pins.go_sum)];
        if !self.files.starts_with(&pinned) {
            return Some(format!("{title}: other versions or checksums in go.mod or go.sum"));
        }
        (self.flags != pins.flags()).then(|| format!("{title}: other flags of go install"))
    }
}

/// A text of an archive in a message: short, and without control characters.
pub(super) fn plain(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}
