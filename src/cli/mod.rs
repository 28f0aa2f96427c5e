//! The command line. Each verb has one file, which parses its arguments, calls one function and prints the result to
//! stdout; progress goes to stderr.

mod agent_flags;
mod body;
pub mod build;
pub mod checks;
mod command_line;
pub mod completions;
pub mod context;
pub mod demo;
pub mod deploy;
mod deploy_foreign;
pub mod doctor;
pub mod doctor_foreign;
pub mod down;
pub mod error;
pub mod foreign;
mod given_file;
pub mod grpc_flags;
mod interruption;
pub mod load_flags;
pub mod logs;
mod manifest_flags;
mod mix_flags;
pub mod node;
pub mod output;
pub mod rbac;
pub mod report;
pub mod report_files;
pub mod root;
pub mod sandbox;
pub mod scale;
mod series_output;
pub mod shape_flags;
pub mod soak;
mod stages;
pub mod status;
pub mod subject;
pub mod target;
pub mod terminal;
pub mod test;
pub mod tls_flags;
pub mod toolbox;
pub mod trial_flags;
pub mod undeploy;
pub mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::context::CommandContext;
use self::terminal::Terminal;
use crate::cli::error::Error;
use crate::config::LabName;
use crate::io_error::IoError;
use crate::platform;
use crate::shutdown;

/// A load-balancing lab on real Kubernetes, without Docker: it shows what a service does behind a load balancer while
/// it scales, rolls out and fails
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, arg_required_else_help = true, propagate_version = true)]
#[command(after_help = "To begin: evenkeel demo --install-tools")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Arguments of every verb.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// Name of the lab
    #[arg(long, global = true, env = "EVENKEEL_NAME", default_value = "lab", value_name = "NAME")]
    name: LabName,
    /// Directory for the state of all labs [default: /var/lib/evenkeel]
    #[arg(long, global = true, env = "EVENKEEL_STATE_DIR", value_name = "DIR", hide_env_values = true)]
    state_dir: Option<PathBuf>,
    /// Directory for programs and images [default: /var/cache/evenkeel]
    #[arg(long, global = true, env = "EVENKEEL_CACHE_DIR", value_name = "DIR", hide_env_values = true)]
    cache_dir: Option<PathBuf>,
    /// Write the result as JSON to stdout, and the progress as JSON lines to stderr
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Boot the cluster
    Up(up::Args),
    /// Deploy the server, another image or your own manifests, and follow the rollout
    Deploy(deploy::Args),
    /// Remove what deploy applied
    Undeploy(undeploy::Args),
    /// Scale to N pods, and wait until each of them gets connections
    Scale(scale::Args),
    /// Send load, and report the results and their distribution over the pods
    Test(Box<test::Args>),
    /// Write the report of a test again, as tables, a page of charts, Markdown, CSV, …
    Report(report::Args),
    /// Show the logs of the pods, or of a component of the cluster
    Logs(logs::Args),
    /// Show nodes, components, pods and the Service
    Status(status::Args),
    /// Build the images of the lab, without Docker, or push them to a registry
    Build(build::Args),
    /// Print the rights that verbs need in a cluster, as manifests
    Rbac(rbac::Args),
    /// Take the programs that were built for a lab to another machine
    Toolbox(toolbox::Args),
    /// Check what a lab needs on this machine, and show how to install what is missing
    Doctor(doctor::Args),
    /// Boot, deploy, send load at 2, 5 and 10 pods, compare, and remove the lab
    Demo(demo::Args),
    /// Test under load that no request is lost, event by event
    Soak(soak::Args),
    /// Add a node to the lab, or remove one without a lost request
    Node(node::Args),
    /// Remove everything that the lab put on this machine
    Down,
    /// Print the completion script for a shell
    Completions(completions::Args),
    #[command(hide = true)]
    Sandbox(sandbox::Args),
}

impl Verb {
    /// Its name, if it needs Linux.
    fn of_linux(&self) -> Option<&'static str> {
        Some(match self {
            Self::Completions(_) | Self::Report(_) | Self::Rbac(_) => return None,
            Self::Up(_) => "up",
            Self::Deploy(_) => "deploy",
            Self::Undeploy(_) => "undeploy",
            Self::Scale(_) => "scale",
            Self::Test(_) => "test",
            Self::Logs(_) => "logs",
            Self::Status(_) => "status",
            Self::Build(_) => "build",
            Self::Toolbox(_) => "toolbox",
            Self::Doctor(_) => "doctor",
            Self::Demo(_) => "demo",
            Self::Soak(_) => "soak",
            Self::Node(_) => "node",
            Self::Down => "down",
            Self::Sandbox(_) => "sandbox",
        })
    }
}

/// Runs the program and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let Cli { global, verb } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let terminal = Terminal::new(global.json);
    match run(&global, verb, &terminal) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of stdout closed it, as in `evenkeel status | head -1`.
        Err(error) if output::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            terminal.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Prints why the arguments cannot be used, or the help. Clap itself would print text and exit; with `--json` the error
/// is JSON.
fn refuse(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if error.use_stderr() && json {
        Terminal::new(true).invalid_arguments(error);
    } else {
        // If stdout or stderr is closed, nobody reads the text.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn run(global: &Global, verb: Verb, terminal: &Terminal) -> Result<(), Error> {
    if let (false, Some(verb)) = (platform::HAS_LABS, verb.of_linux()) {
        return Err(Error::NeedsLinux { verb });
    }
    match verb {
        // Namespaces must be created by a process with one thread, so there is no runtime yet.
        Verb::Sandbox(args) => args.run(),
        Verb::Completions(args) => args.run(),
        Verb::Report(args) => args.run(global.json),
        Verb::Rbac(args) => args.run(global.json),
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
        Verb::Undeploy(args) => args.run(context).await,
        Verb::Scale(args) => args.run(context).await,
        Verb::Test(args) => args.run(context).await,
        Verb::Logs(args) => args.run(context).await,
        Verb::Status(args) => args.run(context).await,
        Verb::Build(args) => args.run(context).await,
        Verb::Toolbox(args) => args.run(context).await,
        Verb::Doctor(args) => doctor::run(&args, context).await,
        Verb::Demo(args) => args.run(context).await,
        Verb::Soak(args) => Box::pin(args.run(context)).await,
        Verb::Node(args) => Box::pin(args.run(context)).await,
        Verb::Down => down::run(context).await,
        Verb::Completions(args) => args.run(),
        Verb::Report(args) => args.run(context.json),
        Verb::Rbac(args) => args.run(context.json),
        Verb::Sandbox(args) => args.run(),
    }
}

/// The definition of the command line, for completions.
fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_valid() {
        super::command().debug_assert();
    }

    #[test]
    fn every_verb_that_needs_linux_is_named_in_the_error() {
        use clap::Parser;

        for verb in ["up", "deploy", "undeploy", "test", "logs", "status", "build", "doctor", "demo", "soak", "down"] {
            let cli = super::Cli::try_parse_from(["evenkeel", verb]).unwrap();
            assert_eq!(cli.verb.of_linux(), Some(verb));
        }
        let cli = super::Cli::try_parse_from(["evenkeel", "completions", "bash"]).unwrap();
        assert_eq!(cli.verb.of_linux(), None);
    }
}
