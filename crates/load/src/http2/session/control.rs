//! The frames that are about the connection or a stream, and carry no response (RFC 9113, sections 6.4 to 6.9).

use super::super::super::fault::Fault;
use super::super::super::protocol_error::ProtocolError;
use super::super::frame::{self, Frame, MAX_31_BITS, code, flag, kind, setting};
use super::super::hpack::TABLE_SIZE;
use super::{Encoding, Session};

impl Session {
    pub(super) fn settings(&mut self, frame: Frame<'_>) -> Result<(), ProtocolError> {
        let (settings, rest) = frame.payload.as_chunks::<6>();
        if frame.stream != 0 || !rest.is_empty() || (frame.has(flag::ACK) && !settings.is_empty()) {
            return Err(ProtocolError);
        }
        if frame.has(flag::ACK) {
            return Ok(());
        }
        if !std::mem::replace(&mut self.settled, true) {
            self.max_streams = u32::MAX;
        }
        for &[high, low, a, b, c, d] in settings {
            self.setting(u16::from_be_bytes([high, low]), u32::from_be_bytes([a, b, c, d]))?;
        }
        frame::write(&mut self.output, kind::SETTINGS, flag::ACK, 0, &[]);
        Ok(())
    }

    fn setting(&mut self, id: u16, value: u32) -> Result<(), ProtocolError> {
        match id {
            setting::MAX_CONCURRENT_STREAMS => self.max_streams = value,
            setting::INITIAL_WINDOW_SIZE if value > MAX_31_BITS => return Err(ProtocolError),
            setting::INITIAL_WINDOW_SIZE => {
                let change = i64::from(value) - self.first_send_window;
                self.first_send_window = value.into();
                for stream in self.streams.values_mut() {
                    stream.send_window = window(stream.send_window, change)?;
                }
            }
            setting::MAX_FRAME_SIZE if !(16_384..1 << 24).contains(&value) => return Err(ProtocolError),
            setting::ENABLE_PUSH if value != 0 => return Err(ProtocolError),
            setting::HEADER_TABLE_SIZE if (value as usize) < TABLE_SIZE => match self.encoding {
                Encoding::Plain => {}
                _ => self.encoding = Encoding::Shrink,
            },
            _ => {}
        }
        Ok(())
    }

    pub(super) fn window_update(&mut self, frame: Frame<'_>) -> Result<(), ProtocolError> {
        let more = frame.number()? & MAX_31_BITS;
        if frame.stream == 0 {
            self.send_window = window(self.send_window, more.into()).ok().filter(|_| more > 0).ok_or(ProtocolError)?;
            return Ok(());
        }
        self.check_opened(frame.stream)?;
        let Some(stream) = self.streams.get_mut(&frame.stream) else { return Ok(()) };
        match window(stream.send_window, more.into()) {
            Ok(window) if more > 0 => stream.send_window = window,
            _ => self.malformed(frame.stream),
        }
        Ok(())
    }

    pub(super) fn reset(&mut self, frame: Frame<'_>) -> Result<(), ProtocolError> {
        self.check_opened(frame.stream)?;
        match frame.number()? {
            code::REFUSED_STREAM => self.fail(frame.stream, Fault::NotProcessed),
            _ => self.fail(frame.stream, Fault::StreamReset),
        }
        Ok(())
    }

    pub(super) fn ping(&mut self, frame: Frame<'_>) -> Result<(), ProtocolError> {
        if frame.stream != 0 || frame.payload.len() != 8 {
            return Err(ProtocolError);
        }
        if !frame.has(flag::ACK) {
            frame::write(&mut self.output, kind::PING, flag::ACK, 0, frame.payload);
        }
        Ok(())
    }

    /// The server ends the connection. Streams up to the one that it names are finished, later ones were not processed.
    pub(super) fn goaway(&mut self, frame: Frame<'_>) -> Result<(), ProtocolError> {
        let last = frame.payload.first_chunk().filter(|_| frame.stream == 0 && frame.payload.len() >= 8);
        let last = u32::from_be_bytes(*last.ok_or(ProtocolError)?) & MAX_31_BITS;
        self.going_away = true;
        self.fail_all(Fault::NotProcessed, |id, _| id > last);
        Ok(())
    }
}

/// A window after a change (section 6.9.1).
fn window(before: i64, change: i64) -> Result<i64, ProtocolError> {
    let after = before + change;
    if after > i64::from(MAX_31_BITS) { Err(ProtocolError) } else { Ok(after) }
}
