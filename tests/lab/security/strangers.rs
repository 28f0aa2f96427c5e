//! Clients without a certificate of the lab are refused everywhere. Clients with one get only what they need.

use std::net::Ipv4Addr;

use super::identity::Identity;
use super::network::Sandbox;
use crate::lab::{Lab, get};

const API_SERVER: &str = "198.18.0.2:6443";
const KUBELET: &str = "198.18.0.2:10250";

/// Anonymous and forged clients get no response, not even that of a health endpoint.
pub(super) fn the_api_server_refuses(lab: &Lab) {
    for path in ["/api", "/version", "/healthz", "/readyz", "/metrics", "/api/v1/namespaces/evenkeel/secrets"] {
        for who in [Identity::nobody(), Identity::impostor()] {
            assert_eq!(who.get(API_SERVER, path), Ok(401), "{path}");
        }
        assert_eq!(Identity::of_lab(&lab.state(), "admin").get(API_SERVER, path), Ok(200), "{path}");
    }
    for component in ["scheduler", "kube-proxy", "kubelet-ci-0", "coredns", "external-ip", "volume-provisioner"] {
        let component = Identity::of_lab(&lab.state(), component);
        assert_eq!(component.get(API_SERVER, "/api/v1/secrets"), Ok(403));
    }
}

pub(super) fn the_kubelet_refuses(lab: &Lab) {
    for path in ["/pods", "/healthz", "/metrics", "/logs/", "/runningpods/"] {
        for who in [Identity::nobody(), Identity::impostor()] {
            assert_eq!(who.get(KUBELET, path), Ok(401), "{path}");
        }
        assert_eq!(Identity::of_lab(&lab.state(), "kube-proxy").get(KUBELET, path), Ok(403), "{path}");
    }
    assert_eq!(Identity::of_lab(&lab.state(), "apiserver-kubelet").get(KUBELET, "/pods"), Ok(200));
}

/// etcd has its own certificate authority, so it also refuses the lab's administrator.
pub(super) fn etcd_refuses(lab: &Lab, sandbox: Sandbox) {
    let state = lab.state();
    let own = Identity::of_lab(&state, "apiserver-etcd");
    assert_eq!(sandbox.enter(move || own.get("127.0.0.1:2379", "/version")), Ok(200));
    for server in ["127.0.0.1:2379", "127.0.0.1:2380"] {
        for who in [Identity::nobody(), Identity::impostor(), Identity::of_lab(&state, "admin")] {
            let refused = sandbox.enter(move || who.get(server, "/version")).unwrap_err();
            assert!(refused.contains("lert") || refused.contains("eset"), "{server}: {refused}");
        }
    }
}

/// Endpoints other than health endpoints also require authentication inside the sandbox.
pub(super) fn loopback_is_not_trusted(sandbox: Sandbox) {
    for server in ["127.0.0.1:10257", "127.0.0.1:10259"] {
        for who in [Identity::nobody(), Identity::impostor()] {
            let answer = sandbox.enter(move || who.get(server, "/metrics"));
            assert!(matches!(answer, Ok(401 | 403)), "{server}: {answer:?}");
        }
    }
    let pull = sandbox.enter(|| get(Ipv4Addr::LOCALHOST, 10270, "/v2/shop/web/manifests/1?ns=docker.io"));
    assert!(pull.as_ref().is_ok_and(|answer| answer.starts_with("HTTP/1.1 401")), "{pull:?}");
}
