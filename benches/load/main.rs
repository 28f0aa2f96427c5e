//! Compares load generators, servers in pods, network paths to them, kube-proxy's modes, and numbers of nodes, Services and
//! endpoints.
//!
//! Each result is the ratio of two things that were measured in turn in one run, since a rate depends more on the machine
//! than on the program. `docs/benchmarks.md` has the tables, and says what limits each.
//!
//! ```sh
//! cargo bench --bench load                       # all of it, as root, about an hour
//! cargo bench --bench load -- servers --rounds 3
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints tables")]

mod agents;
mod comparison;
mod generator;
mod generators;
mod growth;
mod images;
mod lab;
mod memory;
mod nodes;
mod paths;
#[path = "../density/processes.rs"]
mod processes;
mod protocol_servers;
mod protocols;
mod proxy_modes;
mod reports;
mod server_memory;
mod servers;
mod side_by_side;
mod tls;
mod tools;
mod workload;

use std::cell::RefCell;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use evenkeel::config::{Paths, Replicas, parse_duration};
use evenkeel::progress::Progress;
use evenkeel::shutdown::{Shutdown, StopRequest};
use evenkeel::toolbox::{self, InstallPolicy, Toolbox};
use serde::Serialize;

use comparison::{Case, Column, Comparison};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    /// Evenkeel, wrk, oha and autocannon through the external IP
    Generators,
    /// Evenkeel, h2load and oha over HTTP/2, and Evenkeel and ghz over gRPC, through the external IP
    Protocols,
    /// Evenkeel, wrk and oha over TLS, with kept and with new connections
    Tls,
    /// Evenkeel's server, Node's and a bare epoll loop, in pods
    Servers,
    /// Evenkeel's server, Node's http2 and grpc-go's helloworld, in pods
    ProtocolServers,
    /// Through the external IP, and straight to a pod
    Paths,
    /// kube-proxy with nftables and with iptables
    ProxyModes,
    /// One node, and three nodes with each traffic policy
    Nodes,
    /// One generator on this machine, and agents in pods of the lab
    Agents,
    /// 1 to 5,000 Services, and 1 to 500 endpoints of a Service, in both modes of kube-proxy
    Growth,
    /// Memory of the load generator at growing numbers of requests, and with many streams
    Memory,
    /// Memory of the server in a pod, idle and after load
    ServerMemory,
}

/// Compares load generators, servers, network paths and kube-proxy's modes, each in one run
#[derive(Debug, Parser)]
#[command(name = "load")]
struct Options {
    /// What to compare [default: all of it]
    #[arg(value_enum)]
    sections: Vec<Section>,
    /// Number of rounds; each round measures every case once
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Duration of each measurement
    #[arg(long, default_value = "4s", value_parser = parse_duration)]
    duration: Duration,
    /// Connections
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
    /// Numbers of pods [default: 2,10 for generators, 2,5,10 for servers]
    #[arg(long, value_delimiter = ',')]
    pods: Vec<Replicas>,
    /// Also write the results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Ignored: cargo passes it to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// The values that every section needs.
struct Bench {
    options: Options,
    toolbox: Toolbox,
    paths: Paths,
    progress: Progress,
    shutdown: Shutdown,
    /// The results of the current section so far.
    measured: RefCell<Vec<Case>>,
}

impl Bench {
    /// The numbers of pods that were given, or else `usual`.
    fn pods(&self, usual: &[u32]) -> Vec<u32> {
        let asked: Vec<u32> = self.options.pods.iter().map(|pods| pods.get()).collect();
        if asked.is_empty() { usual.to_vec() } else { asked }
    }
}

/// The JSON that `--json` writes.
#[derive(Serialize)]
struct Report {
    schema_version: u32,
    machine: String,
    rounds: u32,
    seconds: f64,
    connections: u32,
    comparisons: Vec<Comparison>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if !nix::unistd::geteuid().is_root() {
        eprintln!("error: these benches boot a lab, which needs root: sudo -E cargo bench --bench load");
        return ExitCode::from(2);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(options)));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<ExitCode> {
    let paths = Paths::new(&lab::NAME.parse()?, None, None);
    let progress = evenkeel::cli::terminal::Terminal::new(false).progress();
    let shutdown = evenkeel::shutdown::on_signal(|request| {
        if request == StopRequest::Again {
            std::process::exit(130);
        }
    })?;
    let toolbox = match toolbox::ensure(&paths.cache, InstallPolicy::Never, &progress, &shutdown).await {
        Ok(toolbox) => toolbox,
        Err(error) => {
            let error = evenkeel::cli::error::Error::from(error);
            eprintln!("error: {error}\nhint: {}", error.hint());
            return Ok(ExitCode::from(2));
        }
    };
    let bench = Bench { options, toolbox, paths, progress, shutdown, measured: RefCell::default() };
    let all = Section::value_variants();
    let sections = if bench.options.sections.is_empty() { all } else { &bench.options.sections };
    let mut comparisons = Vec::new();
    for section in sections {
        let compared = match section {
            Section::Generators => generators::compare(&bench).await,
            Section::Protocols => protocols::compare(&bench).await,
            Section::Tls => tls::compare(&bench).await,
            Section::Servers => servers::compare(&bench).await,
            Section::ProtocolServers => protocol_servers::compare(&bench).await,
            Section::Paths => paths::compare(&bench).await,
            Section::ProxyModes => proxy_modes::compare(&bench).await,
            Section::Nodes => nodes::compare(&bench).await,
            Section::Agents => agents::compare(&bench).await,
            Section::Growth => growth::compare(&bench).await,
            Section::Memory => memory::compare(&bench).await,
            Section::ServerMemory => server_memory::compare(&bench).await,
        };
        let measured = bench.measured.take();
        let compared = match compared {
            Ok(compared) => compared,
            Err(_) if bench.shutdown.is_cancelled() => {
                if !measured.is_empty() {
                    let columns = [Column::Rate, Column::Cpu, Column::P99];
                    println!("{}", Comparison::new("Measured before the interruption", &columns, true, measured));
                }
                return Ok(ExitCode::from(130));
            }
            Err(error) => return Err(error),
        };
        for comparison in &compared {
            println!("{comparison}");
        }
        comparisons.extend(compared);
    }
    let failed: u64 = comparisons.iter().map(Comparison::failed).sum();
    let (machine, Options { rounds, duration, connections, .. }) = (machine(), &bench.options);
    println!("{rounds} rounds of {} s, {connections} connections; {machine}", duration.as_secs_f64());
    if let Some(file) = &bench.options.json {
        let (rounds, connections, seconds) = (*rounds, *connections, duration.as_secs_f64());
        let report = Report { schema_version: 1, machine, rounds, seconds, connections, comparisons };
        fs::write(file, serde_json::to_string_pretty(&report)? + "\n")?;
    }
    if failed > 0 {
        eprintln!("error: {failed} requests failed, so these measurements are not valid");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The machine in one line, as every published figure needs it: "2 × AMD EPYC, Linux 6.18, load 0.5".
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let models: Vec<&str> = processors.lines().filter_map(|line| line.strip_prefix("model name")).collect();
    let model = models.first().map_or("processor", |model| model.trim_start_matches(['\t', ' ', ':']));
    let count = std::thread::available_parallelism().map_or(1, Into::into);
    let (kernel, load) = (read("/proc/sys/kernel/osrelease"), read("/proc/loadavg"));
    let load = load.split(' ').next().unwrap_or_default();
    format!("{count} × {model}, Linux {}, load {load}", kernel.trim())
}
