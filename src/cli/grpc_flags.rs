//! Flags of a call of gRPC.

use std::fmt;
use std::path::PathBuf;

use crate::cli::error::Error;
use crate::config::InvalidValue;
use crate::experiment::{ExperimentError, GrpcCall};
use evenkeel_grpc::{Schema, SchemaError};
use evenkeel_load::GrpcMethod;

/// Flags of the message of --grpc.
#[derive(Debug, clap::Args)]
pub struct GrpcFlags {
    /// Message for --grpc as JSON, or @FILE to read it from a file [default: {}]
    #[arg(long, value_name = "JSON|@FILE", value_parser = Json::read, allow_hyphen_values = true)]
    #[arg(requires = "grpc", conflicts_with = "body")]
    message: Option<Json>,
    /// File that defines the service of --grpc; may be repeated [default: ask the server by reflection]
    #[arg(long, value_name = "FILE", requires = "grpc")]
    proto: Vec<PathBuf>,
    /// Folder in which --proto files and their imports are looked up; may be repeated [default: those of the files]
    #[arg(long, value_name = "DIR", requires = "proto")]
    proto_path: Vec<PathBuf>,
}

impl GrpcFlags {
    /// The call of `method`, checked as far as that is possible without the server. `has_body` is whether the encoded message
    /// is given.
    ///
    /// # Errors
    /// [`ExperimentError::Schema`].
    pub fn call(&self, method: Option<&GrpcMethod>, has_body: bool) -> Result<Option<GrpcCall>, Error> {
        Ok(method.map(|method| self.call_of(method.clone(), has_body)).transpose().map_err(ExperimentError::from)?)
    }

    fn call_of(&self, method: GrpcMethod, has_body: bool) -> Result<GrpcCall, SchemaError> {
        let given = (!self.proto.is_empty()).then(|| Schema::compile(&self.proto, &self.proto_path));
        let schema = given.transpose()?;
        if has_body {
            return GrpcCall::with_body(method, schema.as_ref());
        }
        let json = self.message.as_ref().map_or("{}", |json| &json.0);
        GrpcCall::with_json(method, json, schema.as_ref())
    }
}

/// JSON as it was given.
#[derive(Clone)]
struct Json(String);

impl Json {
    /// The text itself, or the content of the file after `@`.
    fn read(text: &str) -> Result<Self, InvalidValue> {
        match text.strip_prefix('@') {
            Some(file) => std::fs::read_to_string(file)
                .map(Self)
                .map_err(|source| InvalidValue::expected(format!("a file that can be read ({source})"))),
            None => Ok(Self(text.to_owned())),
        }
    }
}

/// A message may be secret, and large.
impl fmt::Debug for Json {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Json({} bytes)", self.0.len())
    }
}
