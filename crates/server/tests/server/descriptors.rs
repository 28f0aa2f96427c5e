//! The described description of the services that the server embeds.

use std::fs;
use std::path::Path;

/// The files, as they import each other.
const FILES: [&str; 4] = [
    "evenkeel/v1/echo.proto",
    "grpc/health/v1/health.proto",
    "grpc/reflection/v1/reflection.proto",
    "grpc/reflection/v1alpha/reflection.proto",
];

/// With `INSTA_UPDATE=always`, as for snapshots, the test writes what it expects.
#[test]
fn the_embedded_description_is_that_of_the_proto_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compiler = protox::Compiler::new([root.join("proto")]).unwrap();
    compiler.open_files(FILES).unwrap();
    let described = compiler.encode_file_descriptor_set();
    let embedded = root.join("src/grpc/descriptors.binpb");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        fs::write(&embedded, &described).unwrap();
    }
    assert!(fs::read(&embedded).unwrap() == described, "run this test with INSTA_UPDATE=always");
}
