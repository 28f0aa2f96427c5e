//! `evenkeel doctor`: checks what a lab needs on this machine, and shows the command that installs what is missing.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde::Serialize;

use super::{output, root};
use crate::cli::error::{Error, install_command};
use crate::config::Paths;
use crate::progress::Progress;
use crate::shutdown::Shutdown;
use crate::toolbox::{self, Found, PassedOver, Program, kernel};

/// The schema version of the JSON output.
const SCHEMA_VERSION: u32 = 1;

/// Arguments of `doctor`.
#[derive(Clone, Debug, ClapArgs)]
pub struct Args {
    /// First install missing programs: small ones with the package manager, the others built with Go into the cache
    #[arg(long)]
    pub install_tools: bool,
}

/// The result.
#[derive(Debug, Serialize)]
struct DoctorOutput {
    schema_version: u32,
    well: bool,
    programs: Vec<ProgramCheck>,
    kernel: Vec<kernel::Probe>,
    cache: PathBuf,
}

/// A program, and the command that installs it if it is missing.
#[derive(Debug, Serialize)]
struct ProgramCheck {
    #[serde(flatten)]
    found: Found,
    optional: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// Checks this machine and prints the result. A problem is also an error, so that scripts can check the exit code.
///
/// # Errors
/// [`ToolboxError::MissingPrograms`](crate::toolbox::ToolboxError::MissingPrograms),
/// [`ToolboxError::MissingKernel`](crate::toolbox::ToolboxError::MissingKernel); with `--install-tools` also
/// [`ToolboxError::InstallFailed`](crate::toolbox::ToolboxError::InstallFailed).
pub async fn run(
    args: &Args,
    json: bool,
    paths: &Paths,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    if args.install_tools {
        toolbox::install(&paths.cache, progress, shutdown).await?;
    }
    let found = toolbox::find(&paths.cache).await;
    let probes = kernel::probe(&kernel::Tools::from(found.as_slice()));
    let checked = check(&found, &probes);
    let result = DoctorOutput {
        schema_version: SCHEMA_VERSION,
        well: checked.is_ok(),
        programs: found.into_iter().map(check_program).collect(),
        kernel: probes,
        cache: paths.cache.clone(),
    };
    if json {
        output::json(&result)?;
    } else {
        output::text(&table(&result))?;
    }
    checked
}

fn check(found: &[Found], probes: &[kernel::Probe]) -> Result<(), Error> {
    toolbox::resolve(found.to_vec())?;
    kernel::check(probes)?;
    let untried = probes.iter().any(|probe| matches!(probe.result, kernel::ProbeResult::Untried(_)));
    if untried { Err(root::needed("doctor")?) } else { Ok(()) }
}

fn check_program(found: Found) -> ProgramCheck {
    let remedy = found.path.is_none().then(|| install_command(&toolbox::installation(found.program)));
    ProgramCheck { optional: found.program.is_optional(), remedy, found }
}

fn table(result: &DoctorOutput) -> String {
    let mut text = String::from("programs\n");
    let versions = result.programs.iter().filter_map(|program| program.found.version.as_ref());
    let widths = (widest(Program::ALL.iter().map(|program| program.name())), widest(versions.map(String::as_str)));
    for program in &result.programs {
        line(&mut text, program, widths);
    }
    text.push_str("\nkernel\n");
    let width = widest(result.kernel.iter().map(|probe| probe.what));
    for probe in &result.kernel {
        let (mark, detail) = match &probe.result {
            kernel::ProbeResult::Works(detail) => ("ok", detail),
            kernel::ProbeResult::Fails(why) => ("FAILS", why),
            kernel::ProbeResult::Untried(why) => ("?", why),
        };
        push(&mut text, format_args!("  {mark:<7}  {:<width$}  {detail}", probe.what));
    }
    if result.well {
        text.push_str("\nthis machine has everything that a lab needs\n");
    }
    text
}

fn line(text: &mut String, ProgramCheck { found, optional, remedy }: &ProgramCheck, (name, version): (usize, usize)) {
    let program = found.program.name();
    if let Some(path) = &found.path {
        let shown = found.version.as_deref().unwrap_or("-");
        push(text, format_args!("  {:<7}  {program:<name$}  {shown:<version$}  {}", "ok", path.display()));
    } else {
        let (mark, how) =
            if *optional { ("no", "not needed; install it with") } else { ("MISSING", "install it with") };
        let remedy = remedy.as_deref().unwrap_or_default();
        push(text, format_args!("  {mark:<7}  {program:<name$}  {:<version$}  {how}: {remedy}", "-"));
    }
    for PassedOver { path, why } in &found.passed_over {
        push(text, format_args!("  {:<7}  {:<name$}  {:<version$}  skipped: {} {why}", "", "", "", path.display()));
    }
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let start = text.len();
    let _ = text.write_fmt(line);
    text.truncate(start + text[start..].trim_end().len());
    text.push('\n');
}

fn widest<'a>(words: impl Iterator<Item = &'a str>) -> usize {
    words.map(|word| word.chars().count()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(program: Program, path: Option<&str>, passed_over: Vec<PassedOver>) -> ProgramCheck {
        let version = path.map(|_| "1.2.3".to_owned());
        check_program(Found { program, path: path.map(PathBuf::from), version, problem: None, passed_over })
    }

    #[test]
    fn the_table_has_found_and_missing_programs_with_reasons() {
        let old =
            PassedOver { path: "/usr/bin/runc".into(), why: "is version 1.1.5, but 1.2 or newer is needed".into() };
        let works = kernel::ProbeResult::Works("on /var/lib".to_owned());
        let fails = kernel::ProbeResult::Fails("no such device".to_owned());
        let text = table(&DoctorOutput {
            schema_version: SCHEMA_VERSION,
            well: false,
            programs: vec![
                found(Program::Ip, Some("/usr/sbin/ip"), Vec::new()),
                found(Program::Runc, None, vec![old]),
                found(Program::Kubectl, None, Vec::new()),
            ],
            kernel: vec![
                kernel::Probe { what: "overlayfs", result: works },
                kernel::Probe { what: "bridges", result: fails },
            ],
            cache: "/cache".into(),
        });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "  ok       ip                       1.2.3  /usr/sbin/ip");
        assert_eq!(lines[2], "  MISSING  runc                     -      install it with: evenkeel up --install-tools");
        assert!(lines[3].ends_with(" skipped: /usr/bin/runc is version 1.1.5, but 1.2 or newer is needed"), "{text}");
        assert!(lines[4].starts_with("  no       kubectl ") && lines[4].contains("not needed"), "{text}");
        assert!(lines.contains(&"  ok       overlayfs  on /var/lib"), "{text}");
        assert!(lines.contains(&"  FAILS    bridges    no such device"), "{text}");
        assert!(!text.contains("everything that a lab needs"), "{text}");
    }

    #[test]
    fn a_check_that_needs_root_is_an_error() {
        let untried = kernel::Probe { what: "bridges", result: kernel::ProbeResult::Untried("only root".to_owned()) };
        assert!(matches!(check(&[], &[untried]), Err(Error::NeedsRoot { .. })));
        assert!(check(&[], &[]).is_ok());
    }
}
