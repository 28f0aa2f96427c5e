//! The lab's certificates: three authorities, and one certificate for each server and client.
//!
//! Every lab gets new ones, which are removed with it. So they do not need to expire.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};

use crate::config::KUBERNETES_SERVICE;
use crate::io_error::IoError;

use super::component::{COREDNS_USER, EXTERNAL_IP_USER, ROUTER_USER, VOLUME_PROVISIONER_USER};
use super::node::Node;

type Authority = Issuer<'static, KeyPair>;

/// The name of the files of the authority that signs the certificates of the cluster.
const CLUSTER_AUTHORITY: &str = "ca";
const AUTHORITY_KEY: &str = "ca.key";

/// A certificate to be made.
struct Leaf<'a> {
    file: &'a str,
    common_name: &'a str,
    organization: Option<&'a str>,
    names: &'a [&'a str],
    addresses: &'a [Ipv4Addr],
}

impl<'a> Leaf<'a> {
    fn client(file: &'a str, common_name: &'a str, organization: Option<&'a str>) -> Self {
        Self { file, common_name, organization, names: &[], addresses: &[] }
    }

    fn server(file: &'a str, common_name: &'a str, names: &'a [&'a str], addresses: &'a [Ipv4Addr]) -> Self {
        Self { file, common_name, organization: None, names, addresses }
    }
}

/// Makes every certificate and key of a lab with these nodes in `directory`, which only root may enter.
///
/// # Errors
/// [`IoError`] when a file cannot be written.
pub(super) fn create(directory: &Path, nodes: &[Node]) -> Result<(), IoError> {
    DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(directory)
        .map_err(|source| IoError::file("create", directory, source))?;
    let cluster = authority(directory, CLUSTER_AUTHORITY, "evenkeel")?;
    // For the nodes that are added later. It gives no more rights than the administrator's key beside it.
    write(&directory.join(AUTHORITY_KEY), &cluster.key().serialize_pem())?;
    let etcd = authority(directory, "etcd-ca", "evenkeel-etcd")?;
    let front_proxy = authority(directory, "front-proxy-ca", "evenkeel-front-proxy")?;
    let loopback = [Ipv4Addr::LOCALHOST];
    let control_planes = nodes.iter().filter(|node| node.is_control_plane()).map(|node| node.address);
    let api_addresses: Vec<Ipv4Addr> = control_planes.chain([Ipv4Addr::LOCALHOST, KUBERNETES_SERVICE]).collect();
    let api_names =
        ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];
    let masters = Some("system:masters");

    for leaf in [
        Leaf::server("apiserver", "kube-apiserver", &api_names, &api_addresses),
        Leaf::server("loopback", "localhost", &["localhost"], &loopback),
        Leaf::client("admin", "evenkeel-admin", masters),
        Leaf::client("apiserver-kubelet", "kube-apiserver", masters),
        Leaf::client("controller-manager", "system:kube-controller-manager", None),
        Leaf::client("scheduler", "system:kube-scheduler", None),
        Leaf::client("kube-proxy", "system:kube-proxy", None),
        Leaf::client("coredns", COREDNS_USER, None),
        Leaf::client("volume-provisioner", VOLUME_PROVISIONER_USER, None),
        Leaf::client("external-ip", EXTERNAL_IP_USER, None),
        Leaf::client("router", ROUTER_USER, None),
    ] {
        sign(directory, &cluster, &leaf)?;
    }
    nodes.iter().try_for_each(|node| sign_node(directory, &cluster, node))?;
    sign(directory, &etcd, &Leaf::server("etcd", "etcd", &["localhost"], &loopback))?;
    sign(directory, &etcd, &Leaf::client("apiserver-etcd", "kube-apiserver", None))?;
    sign(directory, &front_proxy, &Leaf::client("front-proxy", "front-proxy", None))?;

    let service_accounts = key()?;
    write(&directory.join("service-account.key"), &service_accounts.serialize_pem())?;
    write(&directory.join("service-account.pub"), &service_accounts.public_key_pem())
}

/// Makes the certificates and keys of a node that is added to a lab.
///
/// # Errors
/// [`IoError`] when the authority's key cannot be read, or a file cannot be written.
pub(super) fn add_node(directory: &Path, node: &Node) -> Result<(), IoError> {
    let file = directory.join(AUTHORITY_KEY);
    let text = std::fs::read_to_string(&file).map_err(|source| IoError::file("read", &file, source))?;
    let key = KeyPair::from_pem(&text).map_err(|source| failed(&source))?;
    sign_node(directory, &Issuer::new(of_authority("evenkeel"), key), node)
}

fn sign_node(directory: &Path, authority: &Authority, node: &Node) -> Result<(), IoError> {
    let user = format!("system:node:{}", node.name);
    let own = [node.address, Ipv4Addr::LOCALHOST];
    sign(directory, authority, &Leaf::server(&kubelet_serving(node), &user, &[&node.name], &own))?;
    sign(directory, authority, &Leaf::client(&kubelet(node), &user, Some("system:nodes")))
}

