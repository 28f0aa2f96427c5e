//! The call of gRPC that a run makes: its method is looked up and its message is encoded once, before the first run.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::experiment::ExperimentError;
use evenkeel_grpc::{Authority, Method, Schema, SchemaError, reflect};
use evenkeel_load::{CallLine, Fault, GrpcMethod, GrpcReply, RequestTemplate, Target};

/// The longest time for asking a server about its methods.
const LONGEST_REFLECTION: Duration = Duration::from_secs(10);

/// A call whose method is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcCall {
    method: GrpcMethod,
    messages: CallMessages,
}

/// The messages of the calls of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
enum CallMessages {
    /// It is the body of the request already.
    Body(GrpcReply),
    /// JSON that the server's own description of the method says how to encode.
    Json(Vec<JsonMessage>),
    /// One for each request.
    Encoded(Vec<Vec<u8>>, GrpcReply),
}

/// A message as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
struct JsonMessage {
    /// The number of its line, if it is from a file of calls.
    line: Option<usize>,
    json: String,
}

impl GrpcCall {
    /// A call with a message that is encoded already, and is the body of the request. Without a schema it is not known how
    /// the method answers.
    ///
    /// # Errors
    /// [`SchemaError`] if the schema does not have the method.
    pub fn with_body(method: GrpcMethod, schema: Option<&Schema>) -> Result<Self, SchemaError> {
        let known = schema.map(|schema| schema.method(method.service(), method.name())).transpose()?;
        Ok(Self { method, messages: CallMessages::Body(known.as_ref().map_or(GrpcReply::Unknown, reply)) })
    }

    /// A call with a message as JSON. Without a schema, the server is asked for its own before the first run.
    ///
    /// # Errors
    /// [`SchemaError`] if the schema does not have the method, or the message does not fit it.
    pub fn with_json(method: GrpcMethod, json: &str, schema: Option<&Schema>) -> Result<Self, SchemaError> {
        Self::with_messages(method, vec![JsonMessage { line: None, json: json.to_owned() }], schema)
    }

    /// Calls with the messages of these lines, as [`with_json`](Self::with_json).
    ///
    /// # Errors
    /// The same; a message that does not fit is named with its line.
    pub fn with_lines(method: GrpcMethod, lines: &[CallLine], schema: Option<&Schema>) -> Result<Self, SchemaError> {
        let message = |call: &CallLine| JsonMessage { line: Some(call.line), json: call.message.clone() };
        Self::with_messages(method, lines.iter().map(message).collect(), schema)
    }

    fn with_messages(
        method: GrpcMethod,
        messages: Vec<JsonMessage>,
        schema: Option<&Schema>,
    ) -> Result<Self, SchemaError> {
        let messages = match schema {
            None => CallMessages::Json(messages),
            Some(schema) => encoded(schema, &method, &messages)?,
        };
        Ok(Self { method, messages })
    }

    /// Whether the server has to be asked about the method.
    #[must_use]
    pub fn asks_server(&self) -> bool {
        matches!(self.messages, CallMessages::Json(_))
    }

    /// The requests with their encoded messages. Where that is necessary, `target` is asked about the method.
    ///
    /// # Errors
    /// [`ExperimentError::Schema`] and [`ExperimentError::NoAnswer`].
    pub async fn requests(
        &self,
        mut requests: Vec<RequestTemplate>,
        target: &Target,
    ) -> Result<Vec<RequestTemplate>, ExperimentError> {
        let asked = match (&self.messages, requests.first()) {
            (CallMessages::Json(messages), Some(request)) => {
                let schema = timeout(LONGEST_REFLECTION, ask(target, request, &self.method)).await;
                let seconds = LONGEST_REFLECTION.as_secs();
                let late = |_| SchemaError::Reflection { why: format!("it did not answer within {seconds} s") };
                encoded(&schema.map_err(late)??, &self.method, messages)?
            }
            (messages, _) => messages.clone(),
        };
        match asked {
            CallMessages::Encoded(messages, reply) => {
                let both = requests.into_iter().zip(&messages);
                requests = both.map(|(request, message)| request.grpc_message(message).grpc_reply(reply)).collect();
            }
            CallMessages::Body(reply) => {
                requests = requests.into_iter().map(|request| request.grpc_reply(reply)).collect();
            }
            CallMessages::Json(_) => {}
        }
        Ok(requests)
    }
}

fn encoded(schema: &Schema, method: &GrpcMethod, messages: &[JsonMessage]) -> Result<CallMessages, SchemaError> {
    let method = schema.method(method.service(), method.name())?;
    let encode = |JsonMessage { line, json }: &JsonMessage| {
        method.encode(json).map_err(|error| match (error, line) {
            (SchemaError::Message { message, why }, Some(line)) => {
                SchemaError::Message { message, why: format!("line {line}: {why}") }
            }
            (error, _) => error,
        })
    };
    let messages = messages.iter().map(encode).collect::<Result<_, _>>()?;
    Ok(CallMessages::Encoded(messages, reply(&method)))
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
