//! Flags of a call of gRPC.

use std::fmt;
use std::path::PathBuf;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::given_file::text_or_file;
use super::load_flags::LoadFlags;
use crate::cli::error::Error;
use crate::config::InvalidValue;
use crate::experiment::{ExperimentError, GrpcCall};
use evenkeel_grpc::{Schema, SchemaError};
use evenkeel_load::{GrpcMethod, RequestTemplate};

/// Flags of the message of --grpc.
#[derive(Debug, clap::Args)]
pub struct GrpcFlags {
    /// Message for --grpc as JSON, or @FILE to read it from a file [default: {}]
    #[arg(long, value_name = "JSON|@FILE", value_parser = Json::read, allow_hyphen_values = true)]
    #[arg(requires = "grpc", conflicts_with_all = ["body", "requests_file"])]
    message: Option<Json>,
    /// File that defines the service of --grpc; may be repeated [default: ask the server by reflection]
    #[arg(long, value_name = "FILE", requires = "grpc")]
    proto: Vec<PathBuf>,
    /// Folder in which --proto files and their imports are looked up; may be repeated [default: those of the files]
    #[arg(long, value_name = "DIR", requires = "proto")]
    proto_path: Vec<PathBuf>,
}

impl GrpcFlags {
    /// The call of the method that `load` names, checked as far as that is possible without the server. `requests` are what
    /// `load` describes.
    ///
    /// # Errors
    /// [`Error::BadValue`] for metadata, and [`ExperimentError::Schema`].
    pub fn call(&self, load: &LoadFlags, requests: &[RequestTemplate]) -> Result<Option<GrpcCall>, Error> {
        let Some(method) = load.grpc() else { return Ok(None) };
        for request in requests {
            check_metadata(&request.http2_metadata())?;
        }
        Ok(Some(self.call_of(method.clone(), load).map_err(ExperimentError::from)?))
    }

    fn call_of(&self, method: GrpcMethod, load: &LoadFlags) -> Result<GrpcCall, SchemaError> {
        let given = (!self.proto.is_empty()).then(|| Schema::compile(&self.proto, &self.proto_path));
        let schema = given.transpose()?;
        if let Some(calls) = load.calls() {
            return GrpcCall::with_lines(method, calls, schema.as_ref());
        }
        if load.has_body() {
            return GrpcCall::with_body(method, schema.as_ref());
        }
        let json = self.message.as_ref().map_or("{}", |json| &json.0);
        GrpcCall::with_json(method, json, schema.as_ref())
    }
}

/// Refuses binary metadata that is not base64, which it is on the wire. It may be a list.
fn check_metadata(metadata: &[(String, String)]) -> Result<(), Error> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let base64 = GeneralPurpose::new(&STANDARD, config);
    let is_base64 = |value: &str| value.split(',').all(|one| base64.decode(one.trim()).is_ok());
    match metadata.iter().find(|(name, value)| name.ends_with("-bin") && !is_base64(value)) {
        None => Ok(()),
        Some((name, value)) => {
            let why = "expected base64, because the name of the metadata ends with -bin".into();
            Err(Error::BadValue { what: "--header", given: format!("{name}: {value}"), why })
        }
    }
}

/// JSON as it was given.
#[derive(Clone)]
struct Json(String);

impl Json {
    /// The text itself, or the content of the file after `@`.
    fn read(text: &str) -> Result<Self, InvalidValue> {
        text_or_file(text, |file| std::fs::read_to_string(file)).map(Self)
    }
}

/// A message may be secret, and large.
impl fmt::Debug for Json {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Json({} bytes)", self.0.len())
    }
}
