//! The images that the kubelet finds on a node, as containerd's service for the kubelet (CRI) lists them.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request};
use prost::Message;
use tokio::net::UnixStream;

const LIST_IMAGES: &str = "http://localhost/runtime.v1.ImageService/ListImages";
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 16 << 20;
/// The length of what comes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// The part of the answer that is used; see `ListImagesResponse` and `Image` of
/// <https://github.com/kubernetes/cri-api/blob/master/pkg/apis/runtime/v1/api.proto>.
#[derive(Clone, PartialEq, Message)]
struct ListImagesResponse {
    #[prost(message, repeated, tag = "1")]
    images: Vec<ListedImage>,
}

#[derive(Clone, PartialEq, Message)]
struct ListedImage {
    #[prost(string, repeated, tag = "2")]
    repo_tags: Vec<String>,
}

/// The names of the images that the kubelet finds. containerd may have further ones for a moment: this service learns of an
/// image after its import, and never of one that was imported before the service was ready.
///
/// # Errors
/// The service does not answer, or is not ready.
pub(super) async fn names(socket: &Path) -> io::Result<Vec<String>> {
    let answer =
        tokio::time::timeout(PATIENCE, list(socket)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
    Ok(answer?.images.into_iter().flat_map(|image| image.repo_tags).collect())
}

async fn list(socket: &Path) -> io::Result<ListImagesResponse> {
    let (client, connection) =
        h2::client::handshake(UnixStream::connect(socket).await?).await.map_err(io::Error::other)?;
    tokio::select! {
        biased;
        answer = call(client) => answer,
        ended = connection => Err(ended.err().map_or_else(|| io::ErrorKind::ConnectionAborted.into(), io::Error::other)),
    }
}

async fn call(client: h2::client::SendRequest<Bytes>) -> io::Result<ListImagesResponse> {
    let request = Request::post(LIST_IMAGES).header("content-type", "application/grpc").header("te", "trailers");
    let request = request.body(()).map_err(io::Error::other)?;
    let mut client = client.ready().await.map_err(io::Error::other)?;
    let (response, mut stream) = client.send_request(request, false).map_err(io::Error::other)?;
    // An empty message: all images.
    stream.send_data(Bytes::from_static(&[0; PREFIX]), true).map_err(io::Error::other)?;
    let (head, mut body) = response.await.map_err(io::Error::other)?.into_parts();
    let mut received = BytesMut::new();
    while let Some(part) = body.data().await {
        let part = part.map_err(io::Error::other)?;
        if received.len() + part.len() > LONGEST_ANSWER {
            return Err(io::Error::other("the list of images is too long"));
        }
        body.flow_control().release_capacity(part.len()).map_err(io::Error::other)?;
        received.put(part);
    }
    let trailers = body.trailers().await.map_err(io::Error::other)?;
    succeeded(trailers.as_ref().unwrap_or(&head.headers))?;
    if received.len() < PREFIX {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    received.advance(PREFIX);
    ListImagesResponse::decode(received).map_err(io::Error::other)
}

/// Reads the status of a call.
fn succeeded(trailers: &HeaderMap) -> io::Result<()> {
    let value = |name| trailers.get(name).and_then(|value| value.to_str().ok());
    match value("grpc-status") {
        Some("0") => Ok(()),
        _ => Err(io::Error::other(value("grpc-message").unwrap_or("the call failed").to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_succeeds_only_with_its_status() {
        let trailers = |pairs: &[(&'static str, &str)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
        };
        assert!(succeeded(&trailers(&[("grpc-status", "0")])).is_ok());
        let why = succeeded(&trailers(&[("grpc-status", "14"), ("grpc-message", "not ready")])).unwrap_err();
        assert_eq!(why.to_string(), "not ready");
        assert!(succeeded(&HeaderMap::new()).is_err());
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(names(&directory.path().join("socket")).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
