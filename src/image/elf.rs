//! Checks whether a binary can run in an image that contains nothing else.

/// Program header type of the path to a dynamic loader.
const PT_INTERP: u32 = 3;

/// Why `binary` cannot be the only file of an image; `None` when it can.
pub(super) fn problem(binary: &[u8]) -> Option<&'static str> {
    match interpreted(binary) {
        None => Some("it is not a 64-bit little-endian ELF program"),
        Some(true) => Some("it needs a dynamic loader, which an image with one file does not have"),
        Some(false) => None,
    }
}

/// Whether it needs a dynamic loader; `None` when it is not a 64-bit little-endian ELF file.
fn interpreted(binary: &[u8]) -> Option<bool> {
    if !binary.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let table = usize::try_from(u64::from_le_bytes(field(binary, 32)?)).ok()?;
    let entry_size = usize::from(u16::from_le_bytes(field(binary, 54)?));
    let entries = usize::from(u16::from_le_bytes(field(binary, 56)?));
    (0..entries).try_fold(false, |found, entry| {
        let kind = u32::from_le_bytes(field(binary, table.checked_add(entry * entry_size)?)?);
        Some(found || kind == PT_INTERP)
    })
}

fn field<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF header followed by program headers of these types.
    fn elf(kinds: &[u32]) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32] = 64;
        file[54] = 56;
        file[56] = u8::try_from(kinds.len()).unwrap();
        for kind in kinds {
            file.extend(kind.to_le_bytes());
            file.extend([0; 52]);
        }
        file
    }

    #[test]
    fn a_loader_is_found_in_any_program_header() {
        assert_eq!(problem(&elf(&[6, 1, 2])), None);
        assert!(problem(&elf(&[6, PT_INTERP, 1])).unwrap().contains("loader"));
        assert!(problem(&elf(&[1, 2, PT_INTERP])).unwrap().contains("loader"));
    }

    #[test]
    fn incomplete_files_are_refused() {
        let whole = elf(&[1]);
        for bad in [&b""[..], b"#!/bin/sh\n", &whole[..40], &whole[..66]] {
            assert!(problem(bad).unwrap().contains("ELF"));
        }
    }

    #[test]
    fn a_test_binary_is_dynamic() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(problem(&own).is_none(), cfg!(target_feature = "crt-static"));
    }
}
