//! Services, their methods, and where they come from.

use std::path::{Path, PathBuf};

use prost_reflect::{DescriptorPool, MethodDescriptor};
use prost_types::FileDescriptorProto;

use crate::SchemaError;
use crate::message;

/// The types and services that are known.
#[derive(Clone, Debug)]
pub struct Schema {
    pool: DescriptorPool,
}

impl Schema {
    /// The content of these `.proto` files, and of the files that they import. Imports are looked up in `folders`; without
    /// any, in the folders of the files.
    ///
    /// # Errors
    /// [`SchemaError::Proto`].
    pub fn compile(files: &[PathBuf], folders: &[PathBuf]) -> Result<Self, SchemaError> {
        let own: Vec<PathBuf> = files.iter().map(|file| folder_of(file)).collect();
        let folders = if folders.is_empty() { &own } else { folders };
        let failed = |why: protox::Error| SchemaError::Proto { why: described(&why) };
        let mut compiler = protox::Compiler::new(folders).map_err(failed)?;
        compiler.include_imports(true).open_files(files).map_err(failed)?;
        Ok(Self { pool: compiler.descriptor_pool() })
    }

    /// The content of these files, which a server described. The types of protobuf itself need not be among them.
    pub(crate) fn of_files(files: Vec<FileDescriptorProto>) -> Result<Self, SchemaError> {
        let mut pool = DescriptorPool::global();
        let new = files.into_iter().filter(|file| pool.get_file_by_name(file.name()).is_none());
        let new: Vec<_> = new.collect();
        let added = pool.add_file_descriptor_protos(new);
        added.map_err(|why| SchemaError::Reflection { why: format!("its description is not valid: {why}") })?;
        Ok(Self { pool })
    }

    /// The method that is called for each request.
    ///
    /// # Errors
    /// [`SchemaError::NoService`], [`SchemaError::NoMethod`], and [`SchemaError::ClientStreaming`].
    pub fn method(&self, service: &str, method: &str) -> Result<Method, SchemaError> {
        let found = self.pool.get_service_by_name(service);
        let found = found.ok_or_else(|| SchemaError::NoService {
            service: service.to_owned(),
            known: self.pool.services().map(|service| service.full_name().to_owned()).collect(),
        })?;
        let named = found.methods().find(|known| known.name() == method);
        let named = named.ok_or_else(|| SchemaError::NoMethod {
            service: service.to_owned(),
            method: method.to_owned(),
            known: found.methods().map(|known| known.name().to_owned()).collect(),
        })?;
        if named.is_client_streaming() {
            return Err(SchemaError::ClientStreaming { method: format!("{service}/{method}") });
        }
        Ok(Method { descriptor: named })
    }
}

/// A method that takes one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    descriptor: MethodDescriptor,
}

impl Method {
    /// Whether the server sends a stream of messages instead of one.
    #[must_use]
    pub fn is_streaming(&self) -> bool {
        self.descriptor.is_server_streaming()
    }

    /// The encoded message.
    ///
    /// # Errors
    /// [`SchemaError::Message`] if `json` does not fit the type of the method's input.
    pub fn encode(&self, json: &str) -> Result<Vec<u8>, SchemaError> {
        message::encode(self.descriptor.input(), json)
    }
}

/// The folder of a file; that of a file without one is the current folder.
fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The sentence of an error with its causes and, where it is known, its place, in one line.
fn described(error: &protox::Error) -> String {
    format!("{error:?}").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const PROTO: &str = r#"
        syntax = "proto3";
        package shop.v1;
        import "google/protobuf/timestamp.proto";
        import "parts/item.proto";
        service Shop {
          rpc Buy(BuyRequest) returns (BuyResponse);
          rpc Watch(BuyRequest) returns (stream BuyResponse);
          rpc Upload(stream BuyRequest) returns (BuyResponse);
        }
        message BuyRequest { repeated Item items = 1; google.protobuf.Timestamp at = 2; }
        message BuyResponse {}
    "#;
    const ITEM: &str = r#"syntax = "proto3"; package shop.v1; message Item { string name = 1; int32 count = 2; }"#;

    fn schema() -> Schema {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("parts")).unwrap();
        fs::write(folder.path().join("shop.proto"), PROTO).unwrap();
        fs::write(folder.path().join("parts/item.proto"), ITEM).unwrap();
        Schema::compile(&[folder.path().join("shop.proto")], &[]).unwrap()
    }

    #[test]
    fn methods_are_found_by_name() {
        let schema = schema();
        assert!(!schema.method("shop.v1.Shop", "Buy").unwrap().is_streaming());
        assert!(schema.method("shop.v1.Shop", "Watch").unwrap().is_streaming());
        let said = |service: &str, method: &str| schema.method(service, method).unwrap_err().to_string();
        assert_eq!(said("Shop", "Buy"), "there is no service Shop; the services are shop.v1.Shop");
        assert_eq!(said("shop.v1.Shop", "Sell"), "shop.v1.Shop has no method Sell; its methods are Buy, Watch, Upload");
        assert!(said("shop.v1.Shop", "Upload").starts_with("shop.v1.Shop/Upload takes a stream of messages"));
    }

    #[test]
    fn messages_are_encoded_once_they_fit() {
        let method = schema().method("shop.v1.Shop", "Buy").unwrap();
        assert_eq!(method.encode("{}").unwrap(), b"");
        let json = r#"{"items": [{"name": "tea", "count": 2}], "at": "1970-01-01T00:00:01Z"}"#;
        assert_eq!(method.encode(json).unwrap(), b"\x0a\x07\x0a\x03tea\x10\x02\x12\x02\x08\x01");
    }

    #[test]
    fn a_message_that_does_not_fit_names_the_field() {
        let method = schema().method("shop.v1.Shop", "Buy").unwrap();
        for (json, says) in [
            (r#"{"items": [{"name": 1}]}"#, "items[0].name"),
            (r#"{"items": [{}, {"count": "x"}]}"#, "items[1].count"),
            (r#"{"colour": "red"}"#, "colour"),
            (r#"{"items": {}}"#, "items"),
            (r#"{"at": "yesterday"}"#, "at"),
            ("[]", "expected"),
            ("{", "EOF"),
            ("{} x", "trailing"),
        ] {
            let error = method.encode(json).unwrap_err().to_string();
            assert!(error.starts_with("the message does not fit shop.v1.BuyRequest: "), "{error}");
            assert!(error.contains(says) && !error.contains('\n'), "{json}: {error}");
        }
    }

    #[test]
    fn files_that_cannot_be_used_are_named_with_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.proto");
        for (text, says) in [
            ("syntax = \"proto3\";\nmessage A { strin g = 1; }", "strin"),
            ("syntax = \"proto3\";\nmessage {", "a.proto"),
            ("import \"missing.proto\";", "missing.proto"),
        ] {
            fs::write(&file, text).unwrap();
            let error = Schema::compile(std::slice::from_ref(&file), &[]).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains('\n'), "{error}");
        }
        let error = Schema::compile(&[folder.path().join("b.proto")], &[]).unwrap_err().to_string();
        assert!(error.contains("b.proto"), "{error}");
    }
}
