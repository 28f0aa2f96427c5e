//! `evenkeel.v1.Echo`: sends messages back. The unary echo does not look into the message.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::HeaderMap;
use tokio::sync::watch;
use tokio::task::coop::consume_budget;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use super::limits::Limits;
use super::messages::{Failure, Messages, framed};
use super::reply::Reply;
use super::status::Status;
use super::wire::{self, Malformed, Value};
use crate::connections::Phase;

/// The interval of a stream that has neither an end nor an interval of its own.
const ENDLESS_INTERVAL: Duration = Duration::from_secs(1);

/// `Echo`.
pub(super) async fn once(mut messages: Messages, reply: &mut Reply) -> Result<Status, Failure> {
    let message = messages.framed().await?.ok_or(Failure::Status(Status::InvalidArgument))?;
    reply.send(message)?;
    Ok(Status::Ok)
}

/// `EchoEach`.
pub(super) async fn each(
    mut messages: Messages,
    headers: &HeaderMap,
    phase: watch::Receiver<Phase>,
    reply: &mut Reply,
) -> Result<Status, Failure> {
    let mut limits = Limits::new(headers, phase, true);
    while let Some(message) = limits.within(messages.framed()).await? {
        limits.within(reply.send_when_taken(message)).await?;
    }
    Ok(Status::Ok)
}

/// `EchoStream`.
pub(super) async fn stream(
    mut messages: Messages,
    headers: &HeaderMap,
    phase: watch::Receiver<Phase>,
    reply: &mut Reply,
) -> Result<Status, Failure> {
    let wish = messages.one().await?;
    let Ok(wish) = Wish::read(&wish) else { return Ok(Status::InvalidArgument) };
    let mut limits = Limits::new(headers, phase, wish.count.is_none());
    let mut due = Instant::now();
    for number in 0..wish.count.unwrap_or(u64::MAX) {
        if !wish.interval.is_zero() {
            tokio::select! {
                biased;
                status = limits.reached() => return Ok(status),
                gone = reply.gone() => return Err(gone.into()),
                () = sleep_until(due) => due += wish.interval,
            }
        }
        limits.within(reply.send_when_taken(wish.message.clone())).await?;
        // The first message is written before the others are made, and other calls have their turn.
        if number == 0 {
            yield_now().await;
        } else {
            consume_budget().await;
        }
    }
    Ok(Status::Ok)
}

/// What a client wishes to get.
struct Wish {
    /// The message with its prefix.
    message: Bytes,
    /// How many messages; `None` for a stream without an end.
    count: Option<u64>,
    interval: Duration,
}

impl Wish {
    /// From `EchoStreamRequest`, whose first two fields are those of `EchoResponse`.
    fn read(message: &[u8]) -> Result<Self, Malformed> {
        let (mut response, mut count, mut interval) = (Vec::new(), 0, 0);
        for field in wire::fields(message) {
            match field? {
                (number @ (1 | 2), Value::Bytes(bytes)) => wire::put_bytes(&mut response, number, bytes),
                (3, Value::Number(number)) => count = number,
                (4, Value::Number(number)) => interval = number & u64::from(u32::MAX),
                _ => {}
            }
        }
        let interval = match (count, interval) {
            (0, 0) => ENDLESS_INTERVAL,
            (_, ms) => Duration::from_millis(ms),
        };
        Ok(Self { message: framed(&response), count: (count > 0).then_some(count), interval })
    }
}
