//! The command line: one file a verb, each from arguments to values, then one call; the result to stdout, the story to
//! stderr.

pub mod build;
pub mod checks;
mod command_line;
pub mod completions;
pub mod context;
pub mod demo;
pub mod deploy;
pub mod doctor;
pub mod down;
pub mod error;
mod interruption;
pub mod load_flags;
pub mod logs;
pub mod output;
pub mod report;
pub mod report_files;
#[cfg(target_os = "linux")]
pub mod sandbox;
pub mod scale;
mod series_output;
pub mod soak;
pub mod status;
pub mod target;
pub mod terminal;
pub mod test;
pub mod trial_flags;
pub mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::context::CommandContext;
use self::terminal::Terminal;
use crate::cli::error::Error;
use crate::config::LabName;
use crate::io_error::IoError;
use crate::shutdown;

/// A load-balancing lab on real Kubernetes, without Docker: what does a service do behind a load balancer while it
/// scales, rolls and fails?
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, arg_required_else_help = true, propagate_version = true)]
#[command(after_help = "Begin with: evenkeel demo --install-tools")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// What every verb understands.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// The lab's name
    #[arg(long, global = true, env = "EVENKEEL_NAME", default_value = "lab", value_name = "NAME")]
    name: LabName,
    /// Where labs keep their state [default: /var/lib/evenkeel]
    #[arg(long, global = true, env = "EVENKEEL_STATE_DIR", value_name = "DIR", hide_env_values = true)]
    state_dir: Option<PathBuf>,
    /// Where programs and images are kept [default: /var/cache/evenkeel]
    #[arg(long, global = true, env = "EVENKEEL_CACHE_DIR", value_name = "DIR", hide_env_values = true)]
    cache_dir: Option<PathBuf>,
    /// Write the result as JSON to stdout, and what happens as JSON lines to stderr
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Boot the cluster
    Up(up::Args),
    /// Deploy the server, or another image, and follow the rollout
    Deploy(deploy::Args),
    /// Scale to N pods, and wait until each of them gets its share of the connections
    Scale(scale::Args),
    /// Send load, and tell what came of it and how it fell on the pods
    Test(Box<test::Args>),
    /// Write a report of runs again, as tables, a page of charts, Markdown, CSV, …
    Report(report::Args),
    /// Show what the pods say, or a component of the cluster
    Logs(logs::Args),
    /// Show nodes, components, pods and Service
    Status,
    /// Build the images a lab needs, without Docker
    Build,
    /// Show what a lab needs of this machine, and what brings the rest
    Doctor(doctor::Args),
    /// All of it: boot, deploy, load at 2, 5 and 10 pods, sum up, remove
    Demo(demo::Args),
    /// Show under fault that no request is lost, event by event, with as many rounds as you like; leaves two pods
    Soak(soak::Args),
    /// Remove everything the lab put on this machine
    Down,
    /// Write the completions of a shell to stdout
    Completions(completions::Args),
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Sandbox(sandbox::Args),
}

impl Verb {
    /// Its name, unless it works everywhere.
    fn of_linux(&self) -> Option<&'static str> {
        Some(match self {
            Self::Completions(_) | Self::Report(_) => return None,
            Self::Up(_) => "up",
            Self::Deploy(_) => "deploy",
            Self::Scale(_) => "scale",
            Self::Test(_) => "test",
            Self::Logs(_) => "logs",
            Self::Status => "status",
            Self::Build => "build",
            Self::Doctor(_) => "doctor",
            Self::Demo(_) => "demo",
            Self::Soak(_) => "soak",
            Self::Down => "down",
            #[cfg(target_os = "linux")]
            Self::Sandbox(_) => "sandbox",
        })
    }
}

/// Runs the program; what it returns is its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let Cli { global, verb } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let terminal = Terminal::new(global.json);
    match run(&global, verb, &terminal) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough: `evenkeel status | head -1`.
        Err(error) if output::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            terminal.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Says why the arguments cannot be used, or shows the help that was asked for. Clap's own way is to print text and to
/// exit; a program that asked for JSON gets JSON.
fn refuse(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if error.use_stderr() && json {
        Terminal::new(true).invalid_arguments(error);
    } else {
        // When stdout or stderr is closed, nobody reads it.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn run(global: &Global, verb: Verb, terminal: &Terminal) -> Result<(), Error> {
    if let (false, Some(verb)) = (cfg!(target_os = "linux"), verb.of_linux()) {
        return Err(Error::NeedsLinux { verb });
    }
    match verb {
        // Making namespaces wants a process with one thread, and no runtime yet.
        #[cfg(target_os = "linux")]
        Verb::Sandbox(args) => args.run(),
        Verb::Completions(args) => args.run(),
        Verb::Report(args) => args.run(global.json),
        verb => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|source| IoError::new("start the runtime", source))?;
            runtime.block_on(async {
                let progress = terminal.progress();
                let responder = interruption::responder(&verb, global.name.as_str(), terminal, &progress);
                let context = CommandContext::new(global, progress, shutdown::on_signal(responder)?)?;
                Box::pin(dispatch(verb, &context)).await
            })
        }
    }
}

async fn dispatch(verb: Verb, context: &CommandContext) -> Result<(), Error> {
    match verb {
        Verb::Up(args) => args.run(context).await,
        Verb::Deploy(args) => Box::pin(args.run(context)).await,
        Verb::Scale(args) => args.run(context).await,
        Verb::Test(args) => args.run(context).await,
        Verb::Logs(args) => args.run(context).await,
        Verb::Status => status::run(context).await,
        Verb::Build => build::run(context).await,
        Verb::Doctor(args) => {
            let CommandContext { paths, json, progress, shutdown, .. } = context;
            doctor::run(&args, *json, paths, progress, shutdown).await
        }
        Verb::Demo(args) => args.run(context).await,
        Verb::Soak(args) => Box::pin(args.run(context)).await,
        Verb::Down => down::run(context).await,
        Verb::Completions(args) => args.run(),
        Verb::Report(args) => args.run(context.json),
        #[cfg(target_os = "linux")]
        Verb::Sandbox(args) => args.run(),
    }
}

/// The command as clap sees it, for completions.
fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::command().debug_assert();
    }

    #[test]
    fn every_verb_that_needs_linux_says_so_by_its_own_name() {
        use clap::Parser;

        for verb in ["up", "deploy", "test", "logs", "status", "build", "doctor", "demo", "soak", "down"] {
            let cli = super::Cli::try_parse_from(["evenkeel", verb]).unwrap();
            assert_eq!(cli.verb.of_linux(), Some(verb));
        }
        let cli = super::Cli::try_parse_from(["evenkeel", "completions", "bash"]).unwrap();
        assert_eq!(cli.verb.of_linux(), None);
    }
}
