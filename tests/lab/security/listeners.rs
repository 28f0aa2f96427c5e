//! The sockets that may listen in a lab, each with its purpose, and who can connect to them.

use std::net::{Ipv4Addr, TcpListener};

use super::network::{
    DNS, MACHINE, NODE, Sandbox, Socket, connect, connect_by_link, in_network_of, owned_sockets, sockets,
};
use crate::host::lab_processes_named;
use crate::lab::Lab;

/// A socket that may listen: the first 15 letters of the process's name, the address, the port, and the purpose.
struct Allowed(&'static str, Ipv4Addr, u16, &'static str);

/// Any port: the system chooses it.
const ANY: u16 = 0;
const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

const ALLOWED: [Allowed; 15] = [
    Allowed("kube-apiserver", NODE, 6443, "kubectl and evenkeel, from the machine; requires a certificate"),
    Allowed("kubelet", NODE, 10250, "the API server, for logs; authenticates clients through the API server"),
    Allowed("etcd", LOOPBACK, 2379, "the API server; requires a certificate of etcd's own authority"),
    Allowed("etcd", LOOPBACK, 2380, "peers, of which there are none; requires the same certificate"),
    Allowed("etcd", LOOPBACK, 2381, "the supervisor's readiness check"),
    Allowed("kubelet", LOOPBACK, 10248, "its health endpoint"),
    Allowed("kube-proxy", LOOPBACK, 10249, "its metrics"),
    Allowed("kube-proxy", LOOPBACK, 10256, "the supervisor's readiness check"),
    Allowed("kube-controller", LOOPBACK, 10257, "the supervisor's readiness check"),
    Allowed("kube-scheduler", LOOPBACK, 10259, "the supervisor's readiness check"),
    Allowed("evenkeel", LOOPBACK, 10270, "containerd, for images; requires a token"),
    Allowed("coredns", LOOPBACK, 8181, "the supervisor's readiness check"),
    Allowed("coredns", DNS, 53, "pods, by the Service kube-dns"),
    Allowed("containerd", LOOPBACK, ANY, "the kubelet, for exec and attach"),
    Allowed(
        "kube-proxy",
        NODE,
        ANY,
        "the health of a Service with externalTrafficPolicy Local: its healthCheckNodePort",
    ),
];

/// A listening socket of the sandbox.
pub(super) struct Open {
    address: Ipv4Addr,
    port: u16,
}

/// Asserts that only allowed sockets listen in the sandbox. Returns them.
pub(super) fn only_what_is_allowed_listens(lab: &Lab, sandbox: Sandbox) -> Vec<Open> {
    for protocol in ["udp6", "udplite", "udplite6", "raw", "raw6"] {
        let open = sandbox.sockets(protocol);
        assert!(open.is_empty(), "{protocol}: {open:?}");
    }
    let owned = owned_sockets();
    for Socket { address, port, inode, .. } in sandbox.sockets("udp") {
        assert_eq!((address.as_str(), port), (DNS.to_string().as_str(), 53));
        assert!(owned.contains(&(inode, "coredns".to_owned())), "another process listens on {address}:{port}");
    }
    let service = lab.kube().get("/api/v1/namespaces/evenkeel/services/server");
    let health = service["spec"]["healthCheckNodePort"].as_u64().unwrap();
    let all = ["tcp", "tcp6"].iter().flat_map(|protocol| sandbox.sockets(protocol));
    let mut open = Vec::new();
    for Socket { address, port, inode, .. } in all.filter(|socket| socket.listens) {
        let process = owned.iter().find(|(owned, _)| *owned == inode).map_or("nobody", |(_, name)| name.as_str());
        let allowed = |Allowed(name, at, number, _): &Allowed| {
            *name == process
                && at.to_string() == address
                && (*number == port || (*number == ANY && (process == "containerd" || u64::from(port) == health)))
        };
        assert!(ALLOWED.iter().any(allowed), "{process} listens on {address}:{port}");
        open.push(Open { address: address.parse().unwrap(), port });
    }
    for Allowed(name, _, port, why) in &ALLOWED {
        assert!(*port == ANY || open.iter().any(|open| open.port == *port), "{name} does not listen on {port} ({why})");
    }
    open
}

/// Asserts that no socket of the lab's processes is in the machine's network namespace.
pub(super) fn nothing_listens_on_the_machine() {
    let owned = owned_sockets();
    assert!(!owned.is_empty());
    for protocol in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"] {
        for socket in sockets("self", protocol) {
            assert!(owned.iter().all(|(inode, _)| *inode != socket.inode), "{protocol}: {socket:?}");
        }
    }
}

/// Asserts that the machine can connect to the sockets on the node's link address, and to no other.
pub(super) fn the_machine_reaches_the_link_only(open: &[Open]) {
    let own: Vec<u16> = ["tcp", "tcp6"].iter().flat_map(|of| sockets("self", of)).map(|socket| socket.port).collect();
    for Open { address, port } in open {
        assert_eq!(connect(NODE, *port).is_ok(), *address == NODE, "{port}");
        // Without the link in the call, a network behind the machine may answer for an address of the node.
        let by_link = *address != LOOPBACK && connect_by_link(*address, *port).is_ok();
        assert_eq!(by_link, *address == NODE, "{address}:{port}");
        // Another program of the machine may listen on the same port.
        for address in [LOOPBACK, MACHINE] {
            assert!(own.contains(port) || connect(address, *port).is_err(), "{address}:{port}");
        }
    }
}

/// Asserts that a pod can connect to the API server (which authenticates it) and to the sockets on the node's link address,
/// but neither to the others nor to the machine.
pub(super) fn a_pod_reaches_what_it_must(sandbox: Sandbox, open: &[Open]) {
    let pod = lab_processes_named("evenkeel-server")[0];
    let listening: Vec<_> = sockets(&pod.to_string(), "tcp").into_iter().filter(|socket| socket.listens).collect();
    assert_eq!(listening.iter().map(|socket| socket.port).collect::<Vec<_>>(), [3000], "{listening:?}");

    let reaches = move |address: Ipv4Addr, port: u16| in_network_of(pod, move || connect(address, port));
    assert!(reaches(Ipv4Addr::new(10, 96, 0, 1), 443).is_ok(), "the API server by its Service");
    assert!(reaches(crate::dns::SERVER, 53).is_ok(), "the DNS server by its Service");
    for Open { address, port } in open {
        assert_eq!(reaches(NODE, *port).is_ok(), *address == NODE, "{port}");
    }
    let listener = TcpListener::bind((MACHINE, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    assert!(sandbox.enter(move || connect(MACHINE, port)).is_ok(), "the node reaches the machine");
    assert!(reaches(MACHINE, port).is_err(), "a pod reaches the machine");
    assert!(reaches(Ipv4Addr::new(192, 0, 2, 1), 80).is_err(), "a pod reaches other networks");
}
