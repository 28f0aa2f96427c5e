//! Errors of requests to Kubernetes.

use std::error::Error;

/// A request to the API server that failed or got no response.
#[derive(Debug, thiserror::Error)]
#[error("Kubernetes did not {action}: {}", reason(source))]
pub struct KubernetesError {
    /// The operation that was requested: "apply Deployment evenkeel/server".
    pub action: String,
    /// The API server's response, or why there is none.
    pub source: Box<kube::Error>,
}

impl KubernetesError {
    /// `action` failed: `KubernetesError::new("list pods", source)`.
    pub fn new(action: impl Into<String>, source: kube::Error) -> Self {
        Self { action: action.into(), source: Box::new(source) }
    }
}

/// The message of the API server, or the innermost cause if there is no response.
fn reason(source: &kube::Error) -> String {
    if let kube::Error::Api(status) = source {
        return status.message.clone();
    }
    let mut innermost: &dyn Error = source;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    format!("the API server cannot be reached ({innermost})")
}
