//! Every listening socket is one of these, each with its reason; and nobody else can connect to it.

use std::net::{Ipv4Addr, TcpListener};

use super::network::{MACHINE, NODE, Sandbox, Socket, connect, in_network_of, owned_sockets, sockets};
use crate::host::lab_processes_named;
use crate::lab::Lab;

/// A socket that may listen: the process's name (its first 15 letters), the address and port, and why.
struct Allowed(&'static str, Ipv4Addr, u16, &'static str);

/// Any port that the system chose.
const ANY: u16 = 0;
const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

const ALLOWED: [Allowed; 12] = [
    Allowed("kube-apiserver", NODE, 6443, "kubectl and the lab's own verbs, from the machine; asks for a certificate"),
    Allowed("kubelet", NODE, 10250, "the API server asks it for logs; takes only who the API server knows"),
    Allowed("etcd", LOOPBACK, 2379, "the API server; asks for a certificate of etcd's own authority"),
    Allowed("etcd", LOOPBACK, 2380, "peers, of which there are none; asks for the same"),
    Allowed("etcd", LOOPBACK, 2381, "the supervisor asks it whether it is ready"),
    Allowed("kubelet", LOOPBACK, 10248, "its health"),
    Allowed("kube-proxy", LOOPBACK, 10249, "its metrics"),
    Allowed("kube-proxy", LOOPBACK, 10256, "the supervisor asks it whether it is ready"),
    Allowed("kube-controller", LOOPBACK, 10257, "the supervisor asks it whether it is ready"),
    Allowed("kube-scheduler", LOOPBACK, 10259, "the supervisor asks it whether it is ready"),
    Allowed("containerd", LOOPBACK, ANY, "the kubelet's way into a container (exec, attach)"),
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

/// Compares what listens in the sandbox with what may; returns it.
pub(super) fn only_what_is_allowed_listens(lab: &Lab, sandbox: Sandbox) -> Vec<Open> {
    for protocol in ["udp", "udp6", "udplite", "udplite6", "raw", "raw6"] {
        let open = sandbox.sockets(protocol);
        assert!(open.is_empty(), "{protocol}: {open:?}");
    }
    let owned = owned_sockets();
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
        assert!(*port == ANY || open.iter().any(|open| open.port == *port), "{name} has no {port} for {why}");
    }
    open
}

/// No socket of the lab's processes is in the machine's own network.
pub(super) fn nothing_listens_on_the_machine() {
    let owned = owned_sockets();
    assert!(!owned.is_empty());
    for protocol in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"] {
        for socket in sockets("self", protocol) {
            assert!(owned.iter().all(|(inode, _)| *inode != socket.inode), "{protocol}: {socket:?}");
        }
    }
}

/// From the machine, what listens on the link is reached by the link's address alone, and the rest not at all.
pub(super) fn the_machine_reaches_the_link_only(open: &[Open]) {
    let own: Vec<u16> = ["tcp", "tcp6"].iter().flat_map(|of| sockets("self", of)).map(|socket| socket.port).collect();
    for Open { address, port } in open {
        assert_eq!(connect(NODE, *port).is_ok(), *address == NODE, "{port}");
        // On its own addresses the machine may have something of its own there.
        for address in [LOOPBACK, MACHINE] {
            assert!(own.contains(port) || connect(address, *port).is_err(), "{address}:{port}");
        }
    }
}

/// From a pod: the API server (which asks it who it is) and what listens on the node's link address, not the rest; nor
/// the machine.
pub(super) fn a_pod_reaches_what_it_must(sandbox: Sandbox, open: &[Open]) {
    let pod = lab_processes_named("evenkeel-server")[0];
    let listening: Vec<_> = sockets(&pod.to_string(), "tcp").into_iter().filter(|socket| socket.listens).collect();
    assert_eq!(listening.iter().map(|socket| socket.port).collect::<Vec<_>>(), [3000], "{listening:?}");

    let reaches = move |address: Ipv4Addr, port: u16| in_network_of(pod, move || connect(address, port));
    assert!(reaches(Ipv4Addr::new(10, 96, 0, 1), 443).is_ok(), "the API server by its Service");
    for Open { address, port } in open {
        assert_eq!(reaches(NODE, *port).is_ok(), *address == NODE, "{port}");
    }
    let listener = TcpListener::bind((MACHINE, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    assert!(sandbox.enter(move || connect(MACHINE, port)).is_ok(), "the node reaches the machine");
    assert!(reaches(MACHINE, port).is_err(), "a pod reaches the machine");
    assert!(reaches(Ipv4Addr::new(192, 0, 2, 1), 80).is_err(), "a pod reaches the world");
}
