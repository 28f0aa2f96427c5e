//! Values of flags that are in a file.

use std::io;

use crate::config::InvalidValue;

/// The value that `text` is, or the one that `read` gets from the file after `@`.
///
/// # Errors
/// [`InvalidValue`] if the file cannot be read.
pub(super) fn text_or_file<T>(text: &str, read: impl FnOnce(&str) -> io::Result<T>) -> Result<T, InvalidValue>
where
    T: for<'a> From<&'a str>,
{
    text.strip_prefix('@').map_or_else(|| Ok(text.into()), |file| read(file).map_err(|source| unreadable(&source)))
}

/// The error for a file that cannot be read.
pub(super) fn unreadable(source: &io::Error) -> InvalidValue {
    InvalidValue::expected(format!("a file that can be read ({source})"))
}
