//! A load generator that another program controls over its stdin and stdout, so that it needs neither a port nor rights.
//!
//! Both sides write [messages](message), one JSON value a line. The controller sends an [`Assignment`], measures the agent's
//! clock with pings ([`ClockOffset`]), and says on that clock when to begin, so that all agents begin together. The agent
//! reports its progress each second, and its result at the end. It ends early when its stdin is closed, on SIGTERM, and at
//! its deadline.

pub mod clock;
pub mod message;
pub mod session;

pub use clock::ClockOffset;
pub use message::{Assignment, Conduct, FromAgent, ToAgent};
