//! Runs of a test with scaling, events and comparison around them.

pub mod measured;
mod trial;

pub use trial::{Case, LONGEST_RUN, Trial};