/// The name of the files with the certificate and key by which a node's kubelet is a client of the API server.
pub(super) fn kubelet(node: &Node) -> String {
    format!("kubelet-{}", node.name)
}

/// The name of the files with the certificate and key by which a node's kubelet is a server.
pub(super) fn kubelet_serving(node: &Node) -> String {
    format!("kubelet-serving-{}", node.name)
}

fn authority(directory: &Path, file: &str, common_name: &str) -> Result<Authority, IoError> {
    let params = of_authority(common_name);
    let key = key()?;
    let certificate = params.self_signed(&key).map_err(|source| failed(&source))?;
    write(&directory.join(format!("{file}.crt")), &certificate.pem())?;
    Ok(Issuer::new(params, key))
}

fn of_authority(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params
}

fn sign(directory: &Path, authority: &Authority, leaf: &Leaf) -> Result<(), IoError> {
    let names: Vec<String> = leaf.names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).map_err(|source| failed(&source))?;
    params.distinguished_name.push(DnType::CommonName, leaf.common_name);
    if let Some(organization) = leaf.organization {
        params.distinguished_name.push(DnType::OrganizationName, organization);
    }
    params.subject_alt_names.extend(leaf.addresses.iter().map(|&address| SanType::IpAddress(IpAddr::V4(address))));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = key()?;
    let certificate = params.signed_by(&key, authority).map_err(|source| failed(&source))?;
    write(&directory.join(format!("{}.crt", leaf.file)), &certificate.pem())?;
    write(&directory.join(format!("{}.key", leaf.file)), &key.serialize_pem())
}

fn key() -> Result<KeyPair, IoError> {
    KeyPair::generate().map_err(|source| failed(&source))
}

fn failed(source: &rcgen::Error) -> IoError {
    IoError::new("make a certificate", std::io::Error::other(source.to_string()))
}

/// Writes a file that only its owner may read.
pub(super) fn write(path: &Path, content: &str) -> Result<(), IoError> {
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content.as_bytes()));
    written.map_err(|source| IoError::file("write", path, source))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::{LabName, Subnet};

    #[test]
    fn keys_are_private_and_every_identity_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let pki = directory.path().join("pki");
        let lab: LabName = "lab".parse().unwrap();
        create(&pki, &[0, 1].map(|index| Node::new(&lab, Subnet::default(), index))).unwrap();
        for file in std::fs::read_dir(&pki).unwrap() {
            let file = file.unwrap();
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
        }
        for name in [
            "ca.crt",
            "apiserver.key",
            "kubelet-lab-0.crt",
            "kubelet-lab-1.crt",
            "admin.key",
            "etcd.crt",
            "front-proxy.crt",
        ] {
            assert!(pki.join(name).exists(), "{name}");
        }
        for unused in ["etcd-ca.key", "front-proxy-ca.key"] {
            assert!(!pki.join(unused).exists(), "a key must not outlive its last use");
        }
        let added = Node::new(&lab, Subnet::default(), 2);
        add_node(&pki, &added).unwrap();
        assert!(pki.join("kubelet-lab-2.crt").exists() && pki.join("kubelet-serving-lab-2.key").exists());
        assert_eq!(pki.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }

    /// The clock may be set back after the boot, or be wrong in a pod.
    #[test]
    fn certificates_are_valid_long_before_they_were_made() {
        use base64::Engine;

        let directory = tempfile::tempdir().unwrap();
        let pki = directory.path().join("pki");
        create(&pki, &[Node::new(&"lab".parse().unwrap(), Subnet::default(), 0)]).unwrap();
        let mut seen = 0;
        for file in std::fs::read_dir(&pki).unwrap().map(|file| file.unwrap().path()) {
            if file.extension().is_some_and(|extension| extension == "crt") {
                let pem = std::fs::read_to_string(&file).unwrap();
                let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
                let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
                let hour = jiff::SignedDuration::from_hours(1);
                assert!(not_before(&der) < jiff::Timestamp::now() - hour, "{}", file.display());
                seen += 1;
            }
        }
        assert!(seen >= 15, "{seen}");
    }

    /// The first time in a certificate: a `UTCTime` (tag 0x17, 13 bytes, `YYMMDDhhmmssZ`) by RFC 5280, 4.1.2.5.1.
    fn not_before(der: &[u8]) -> jiff::Timestamp {
        let is_time = |text: &[u8]| text[..12].iter().all(u8::is_ascii_digit) && text[12] == b'Z';
        let mut times = der.windows(15).filter(|w| w[..2] == [0x17, 13] && is_time(&w[2..])).map(|w| &w[2..14]);
        let text = std::str::from_utf8(times.next().unwrap()).unwrap();
        let century = if text[..2].parse::<u8>().unwrap() < 50 { "20" } else { "19" };
        let civil = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", format!("{century}{text}")).unwrap();
        civil.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp()
    }
}
