//! The call of gRPC that a run makes: its method is looked up and its message is encoded once, before the first run.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::experiment::ExperimentError;
use evenkeel_grpc::{Authority, Method, Schema, SchemaError, reflect};
use evenkeel_load::{Fault, GrpcMethod, GrpcReply, RequestTemplate, Target};

/// The longest time for asking a server about its methods.
const LONGEST_REFLECTION: Duration = Duration::from_secs(10);

/// A call whose method is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcCall {
    method: GrpcMethod,
    message: CallMessage,
}

/// The message of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
enum CallMessage {
    /// It is the body of the request already.
    Body(GrpcReply),
    /// JSON that the server's own description of the method says how to encode.
    Json(String),
    Encoded(Vec<u8>, GrpcReply),
}

impl GrpcCall {
    /// A call with a message that is encoded already, and is the body of the request. Without a schema it is not known how
    /// the method answers.
    ///
    /// # Errors
    /// [`SchemaError`] if the schema does not have the method.
    pub fn with_body(method: GrpcMethod, schema: Option<&Schema>) -> Result<Self, SchemaError> {
        let known = schema.map(|schema| schema.method(method.service(), method.name())).transpose()?;
        Ok(Self { method, message: CallMessage::Body(known.as_ref().map_or(GrpcReply::Unknown, reply)) })
    }

    /// A call with a message as JSON. Without a schema, the server is asked for its own before the first run.
    ///
    /// # Errors
    /// [`SchemaError`] if the schema does not have the method, or the message does not fit it.
    pub fn with_json(method: GrpcMethod, json: &str, schema: Option<&Schema>) -> Result<Self, SchemaError> {
        let message = match schema {
            None => CallMessage::Json(json.to_owned()),
            Some(schema) => encoded(schema, &method, json)?,
        };
        Ok(Self { method, message })
    }

    /// Whether the server has to be asked about the method.
    #[must_use]
    pub fn asks_server(&self) -> bool {
        matches!(self.message, CallMessage::Json(_))
    }

    /// The request with its encoded message. Where that is necessary, `target` is asked about the method.
    ///
    /// # Errors
    /// [`ExperimentError::Schema`] and [`ExperimentError::NoAnswer`].
    pub async fn request(&self, request: RequestTemplate, target: &Target) -> Result<RequestTemplate, ExperimentError> {
        let asked = match &self.message {
            CallMessage::Json(json) => {
                let schema = timeout(LONGEST_REFLECTION, ask(target, &request, &self.method)).await;
                let seconds = LONGEST_REFLECTION.as_secs();
                let late = |_| SchemaError::Reflection { why: format!("it did not answer within {seconds} s") };
                encoded(&schema.map_err(late)??, &self.method, json)?
            }
            message => message.clone(),
        };
        Ok(match asked {
            CallMessage::Encoded(message, reply) => request.grpc_message(&message).grpc_reply(reply),
            CallMessage::Body(reply) => request.grpc_reply(reply),
            CallMessage::Json(_) => request,
        })
    }
}

fn encoded(schema: &Schema, method: &GrpcMethod, json: &str) -> Result<CallMessage, SchemaError> {
    let method = schema.method(method.service(), method.name())?;
    Ok(CallMessage::Encoded(method.encode(json)?, reply(&method)))
}

fn reply(method: &Method) -> GrpcReply {
    if method.is_streaming() { GrpcReply::Stream } else { GrpcReply::One }
}

/// Asks the server by reflection, over a connection of its own.
///
/// # Errors
/// [`ExperimentError::NoAnswer`] where there is no connection, with the kind of failure as in a run.
async fn ask(target: &Target, request: &RequestTemplate, method: &GrpcMethod) -> Result<Schema, ExperimentError> {
    let failed = |why: io::Error| {
        let kind = Fault::from(&why).to_string();
        let why = format!("asking for its methods failed: {kind}");
        ExperimentError::NoAnswer { target: request.url(target), why, kind: Some(kind) }
    };
    let authority =
        Authority { scheme: target.scheme(), host: request.host(target), metadata: request.http2_metadata() };
    let tcp = TcpStream::connect(target.address).await.map_err(failed)?;
    let Some(tls) = &target.tls else { return Ok(reflect(tcp, &authority, method.service()).await?) };
    let (config, name) = tls.http2();
    let stream = TlsConnector::from(config).connect(name, tcp).await.map_err(failed)?;
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(SchemaError::Reflection { why: "it offers no HTTP/2 over TLS".into() }.into());
    }
    Ok(reflect(stream, &authority, method.service()).await?)
}
