//! A message from JSON, by the mapping of protobuf (`ProtoJSON`).

use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor};

use crate::SchemaError;

/// Encodes `json` as a message of this type.
pub(super) fn encode(descriptor: MessageDescriptor, json: &str) -> Result<Vec<u8>, SchemaError> {
    let message = descriptor.full_name().to_owned();
    let mut input = serde_json::Deserializer::from_str(json);
    let mut track = serde_path_to_error::Track::new();
    let read = DynamicMessage::deserialize(descriptor, serde_path_to_error::Deserializer::new(&mut input, &mut track));
    let read = read.and_then(|message| input.end().map(|()| message));
    let read = read.map_err(|why| {
        let (path, why) = (track.path().to_string(), why.to_string());
        let why = if path == "." { why } else { format!("{path}: {why}") };
        SchemaError::Message { message, why }
    })?;
    Ok(read.encode_to_vec())
}
