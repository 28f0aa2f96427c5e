//! Asking a component whether it is ready: by its own health endpoint or socket, never by its log.

use std::time::Duration;

use http::uri::PathAndQuery;
use kube::client::Body;
use kube::config::AuthInfo;
use kube::{Client, Config};
use tokio::net::UnixStream;

use super::component::Ready;
use super::plan::Identity;

/// Between two questions; small, since a boot waits for the slowest answer of each phase.
const PAUSE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(2);

/// Waits until the component says yes; calls `hear` with each no.
pub(super) async fn until(ready: &Ready, identity: &Identity, mut hear: impl FnMut(String)) {
    let mut asker = None;
    loop {
        match ask(ready, identity, &mut asker).await {
            Ok(()) => return,
            Err(why) => hear(why),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks once; a no comes with its reason. The client is made once and kept for the next question.
async fn ask(ready: &Ready, identity: &Identity, kept: &mut Option<Client>) -> Result<(), String> {
    match ready {
        Ready::Started => Ok(()),
        Ready::Socket(path) => UnixStream::connect(path).await.map(drop).map_err(|source| source.to_string()),
        Ready::Get(url) => {
            let uri: http::Uri = url.parse().map_err(|source| format!("{url}: {source}"))?;
            let client = match kept.take() {
                Some(client) => client,
                None => client(&uri, identity)?,
            };
            get(kept.insert(client), &uri).await
        }
    }
}

fn client(uri: &http::Uri, identity: &Identity) -> Result<Client, String> {
    let mut root = uri.clone().into_parts();
    root.path_and_query = Some(PathAndQuery::from_static("/"));
    let root = http::Uri::from_parts(root).map_err(|source| source.to_string())?;
    let mut config = Config::new(root);
    config.connect_timeout = Some(PATIENCE);
    config.read_timeout = Some(PATIENCE);
    config.root_cert_file = Some(identity.authority.clone());
    config.default_retry = false;
    config.auth_info = AuthInfo {
        client_certificate: Some(identity.certificate.display().to_string()),
        client_key: Some(identity.key.display().to_string()),
        ..AuthInfo::default()
    };
    Client::try_from(config).map_err(|source| source.to_string())
}

async fn get(client: &Client, uri: &http::Uri) -> Result<(), String> {
    let request = http::Request::get(uri.path()).body(Body::empty()).map_err(|source| source.to_string())?;
    match tokio::time::timeout(PATIENCE, client.send(request)).await {
        Err(_) => Err(format!("{uri} did not answer within {} s", PATIENCE.as_secs())),
        Ok(Err(source)) => Err(format!("{uri}: {source}")),
        Ok(Ok(response)) if response.status().is_success() => Ok(()),
        Ok(Ok(response)) => Err(format!("{uri} answered {}", response.status())),
    }
}
