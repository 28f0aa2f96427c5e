//! A cluster that is no lab: it is named by a kubeconfig, as for kubectl, and reached only through its API server.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use super::access::Access;
use crate::cluster::ClusterError;

/// How long a connection to the API server may take.
pub const CONNECT: Duration = Duration::from_secs(5);
/// The variable with the paths of kubeconfigs.
const VARIABLE: &str = "KUBECONFIG";
/// The namespace of a context that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// Which cluster is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubeconfigChoice {
    /// The kubeconfig; `None`: those in `KUBECONFIG`, or `~/.kube/config`.
    pub file: Option<PathBuf>,
    /// The context; `None`: the current one.
    pub context: Option<String>,
}

/// A cluster that is no lab.
#[derive(Clone)]
pub struct ForeignCluster {
    /// The name of the context.
    pub context: String,
    /// The URL of the API server.
    pub server: String,
    /// The namespace of the context.
    pub namespace: String,
    /// A client with the rights of the context's user.
    pub client: Client,
}

impl ForeignCluster {
    /// Reads the kubeconfigs. Nothing is sent to the cluster, but a credential plugin may run.
    ///
    /// # Errors
    /// [`ClusterError::ForeignKubeconfig`] when a kubeconfig cannot be used; [`ClusterError::UnknownContext`].
    pub async fn find(choice: &KubeconfigChoice) -> Result<Self, ClusterError> {
        let from = source(choice);
        let broken = |why: String| ClusterError::ForeignKubeconfig { from: from.clone(), why };
        let kubeconfig = read(choice).map_err(|error| broken(reason(&error)))?;
        let given = choice.context.clone().filter(|context| !context.is_empty());
        let context = given.or_else(|| kubeconfig.current_context.clone().filter(|context| !context.is_empty()));
        let contexts: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
        let Some(context) = context else {
            let why = if contexts.is_empty() {
                "it has no context".to_owned()
            } else {
                format!("it has no current context; its contexts are: {}", contexts.join(", "))
            };
            return Err(broken(why));
        };
        if !contexts.contains(&context) {
            return Err(ClusterError::UnknownContext { given: context, from, contexts });
        }
        let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let mut config = config.map_err(|error| broken(reason(&error)))?;
        config.connect_timeout = Some(CONNECT);
        let (server, namespace) = (shown(&config.cluster_url), config.default_namespace.clone());
        let namespace = if namespace.is_empty() { DEFAULT_NAMESPACE.to_owned() } else { namespace };
        let client = Client::try_from(config).map_err(|error| broken(reason(&error)))?;
        Ok(Self { context, server, namespace, client })
    }

    /// Access without the nodes.
    #[must_use]
    pub fn access(&self) -> Access {
        Access::to_api_server(self.client.clone())
    }
}

/// The kubeconfigs as kubectl finds them: of several, those that are missing are passed over, unless all are.
fn read(choice: &KubeconfigChoice) -> Result<Kubeconfig, KubeconfigError> {
    if let Some(file) = &choice.file {
        return Kubeconfig::read_from(file);
    }
    let paths = std::env::var_os(VARIABLE).unwrap_or_default();
    let paths: Vec<PathBuf> = std::env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()).collect();
    if paths.is_empty() {
        return Kubeconfig::read();
    }
    merge(&paths)
}

fn merge(paths: &[PathBuf]) -> Result<Kubeconfig, KubeconfigError> {
    let (mut merged, mut missing) = (None, None);
    for path in paths {
        match Kubeconfig::read_from(path) {
            Ok(next) => merged = Some(merged.unwrap_or_else(Kubeconfig::default).merge(next)?),
            Err(KubeconfigError::ReadConfig(source, path)) if source.kind() == ErrorKind::NotFound => {
                missing.get_or_insert(KubeconfigError::ReadConfig(source, path));
            }
            Err(other) => return Err(other),
        }
    }
    merged.ok_or_else(|| missing.unwrap_or(KubeconfigError::FindPath))
}

/// Where the kubeconfig is, for messages.
fn source(choice: &KubeconfigChoice) -> String {
    match (&choice.file, std::env::var_os(VARIABLE)) {
        (Some(file), _) => file.display().to_string(),
        (None, Some(paths)) if !paths.is_empty() => paths.display().to_string(),
        _ => "~/.kube/config".to_owned(),
    }
}

/// The innermost cause, without the names of Rust's types around it.
fn reason(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    let (all, last) = (error.to_string(), innermost.to_string());
    if all.contains(&last) { all } else { format!("{all} ({last})") }
}

/// A URL without user and password.
fn shown(url: &http::Uri) -> String {
    let text = url.to_string();
    let text = text.trim_end_matches('/');
    match (text.split_once("://"), url.authority()) {
        (Some((scheme, _)), Some(authority)) => {
            let host = authority.as_str().rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{}", url.path().trim_end_matches('/'))
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    const ONE: &str = "{apiVersion: v1, kind: Config, current-context: a, clusters: [
        {name: a, cluster: {server: 'https://127.0.0.1:6443'}}],
        users: [{name: a, user: {token: t}}], contexts: [{name: a, context: {cluster: a, user: a, namespace: shop}}]}";
    const OTHER: &str = "{apiVersion: v1, kind: Config, current-context: b, clusters: [
        {name: b, cluster: {server: 'https://user:secret@127.0.0.1:7443/path/'}}],
        contexts: [{name: b, context: {cluster: b, user: ''}}, {name: torn, context: {cluster: gone, user: a}}]}";

    fn file(directory: &Path, name: &str, text: &str) -> PathBuf {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    async fn found(path: &Path, context: Option<&str>) -> Result<ForeignCluster, String> {
        let choice = KubeconfigChoice { file: Some(path.to_owned()), context: context.map(str::to_owned) };
        ForeignCluster::find(&choice).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_context_has_a_server_and_a_namespace() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (file(directory.path(), "one", ONE), file(directory.path(), "other", OTHER));
        let a = found(&one, None).await.unwrap();
        assert_eq!(
            (a.context.as_str(), a.server.as_str(), a.namespace.as_str()),
            ("a", "https://127.0.0.1:6443", "shop")
        );
        assert!(a.access().lab().is_none());
        let b = found(&other, Some("b")).await.unwrap();
        assert_eq!((b.server.as_str(), b.namespace.as_str()), ("https://127.0.0.1:7443/path", "default"));
    }

    #[tokio::test]
    async fn what_a_kubeconfig_lacks_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name, text| file(directory.path(), name, text);
        let other = at("other", OTHER);
        for (path, context, words) in [
            (&other, Some("nope"), "there is no context \"nope\" in "),
            (&other, Some("nope"), "the contexts are: b, torn"),
            (&other, Some("torn"), "gone"),
            (&at("empty", ""), None, "it has no context"),
            (&at("text", "not: [a kubeconfig"), None, "text cannot be used: failed to parse"),
            (&directory.path().join("missing"), None, "No such file"),
        ] {
            let Err(error) = found(path, context).await else { panic!("{} was used", path.display()) };
            assert!(error.contains(words), "{words}: {error}");
        }
    }

    #[test]
    fn of_several_kubeconfigs_the_first_wins_and_missing_ones_are_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (file(directory.path(), "one", ONE), file(directory.path(), "other", OTHER));
        let missing = directory.path().join("missing");
        let merged = merge(&[missing.clone(), one, other]).unwrap();
        assert_eq!(merged.current_context.as_deref(), Some("a"));
        assert_eq!(merged.contexts.len(), 3);
        assert!(matches!(merge(&[missing]), Err(KubeconfigError::ReadConfig(..))));
    }
}
