//! Schemas of gRPC services, and messages that are encoded by them.
//!
//! A [`Schema`] comes from `.proto` files or from a server's reflection. It knows the methods of services; a [`Method`]
//! encodes a message that is given as JSON. The crate opens no connection and sends no load: the load generator gets
//! encoded bytes, so that it stays small.

mod error;
mod message;
mod reflection;
mod schema;

pub use error::SchemaError;
pub use reflection::{Authority, reflect};
pub use schema::{Method, Schema};
