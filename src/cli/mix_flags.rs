//! Flags of several requests that one run sends.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use super::given_file::unreadable;
use crate::cli::error::Error;
use crate::config::InvalidValue;
use evenkeel_load::{
    CallLine, RequestMix, RequestOrder, RequestPath, RequestTemplate, RequestsFile, parse_requests_file,
};

/// How large a file of requests may be, in bytes.
const LARGEST_FILE: u64 = 64 << 20;

/// Flags of several requests.
#[derive(Debug, clap::Args)]
pub(super) struct MixFlags {
    /// Send the requests of this file, one JSON object a line, or of the standard input for -
    #[arg(long, value_name = "FILE", value_parser = GivenFile::read, allow_hyphen_values = true)]
    #[arg(conflicts_with_all = ["method", "body", "path"])]
    requests_file: Option<GivenFile>,
    /// Order of several requests
    #[arg(long, value_name = "ORDER", default_value = "in-order")]
    requests_order: Order,
    /// Seed of random orders, pauses and {{random:…}}; with the same one, the same requests are sent again
    #[arg(long, value_name = "N", default_value = "0", allow_negative_numbers = true, value_parser = parse_seed)]
    seed: u64,
}

/// The order of several requests.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Order {
    /// One after the other, again and again
    InOrder,
    /// Each time any of them
    Random,
}

impl MixFlags {
    /// The requests, if there are several or they are in a file. `request` is what those with `paths` have in common;
    /// `change` adds to a request of the file what other flags say.
    pub(super) fn mix(
        &self,
        request: &RequestTemplate,
        paths: &[RequestPath],
        change: impl Fn(RequestTemplate) -> RequestTemplate,
    ) -> Option<RequestMix> {
        let requests = match (self.file(), paths) {
            (Some(RequestsFile::Requests(file)), _) => file.iter().cloned().map(change).collect(),
            (Some(RequestsFile::Calls(_)), _) | (None, [] | [_]) => return None,
            (None, paths) => paths.iter().map(|path| request.clone().path(path.clone())).collect(),
        };
        RequestMix::new(requests, self.order())
    }

    /// The requests of the file, if there is one.
    pub(super) fn file(&self) -> Option<&RequestsFile> {
        self.requests_file.as_ref().map(|file| &*file.requests)
    }

    /// Refuses a file whose requests are not those that the other flags are about.
    pub(super) fn check(&self, grpc: bool, compares_protocols: bool) -> Result<(), Error> {
        let Some(file) = &self.requests_file else { return Ok(()) };
        let why = match (&*file.requests, grpc) {
            (RequestsFile::Calls(_), false) => "its lines are calls of gRPC, so expected --grpc with it",
            (RequestsFile::Requests(_), true) => "with --grpc, expected lines with the fields message or metadata",
            (RequestsFile::Calls(_), true) if compares_protocols => {
                "calls of gRPC in a file cannot be compared with other protocols"
            }
            _ => return Ok(()),
        };
        Err(Error::BadValue { what: "--requests-file", given: file.name.clone(), why: why.into() })
    }

    /// The calls of gRPC of the file, if it has some.
    pub(super) fn calls(&self) -> Option<&[CallLine]> {
        match self.file()? {
            RequestsFile::Calls(calls) => Some(calls),
            RequestsFile::Requests(_) => None,
        }
    }

    /// The order of several requests.
    pub(super) fn order(&self) -> RequestOrder {
        match self.requests_order {
            Order::InOrder => RequestOrder::InOrder,
            Order::Random => RequestOrder::Random,
        }
    }

    /// From which random orders and numbers follow.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }
}

/// The requests of a file.
#[derive(Clone)]
struct GivenFile {
    /// As it was given.
    name: String,
    requests: Arc<RequestsFile>,
}

impl GivenFile {
    fn read(path: &str) -> Result<Self, InvalidValue> {
        let text = if path == "-" { read(io::stdin().lock()) } else { File::open(path).and_then(read) };
        let text = text.map_err(|source| unreadable(&source))?;
        if text.len() as u64 > LARGEST_FILE {
            return Err(InvalidValue::expected(format!("a file of at most {} MiB", LARGEST_FILE >> 20)));
        }
        let requests = parse_requests_file(&text)
            .map_err(|why| InvalidValue::expected(format!("one JSON object with a request on each line, but {why}")))?;
        Ok(Self { name: path.to_owned(), requests: Arc::new(requests) })
    }
}

/// Reads everything, or one byte more than a file may have.
fn read(file: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// Requests may be secret, and many.
impl std::fmt::Debug for GivenFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "GivenFile({:?})", self.name)
    }
}

fn parse_seed(text: &str) -> Result<u64, InvalidValue> {
    let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| InvalidValue::expected("a whole number from 0 to 18446744073709551615"))
}
