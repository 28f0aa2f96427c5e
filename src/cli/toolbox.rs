//! `evenkeel toolbox`: takes the built programs from one machine to another.

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;

use super::context::CommandContext;
use super::output;
use crate::cli::error::Error;
use crate::report::{Align, plain_table};
use crate::toolbox::{self, ArchivedModule, ImportedToolbox, ToolboxManifest};
use crate::write_file::leads_to_stdout;

/// The schema version of the JSON output.
const SCHEMA_VERSION: u32 = 1;

/// Arguments of `toolbox`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: ToolboxCommand,
}

#[derive(Debug, Subcommand)]
enum ToolboxCommand {
    /// Write the programs that were built on this machine to one archive
    Export {
        /// The archive (tar, gzip)
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Verify such an archive, and use its programs instead of building them
    Import {
        /// The archive
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Serialize)]
struct ToolboxOutput<'a> {
    schema_version: u32,
    file: &'a Path,
    platform: &'a str,
    modules: Vec<ModuleOutput<'a>>,
}

#[derive(Serialize)]
struct ModuleOutput<'a> {
    #[serde(flatten)]
    module: &'a ArchivedModule,
    /// Whether an import found it in the cache, and did not replace it.
    #[serde(skip_serializing_if = "Option::is_none")]
    already_there: Option<bool>,
}

impl Args {
    /// Exports or imports, and prints the modules.
    ///
    /// # Errors
    /// Those of [`toolbox::export`](toolbox::export()) and [`toolbox::import`](toolbox::import()).
    pub async fn run(&self, context: &CommandContext) -> Result<(), Error> {
        let CommandContext { paths, progress, shutdown, json, .. } = context;
        match &self.command {
            ToolboxCommand::Export { file } => {
                let manifest = toolbox::export(file, &paths.cache, progress, shutdown).await?;
                // The result would follow the archive.
                if leads_to_stdout(file) { Ok(()) } else { print(*json, file, &manifest, None) }
            }
            ToolboxCommand::Import { file } => {
                let ImportedToolbox { manifest, already_there } =
                    toolbox::import(file, &paths.cache, progress, shutdown).await?;
                print(*json, file, &manifest, Some(&already_there))
            }
        }
    }
}

fn print(json: bool, file: &Path, manifest: &ToolboxManifest, already_there: Option<&[String]>) -> Result<(), Error> {
    let modules = manifest
        .modules
        .iter()
        .map(|module| ModuleOutput { module, already_there: already_there.map(|names| names.contains(&module.name)) });
    let modules: Vec<_> = modules.collect();
    if json {
        let (schema_version, platform) = (SCHEMA_VERSION, &*manifest.platform);
        return Ok(output::json(&ToolboxOutput { schema_version, file, platform, modules })?);
    }
    Ok(output::text(&table(&modules))?)
}

#[allow(clippy::cast_precision_loss, reason = "no program is so large that it loses digits")]
fn table(modules: &[ModuleOutput]) -> String {
    let row = |ModuleOutput { module, already_there }: &ModuleOutput| {
        let size: u64 = module.programs().map(|file| file.size).sum();
        let mut row = vec![module.name.clone(), module.version.clone(), module.programs().count().to_string()];
        row.push(format!("{:.1} MB", size as f64 / 1e6));
        row.extend(already_there.map(|there| if there { "already there" } else { "imported" }.to_owned()));
        row
    };
    let rows: Vec<_> = modules.iter().map(row).collect();
    let heads = ["MODULE", "VERSION", "PROGRAMS", "SIZE", "RESULT"];
    let columns = rows.first().map_or(heads.len(), Vec::len);
    plain_table(Align::Left, &heads[..columns], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolbox::ArchivedFile;

    #[test]
    fn an_import_says_which_modules_were_already_there() {
        let file = |path: &str, size| ArchivedFile { path: path.into(), size, sha256: String::new() };
        let files = vec![file("go.mod", 1_000_000), file("bin/ptp", 4_000_000), file("bin/loopback", 3_100_000)];
        let module = ArchivedModule { name: "cni".into(), version: "v1.9.1".into(), flags: Vec::new(), files };
        let output = |already_there| ModuleOutput { module: &module, already_there };
        assert_eq!(
            table(&[output(None)]),
            "MODULE   VERSION   PROGRAMS   SIZE\ncni      v1.9.1    2          7.1 MB\n"
        );
        let imported = table(&[output(Some(false)), output(Some(true))]);
        assert!(
            imported.contains("7.1 MB   imported\n") && imported.contains("7.1 MB   already there\n"),
            "{imported}"
        );
    }
}
