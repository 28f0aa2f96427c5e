//! The statuses that calls end with.

use axum::http::HeaderValue;

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    ResourceExhausted,
    Unimplemented,
    Unavailable,
}

impl Status {
    /// The value of `grpc-status`.
    pub(super) fn code(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Ok => "0",
            Self::InvalidArgument => "3",
            Self::DeadlineExceeded => "4",
            Self::NotFound => "5",
            Self::ResourceExhausted => "8",
            Self::Unimplemented => "12",
            Self::Unavailable => "14",
        })
    }

    /// The value of `grpc-message`, if more is to be said.
    pub(super) fn message(self) -> Option<HeaderValue> {
        Some(HeaderValue::from_static(match self {
            Self::Ok => return None,
            Self::InvalidArgument => "the message is not valid",
            Self::DeadlineExceeded => "the deadline of the call has passed",
            Self::NotFound => "there is no such service",
            Self::ResourceExhausted => "the message is longer than 1 MiB",
            Self::Unimplemented => "there is no such method, or its message is compressed",
            Self::Unavailable => "the server drains",
        }))
    }
}
