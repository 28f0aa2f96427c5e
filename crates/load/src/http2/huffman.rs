//! Decodes strings of HPACK that are compressed by its Huffman code (RFC 7541, appendix B).

use super::super::protocol_error::ProtocolError;

/// The length of each byte's code in bits. The code is canonical: codes of the same length are in the order of the bytes,
/// and shorter codes come first. So the lengths define it.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

/// The length of the shortest and of the longest code.
const SHORTEST: usize = 5;
const LONGEST: usize = 30;

/// The canonical code.
struct Code {
    /// The bytes in the order of their codes.
    bytes: [u8; 256],
    /// For each length, the first code of this length.
    first: [u32; LONGEST + 1],
    /// For each length, how many codes have it.
    count: [u32; LONGEST + 1],
    /// For each length, where its bytes begin.
    begins: [usize; LONGEST + 1],
}

const CODE: Code = code();

#[allow(clippy::cast_possible_truncation, reason = "a byte is below 256")]
const fn code() -> Code {
    let mut code = Code { bytes: [0; 256], first: [0; LONGEST + 1], count: [0; LONGEST + 1], begins: [0; LONGEST + 1] };
    let (mut length, mut next, mut placed) = (1, 0, 0);
    while length <= LONGEST {
        (code.first[length], code.begins[length]) = (next, placed);
        let mut byte = 0;
        while byte < LENGTHS.len() {
            if LENGTHS[byte] as usize == length {
                code.bytes[placed] = byte as u8;
                code.count[length] += 1;
                (next, placed) = (next + 1, placed + 1);
            }
            byte += 1;
        }
        next <<= 1;
        length += 1;
    }
    code
}

/// Appends what `input` encodes.
pub(super) fn decode(input: &[u8], output: &mut Vec<u8>) -> Result<(), ProtocolError> {
    let (mut bits, mut available) = (0_u64, 0_usize);
    let mut rest = input.iter();
    loop {
        while available <= 32 {
            let Some(byte) = rest.next() else { break };
            bits = bits << 8 | u64::from(*byte);
            available += 8;
        }
        match first_code(bits, available) {
            Some((byte, length)) => {
                output.push(byte);
                available -= length;
                bits &= (1 << available) - 1;
            }
            // What is left is padding: fewer than eight bits, all of them 1.
            None if available < 8 && bits == (1 << available) - 1 => return Ok(()),
            None => return Err(ProtocolError),
        }
    }
}

/// The byte whose code comes first in the lowest `available` of the bits, and the length of the code.
fn first_code(bits: u64, available: usize) -> Option<(u8, usize)> {
    (SHORTEST..=LONGEST.min(available)).find_map(|length| {
        let code = u32::try_from(bits >> (available - length)).ok()?;
        let at = code.checked_sub(CODE.first[length]).filter(|at| *at < CODE.count[length])?;
        Some((CODE.bytes[CODE.begins[length] + at as usize], length))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(input: &[u8]) -> Result<Vec<u8>, ProtocolError> {
        let mut output = Vec::new();
        decode(input, &mut output).map(|()| output)
    }

    /// The code of each byte, from the standard's table.
    #[allow(clippy::cast_possible_truncation, reason = "only the lowest bits are wanted")]
    fn encoded(text: &[u8]) -> Vec<u8> {
        let (mut bits, mut available, mut output) = (0_u64, 0, Vec::new());
        for byte in text {
            let at = CODE.bytes.iter().position(|other| other == byte).unwrap();
            let length = usize::from(LENGTHS[usize::from(*byte)]);
            let code = u64::from(CODE.first[length]) + (at - CODE.begins[length]) as u64;
            (bits, available) = (bits << length | code, available + length);
            while available >= 8 {
                output.push((bits >> (available - 8)) as u8);
                available -= 8;
                bits &= (1 << available) - 1;
            }
        }
        if available > 0 {
            output.push((bits << (8 - available)) as u8 | 0xff >> available);
        }
        output
    }

    #[test]
    fn the_examples_of_the_standard() {
        // RFC 7541, appendices C.4 and C.6.
        let examples: [(&[u8], &[u8]); 4] = [
            (&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff], b"www.example.com"),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], b"no-cache"),
            (&[0x64, 0x02], b"302"),
            (&[0xae, 0xc3, 0x77, 0x1a, 0x4b], b"private"),
        ];
        for (input, text) in examples {
            assert_eq!(decoded(input).unwrap(), text);
        }
        assert_eq!(decoded(&[]).unwrap(), b"");
    }

    #[test]
    fn every_byte_is_decoded() {
        let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        assert_eq!(decoded(&encoded(&all)).unwrap(), all);
    }

    #[test]
    fn wrong_padding_and_the_end_of_string_are_refused() {
        // A whole byte of padding, padding with zeros, and the code that only ends strings.
        for input in [&[0x64, 0x02, 0xff][..], &[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xb0], &[0xff, 0xff, 0xff, 0xff]] {
            assert!(decoded(input).is_err(), "{input:x?}");
        }
    }
}
