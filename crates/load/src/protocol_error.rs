//! The error of the parsers.

/// What was received is not a valid HTTP/1 response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProtocolError;
