//! Finds out whether a component is ready: from its health endpoint or its socket, never from its log.

use std::time::Duration;

use http::uri::PathAndQuery;
use kube::client::Body;
use kube::config::AuthInfo;
use kube::{Client, Config};
use tokio::net::UnixStream;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::component::Ready;
use super::plan::TlsIdentity;

/// The time between two checks. It is short, because each phase of a boot waits for its slowest component.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest time between two checks.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long the first check may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long any check may take.
const LONGEST_PATIENCE: Duration = Duration::from_secs(30);
/// How long a response may take that is no check: longer than the API server takes for any request, which is one minute.
const LONGEST_RESPONSE: Duration = Duration::from_secs(90);

/// Checks one process of a component until it is ready. Ends with the first success, or when this value is dropped.
pub(super) struct Poller(AbortHandle);

impl Poller {
    /// Starts the checks. `report` is called after each one: with the reason why the process is not ready, or with `None`
    /// when it is.
    pub(super) fn start(ready: Ready, identity: TlsIdentity, report: impl Fn(Option<String>) + Send + 'static) -> Self {
        let polling = async move {
            let mut check = Check::new(&ready, &identity);
            loop {
                match check.once().await {
                    Ok(()) => break report(None),
                    Err(why) => report(Some(why)),
                }
                check.pause().await;
            }
        };
        Self(tokio::spawn(polling).abort_handle())
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits until something is ready; the error is the reason why it was not until `deadline`.
pub(super) async fn wait(ready: &Ready, identity: &TlsIdentity, deadline: Instant) -> Result<(), String> {
    let mut check = Check::new(ready, identity);
    loop {
        match check.once().await {
            Ok(()) => return Ok(()),
            Err(why) if Instant::now() > deadline => return Err(why),
            Err(_) => check.pause().await,
        }
    }
}

/// The checks of one component, at the pace of the machine: a check that takes long is not followed by the next one at once, and
/// one that takes too long is given more time. So on a machine that is very slow, or emulated, the checks neither fail forever nor
/// use the time that the component needs to start.
struct Check<'a> {
    ready: &'a Ready,
    identity: &'a TlsIdentity,
    client: Option<Client>,
    pace: Pace,
}

impl<'a> Check<'a> {
    fn new(ready: &'a Ready, identity: &'a TlsIdentity) -> Self {
        Self { ready, identity, client: None, pace: Pace::new() }
    }

    /// Checks once; the error is the reason why the component is not ready.
    async fn once(&mut self) -> Result<(), String> {
        let began = Instant::now();
        let answer = self.ask().await;
        self.pace.took(began.elapsed());
        answer
    }

    async fn ask(&mut self) -> Result<(), String> {
        match self.ready {
            Ready::Started => Ok(()),
            Ready::Socket(path) => UnixStream::connect(path).await.map(drop).map_err(|source| source.to_string()),
            Ready::File(path) if path.exists() => Ok(()),
            Ready::File(path) => Err(format!("there is no {}", path.display())),
            Ready::Get(url) => {
                let uri: http::Uri = url.parse().map_err(|source| format!("{url}: {source}"))?;
                let client = match self.client.take() {
                    Some(client) => client,
                    None => client(&uri, self.identity)?,
                };
                get(self.client.insert(client), &uri, self.pace.patience).await
            }
        }
    }

    async fn pause(&self) {
        self.pace.pause().await;
    }
}

/// How long a check may take, and the time until the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    patience: Duration,
    pause: Duration,
}

impl Pace {
    /// The pace of the first check.
    pub(super) fn new() -> Self {
        Self { patience: PATIENCE, pause: PAUSE }
    }

    /// Waits until the next check.
    pub(super) async fn pause(self) {
        tokio::time::sleep(self.pause).await;
    }

    /// The pace after a check that took so long.
    pub(super) fn took(&mut self, time: Duration) {
        self.pause = time.clamp(PAUSE, LONGEST_PAUSE);
        if time >= self.patience {
            self.patience = (2 * self.patience).min(LONGEST_PATIENCE);
        }
    }
}

/// A client for the server of this URL.
pub(super) fn client(uri: &http::Uri, identity: &TlsIdentity) -> Result<Client, String> {
    let mut root = uri.clone().into_parts();
    root.path_and_query = Some(PathAndQuery::from_static("/"));
    let root = http::Uri::from_parts(root).map_err(|source| source.to_string())?;
    let mut config = Config::new(root);
    config.connect_timeout = Some(LONGEST_PATIENCE);
    config.read_timeout = Some(LONGEST_RESPONSE);
    config.root_cert_file = Some(identity.authority.clone());
    config.default_retry = false;
    config.auth_info = AuthInfo {
        client_certificate: Some(identity.certificate.display().to_string()),
        client_key: Some(identity.key.display().to_string()),
        ..AuthInfo::default()
    };
    Client::try_from(config).map_err(|source| source.to_string())
}

async fn get(client: &Client, uri: &http::Uri, patience: Duration) -> Result<(), String> {
    let request = http::Request::get(uri.path()).body(Body::empty()).map_err(|source| source.to_string())?;
    match tokio::time::timeout(patience, client.send(request)).await {
        Err(_) => Err(format!("{uri} did not answer within {} s", patience.as_secs())),
        Ok(Err(source)) => Err(format!("{uri}: {source}")),
        Ok(Ok(response)) if response.status().is_success() => Ok(()),
        Ok(Ok(response)) => Err(format!("{uri} answered {}", response.status())),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;
    use tokio::sync::mpsc;

    use super::*;

    /// A poller of a socket, and its results; the channel closes when the poller's task has ended.
    fn poller(socket: &std::path::Path) -> (Poller, mpsc::UnboundedReceiver<Option<String>>) {
        let none = || "/nowhere".into();
        let identity = TlsIdentity { authority: none(), certificate: none(), key: none() };
        let (heard, answers) = mpsc::unbounded_channel();
        let report = move |answer| drop(heard.send(answer));
        (Poller::start(Ready::Socket(socket.to_owned()), identity, report), answers)
    }

    #[test]
    fn a_slow_machine_is_asked_less_often_and_given_more_time() {
        let after = |times: &[u64]| {
            let mut pace = Pace::new();
            for time in times {
                pace.took(Duration::from_millis(*time));
            }
            (pace.patience.as_secs(), pace.pause.as_millis())
        };
        assert_eq!(after(&[1]), (2, 20));
        assert_eq!(after(&[300]), (2, 300));
        assert_eq!(after(&[2_000]), (4, 1_000), "no answer in time");
        assert_eq!(after(&[2_000, 3_500, 40]), (4, 40));
        assert_eq!(after(&[60_000; 9]), (30, 1_000));
    }

    #[tokio::test]
    async fn a_poller_ends_with_the_process_it_asks() {
        let directory = tempfile::tempdir().unwrap();
        let (poller, mut answers) = poller(&directory.path().join("socket"));
        assert!(answers.recv().await.unwrap().is_some(), "nothing listens yet");
        drop(poller);
        while let Some(answer) = answers.recv().await {
            assert!(answer.is_some());
        }
    }

    #[tokio::test]
    async fn a_poller_ends_when_the_component_is_ready() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let (_poller, mut answers) = poller(&socket);
        assert!(answers.recv().await.unwrap().is_some(), "nothing listens yet");
        let _listener = UnixListener::bind(socket).unwrap();
        while answers.recv().await.unwrap().is_some() {}
        assert_eq!(answers.recv().await, None);
    }
}
