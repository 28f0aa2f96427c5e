//! Why a method or a message could not be found or encoded.

use thiserror::Error;

/// What is wrong with a schema, a method or a message. `Display` is one sentence.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A `.proto` file cannot be read or is not valid.
    #[error("the .proto files cannot be used: {why}")]
    Proto {
        /// What is wrong, with the file and the place.
        why: String,
    },
    /// There is no such service.
    #[error("there is no service {service}; {}", list("the services are", .known, "there are no services"))]
    NoService {
        /// Its name, with its package.
        service: String,
        /// The services that there are.
        known: Vec<String>,
    },
    /// The service has no such method.
    #[error("{service} has no method {method}; {}", list("its methods are", .known, "it has no methods"))]
    NoMethod {
        /// The name of the service.
        service: String,
        /// The name of the method.
        method: String,
        /// The methods that it has.
        known: Vec<String>,
    },
    /// The client sends a stream of messages to the method.
    #[error("{method} takes a stream of messages, and only methods that take one message can be called")]
    ClientStreaming {
        /// The method, with its service.
        method: String,
    },
    /// The JSON does not fit the type of the message.
    #[error("the message does not fit {message}: {why}")]
    Message {
        /// The type of the message.
        message: String,
        /// What is wrong, with the field.
        why: String,
    },
    /// The server has no reflection.
    #[error("the server does not describe its methods: it has no gRPC reflection")]
    NoReflection,
    /// The server's reflection failed.
    #[error("the server could not be asked for its methods by gRPC reflection: {why}")]
    Reflection {
        /// Why.
        why: String,
    },
}

fn list(introduction: &str, known: &[String], none: &str) -> String {
    if known.is_empty() { none.to_owned() } else { format!("{introduction} {}", known.join(", ")) }
}
