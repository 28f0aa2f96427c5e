//! The messages between a controller and an agent.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use evenkeel_load::{LoadPlan, Part, RunProgress, RunResult, Target};

/// The version of the messages. Both sides have to use the same one.
pub const VERSION: u32 = 3;

/// What an agent is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// Where the load is sent.
    pub target: Target,
    /// The whole plan.
    pub plan: LoadPlan,
    /// The part of it that this agent sends.
    pub part: Part,
    /// After how long the agent ends by itself.
    pub deadline: Duration,
}

/// A message to an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToAgent {
    /// What it is to do.
    Assignment(Box<Assignment>),
    /// Asks for its clocks.
    Ping(u32),
    /// Says when to begin, in microseconds of its own clock.
    Begin {
        /// When the load begins, warm-up included.
        at_us: u64,
    },
    /// Ends the run early; a result follows.
    Stop,
    /// The result has arrived.
    Done,
}

/// How an agent kept to its plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conduct {
    /// How long after the moment that it was told it began, in microseconds.
    pub late_us: u64,
    /// The longest time between two looks at its progress, in microseconds. It looks twice a second, so a longer time means that
    /// it was stopped, or got no processor.
    pub longest_pause_us: u64,
    /// Whether the system told it to end (SIGTERM).
    pub terminated: bool,
}

/// A message from an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromAgent {
    /// The assignment has arrived.
    Ready {
        /// [`VERSION`].
        version: u32,
    },
    /// The answer to a ping.
    Pong {
        /// Its number.
        number: u32,
        /// The clock that the run is timed with, in microseconds since the agent started.
        clock_us: u64,
        /// The time of day, in microseconds since 1970.
        wall_us: u64,
    },
    /// The progress of the run.
    Live(RunProgress),
    /// What was measured.
    Result {
        /// The result, without the plan.
        result: Box<RunResult>,
        /// How the agent kept to the plan.
        conduct: Conduct,
    },
    /// Why there is no result.
    Failed {
        /// In one sentence.
        why: String,
    },
}
