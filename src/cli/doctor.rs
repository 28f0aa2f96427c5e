//! `evenkeel doctor`: checks what a lab needs on this machine, and shows the command that installs what is missing.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde::Serialize;

use super::context::CommandContext;
use super::doctor_foreign::RightsFlags;
use super::output;
use crate::cli::error::{Error, install_command};
use crate::cluster::component::{self, RefusedFlag};
use crate::shutdown::unless;
use crate::toolbox::{self, Found, PassedOver, Program, Toolbox, ToolboxError, kernel};

/// The schema version of the JSON output.
const SCHEMA_VERSION: u32 = 1;

/// Arguments of `doctor`.
#[derive(Clone, Debug, ClapArgs)]
pub struct Args {
    /// First install missing programs: small ones with the package manager, the others built with Go into the cache
    #[arg(long, conflicts_with = "ClusterFlags")]
    pub install_tools: bool,
    /// Check only the programs, not the kernel of this machine
    #[arg(long, conflicts_with = "ClusterFlags")]
    pub programs: bool,
    /// The rights in a cluster that is no lab.
    #[command(flatten)]
    pub rights: RightsFlags,
}

/// The result.
#[derive(Debug, Serialize)]
struct DoctorOutput {
    schema_version: u32,
    /// Nothing that was checked is wrong.
    well: bool,
    /// Everything was checked that this command checks as root.
    complete: bool,
    programs: Vec<ProgramCheck>,
    /// `None` if only the programs were checked.
    kernel: Option<Vec<kernel::Probe>>,
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
    /// The flags of the lab that it refuses. `None` if they were not checked, because a program is missing.
    refused_flags: Option<Vec<RefusedFlag>>,
}

/// The flags that are refused, by component.
type RefusedFlags = BTreeMap<String, Vec<RefusedFlag>>;

/// Checks this machine and prints the result. A problem is also an error, so that scripts can check the exit code. What only
/// root can check is no problem for other users: the result says that it was not checked.
///
/// # Errors
/// [`ToolboxError::MissingPrograms`], [`ToolboxError::MissingKernel`],
/// [`ClusterError::RefusedFlags`](crate::cluster::ClusterError::RefusedFlags); with `--install-tools` also
/// [`ToolboxError::InstallFailed`]. For a cluster that is no lab, as [`RightsFlags::run`].
pub async fn run(args: &Args, context: &CommandContext) -> Result<(), Error> {
    if args.rights.run(context).await? {
        return Ok(());
    }
    let CommandContext { name, paths, json, progress, shutdown } = context;
    if args.install_tools {
        toolbox::install(&paths.cache, progress, shutdown).await?;
    }
    let found = toolbox::find(&paths.cache).await;
    let probes = (!args.programs).then(|| kernel::probe(&kernel::Tools::from(found.as_slice())));
    let toolbox = toolbox::resolve(found.clone());
    let mut refused = match &toolbox {
        Ok(toolbox) => Some(unless(shutdown, component::refused_flags(name, paths, toolbox)).await?),
        Err(_) => None,
    };
    let checked = check(toolbox, refused.as_ref(), probes.as_deref().unwrap_or_default());
    let result = DoctorOutput {
        schema_version: SCHEMA_VERSION,
        well: checked.is_ok(),
        complete: probes.as_ref().is_some_and(|probes| !probes.iter().any(needs_root)),
        programs: found.into_iter().map(|found| check_program(found, refused.as_mut())).collect(),
        kernel: probes,
        cache: paths.cache.clone(),
    };
    if *json {
        output::json(&result)?;
    } else {
        output::text(&table(&result))?;
    }
    checked
}

fn check(
    toolbox: Result<Toolbox, ToolboxError>,
    refused: Option<&RefusedFlags>,
    probes: &[kernel::Probe],
) -> Result<(), Error> {
    toolbox?;
    refused.map_or(Ok(()), component::accepted)?;
    Ok(kernel::check(probes)?)
}

fn needs_root(probe: &kernel::Probe) -> bool {
    probe.result == kernel::ProbeResult::NeedsRoot
}

fn check_program(found: Found, refused: Option<&mut RefusedFlags>) -> ProgramCheck {
    let remedy = found.path.is_none().then(|| install_command(&toolbox::installation(found.program)));
    let refused_flags = refused.map(|refused| refused.remove(found.program.name()).unwrap_or_default());
    ProgramCheck { optional: found.program.is_optional(), remedy, refused_flags, found }
}

