//! Protobuf messages as far as the services need them: fields are read and written one by one, so that no library is
//! needed (<https://protobuf.dev/programming-guides/encoding/>).

/// A message that is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A field of a message: its number and its value.
pub(super) type Field<'a> = (u32, Value<'a>);

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A number of any length.
    Number(u64),
    /// A string, bytes or a message.
    Bytes(&'a [u8]),
    /// A number of four or eight bytes, which no service uses.
    Fixed,
}

/// The fields of a message, in their order.
pub(super) fn fields(message: &[u8]) -> impl Iterator<Item = Result<Field<'_>, Malformed>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = field(&mut rest);
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

/// The last value of a field of bytes; empty if it is not there.
pub(super) fn bytes(message: &[u8], number: u32) -> &[u8] {
    all_bytes(message, number).last().unwrap_or_default()
}

/// All values of a field of bytes.
pub(super) fn all_bytes(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    fields(message).filter_map(move |field| match field {
        Ok((found, Value::Bytes(bytes))) if found == number => Some(bytes),
        _ => None,
    })
}

/// Appends a field of bytes.
pub(super) fn put_bytes(message: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_number(message, u64::from(number) << 3 | 2);
    put_number(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

/// Appends a field of a number.
pub(super) fn put_number_field(message: &mut Vec<u8>, number: u32, value: u64) {
    put_number(message, u64::from(number) << 3);
    put_number(message, value);
}

fn put_number(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        message.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    message.push((number & 0x7f) as u8);
}

fn field<'a>(rest: &mut &'a [u8]) -> Result<Field<'a>, Malformed> {
    let key = number(rest)?;
    let field = u32::try_from(key >> 3).ok().filter(|field| *field > 0).ok_or(Malformed)?;
    let value = match key & 7 {
        0 => Value::Number(number(rest)?),
        1 => taken(rest, 8).map(|_| Value::Fixed)?,
        2 => {
            let length = usize::try_from(number(rest)?).map_err(|_| Malformed)?;
            Value::Bytes(taken(rest, length)?)
        }
        5 => taken(rest, 4).map(|_| Value::Fixed)?,
        _ => return Err(Malformed),
    };
    Ok((field, value))
}

fn number(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *taken(rest, 1)?.first().ok_or(Malformed)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Malformed)
}

fn taken<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (taken, left) = rest.split_at_checked(length).ok_or(Malformed)?;
    *rest = left;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_were_written() {
        let mut message = Vec::new();
        put_bytes(&mut message, 1, b"abc");
        put_number_field(&mut message, 3, 300);
        put_bytes(&mut message, 1000, &[7; 200]);
        put_number_field(&mut message, 4, u64::MAX);
        let all: Vec<_> = fields(&message).map(Result::unwrap).collect();
        let expected = [
            (1, Value::Bytes(b"abc")),
            (3, Value::Number(300)),
            (1000, Value::Bytes(&[7; 200])),
            (4, Value::Number(u64::MAX)),
        ];
        assert_eq!(all, expected);
        assert_eq!((bytes(&message, 1), bytes(&message, 2)), (&b"abc"[..], &b""[..]));
    }

    #[test]
    fn a_broken_message_ends_with_an_error() {
        for broken in [&[0x0a][..], &[0x0a, 5, 1], &[0x80], &[0x08], &[0x08, 0xff], &[0x0b], &[0], &[0xff; 20]] {
            let all: Vec<_> = fields(broken).collect();
            assert_eq!(all, [Err(Malformed)], "{broken:?}");
        }
        assert_eq!(fields(&[0x0d, 1, 2, 3, 4, 0x09, 1, 2, 3, 4, 5, 6, 7, 8]).count(), 2);
    }
}
