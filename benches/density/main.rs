//! What pods cost: the time and the processor time to start them, by program, what they use when nothing happens, and memory.
//!
//! Each round boots a lab, and scales Evenkeel's server from one number of pods to the next. With `--against PROGRAM`, each
//! round measures both programs in turn, so that a change can be compared with what was before it.
//!
//! ```sh
//! cargo bench --bench density                                          # as root, about four minutes
//! cargo bench --bench density -- --pods 2,10,100,250 --rounds 3
//! cargo bench --bench density -- --against ../before/target/release/evenkeel --rounds 5
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints tables")]

mod lab;
mod processes;
mod sample;
mod tables;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use evenkeel::config::parse_duration;

use lab::Lab;
use sample::{Idle, Round, Step};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Measures what pods cost, by program
#[derive(Debug, Parser)]
#[command(name = "density")]
struct Options {
    /// Numbers of pods to scale to, one after the other, beginning with what is deployed
    #[arg(long, value_delimiter = ',', default_value = "2,10,100", value_parser = clap::value_parser!(u32).range(1..))]
    pods: Vec<u32>,
    /// Number of rounds; each round boots a lab
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long to measure the lab when nothing happens, at the last number of pods
    #[arg(long, default_value = "20s", value_parser = parse_duration)]
    idle: Duration,
    /// Another `evenkeel` to measure in turn with this one
    #[arg(long, value_name = "PROGRAM")]
    against: Option<PathBuf>,
    /// Arguments for `up`, such as --proxy-mode=iptables
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    up: Vec<String>,
    /// Ignored: cargo passes it to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if !nix::unistd::geteuid().is_root() {
        eprintln!("error: this bench boots a lab, which needs root: sudo -E cargo bench --bench density");
        return ExitCode::from(2);
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let this = PathBuf::from(env!("CARGO_BIN_EXE_evenkeel"));
    let programs: Vec<PathBuf> = options.against.iter().cloned().chain([this]).collect();
    let mut rounds: Vec<Vec<Round>> = programs.iter().map(|_| Vec::new()).collect();
    for number in 1..=options.rounds {
        for (program, rounds) in programs.iter().zip(&mut rounds) {
            eprintln!("round {number} of {}: {}", options.rounds, program.display());
            rounds.push(measure(options, program)?);
        }
    }
    for (program, rounds) in programs.iter().zip(&rounds) {
        println!("{}\n", program.display());
        println!("{}", tables::boot(rounds));
        println!("{}", tables::steps(rounds));
        println!("{}", tables::programs(rounds));
        println!("{}", tables::memory(rounds));
    }
    Ok(())
}

/// Boots a lab, scales, waits, and removes the lab.
fn measure(options: &Options, program: &std::path::Path) -> Result<Round> {
    let (first, others) = options.pods.split_first().ok_or("no number of pods")?;
    let (lab, boot) = Lab::up(program, &options.up)?;
    lab.deploy(*first)?;
    let mut steps = Vec::new();
    let mut from = *first;
    for &to in others {
        lab.settle();
        let before = lab.counters()?;
        let (ready, programmed) = lab.scale(to)?;
        let after = lab.counters()?;
        steps.push(Step { from, to, ready, programmed, used: after.since(&before) });
        from = to;
    }
    lab.settle();
    let before = lab.counters()?;
    std::thread::sleep(options.idle);
    let after = lab.counters()?;
    let idle = Idle { pods: from, seconds: options.idle.as_secs_f64(), used: after.since(&before) };
    let down = lab.down()?;
    Ok(Round { boot, down, steps, idle, programs: after.programs })
}
