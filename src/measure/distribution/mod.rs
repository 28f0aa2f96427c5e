//! The few distributions that the statistics need, as textbooks have them.
//!
//! A library would do, but the one that is kept up brings three dozen packages into the lock file for four functions.

mod binomial;
mod digits;
mod gamma;
mod student;

pub(super) use binomial::quantile as binomial_quantile;
pub(super) use digits::nine_digits;
pub(super) use gamma::{chi_square_tails, ln_factorial, ln_gamma};
pub(super) use student::critical as student_critical;
