//! The error of the parsers.

/// What was received is not a valid response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProtocolError;