fn table(result: &DoctorOutput) -> String {
    let mut text = String::from("programs\n");
    let versions = result.programs.iter().filter_map(|program| program.found.version.as_ref());
    let widths = (widest(Program::ALL.iter().map(|program| program.name())), widest(versions.map(String::as_str)));
    for program in &result.programs {
        line(&mut text, program, widths);
    }
    if let Some(probes) = &result.kernel {
        kernel_lines(&mut text, probes);
    }
    match (result.well, result.complete, &result.kernel) {
        (false, ..) => {}
        (true, true, _) => text.push_str("\nthis machine has everything that a lab needs\n"),
        (true, false, None) => text.push_str("\nthis machine has every program that a lab needs\n"),
        (true, false, Some(_)) => {
            text.push_str("\nnothing that was checked is missing; check the rest with: sudo evenkeel doctor\n");
        }
    }
    text
}

fn kernel_lines(text: &mut String, probes: &[kernel::Probe]) {
    text.push_str("\nkernel\n");
    let width = widest(probes.iter().map(|probe| probe.what));
    for probe in probes {
        let (mark, detail) = match &probe.result {
            kernel::ProbeResult::Works(detail) => ("ok", detail.clone()),
            kernel::ProbeResult::Fails(why) => ("FAILS", why.clone()),
            kernel::ProbeResult::Untried(why) => ("?", format!("not checked: {why}")),
            kernel::ProbeResult::NeedsRoot => ("root", "not checked: needs root".to_owned()),
        };
        push(text, format_args!("  {mark:<7}  {:<width$}  {detail}", probe.what));
    }
}

fn line(text: &mut String, check: &ProgramCheck, (name, version): (usize, usize)) {
    let ProgramCheck { found, optional, remedy, refused_flags } = check;
    let (program, refused) = (found.program.name(), refused_flags.as_deref().unwrap_or_default());
    if let Some(path) = &found.path {
        let shown = found.version.as_deref().unwrap_or("-");
        let mark = if refused.is_empty() { "ok" } else { "FAILS" };
        push(text, format_args!("  {mark:<7}  {program:<name$}  {shown:<version$}  {}", path.display()));
    } else {
        let (mark, how) =
            if *optional { ("no", "not needed; install it with") } else { ("MISSING", "install it with") };
        let remedy = remedy.as_deref().unwrap_or_default();
        push(text, format_args!("  {mark:<7}  {program:<name$}  {:<version$}  {how}: {remedy}", "-"));
    }
    for RefusedFlag { why, .. } in refused {
        push(text, format_args!("  {:<7}  {:<name$}  {:<version$}  refuses the lab's flags: {why}", "", "", ""));
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
        let found = Found { program, path: path.map(PathBuf::from), version, problem: None, passed_over };
        check_program(found, None)
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
            complete: true,
            programs: vec![
                found(Program::Ip, Some("/usr/sbin/ip"), Vec::new()),
                found(Program::Runc, None, vec![old]),
                found(Program::Kubectl, None, Vec::new()),
            ],
            kernel: Some(vec![
                kernel::Probe { what: "overlayfs", result: works },
                kernel::Probe { what: "bridges", result: fails },
            ]),
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
    fn a_flag_that_is_refused_is_shown_and_an_error() {
        let flag = RefusedFlag { flag: Some("--profiling".into()), why: "unknown flag: --profiling".into() };
        let mut refused = RefusedFlags::from([("kubelet".to_owned(), vec![flag])]);
        let error = check(toolbox::resolve(Vec::new()), Some(&refused), &[]).unwrap_err();
        assert!(error.to_string().ends_with("kubelet (unknown flag: --profiling)"), "{error}");

        let mut check = found(Program::Kubelet, Some("/usr/bin/kubelet"), Vec::new());
        check = check_program(check.found, Some(&mut refused));
        let mut text = String::new();
        line(&mut text, &check, (7, 5));
        assert_eq!(
            text,
            "  FAILS    kubelet  1.2.3  /usr/bin/kubelet\n                           refuses the lab's flags: unknown flag: --profiling\n"
        );
    }

    #[test]
    fn a_check_that_needs_root_is_shown_and_no_error() {
        let needs_root = kernel::Probe { what: "bridges", result: kernel::ProbeResult::NeedsRoot };
        assert!(check(toolbox::resolve(Vec::new()), None, std::slice::from_ref(&needs_root)).is_ok());
        let output = |kernel| DoctorOutput {
            schema_version: SCHEMA_VERSION,
            well: true,
            complete: false,
            programs: Vec::new(),
            kernel,
            cache: "/cache".into(),
        };
        let text = table(&output(Some(vec![needs_root.clone()])));
        assert!(text.contains("  root     bridges  not checked: needs root\n"), "{text}");
        assert!(text.ends_with("check the rest with: sudo evenkeel doctor\n"), "{text}");
        assert_eq!(serde_json::to_value(needs_root).unwrap()["outcome"], "needs-root");

        let text = table(&output(None));
        assert!(!text.contains("kernel") && text.ends_with("every program that a lab needs\n"), "{text}");
    }
}
