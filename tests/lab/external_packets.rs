//! Packets to external IPs that kube-proxy sends to no pod.

use std::io::{Error, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::lab::{Lab, eventually, text};
use crate::proxy_modes::inside;
use crate::walk::external_ip;

/// An address of the pool that no Service has.
const NOBODY: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 99);

#[test]
fn a_connection_survives_a_change_of_the_rules() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy"]);
    let service = external_ip(&lab);
    assert!(connect(service).is_ok());

    // Without its rules the Service is in the state in which a packet finds it that meets a change.
    let rules = Rules::taken_away();
    let connecting = std::thread::spawn(move || connect(service));
    std::thread::sleep(Duration::from_millis(300));
    rules.put_back();
    let took = connecting.join().unwrap().unwrap();
    assert!(took > Duration::from_millis(800), "the first packet was lost: {took:?}");

    let (error, took) = connect(NOBODY).map_or_else(|refused| refused, |_| panic!("no Service has {NOBODY}"));
    assert!(took > Duration::from_millis(800) && took < Duration::from_secs(3), "{error} after {took:?}");

    lab.kubectl(&["--namespace", "evenkeel", "scale", "deployment/server", "--replicas", "0"]);
    eventually("a Service without endpoints refuses at once", || {
        let (error, took) = connect(service).err()?;
        (error.kind() == ErrorKind::ConnectionRefused && took < Duration::from_millis(500)).then_some(())
    });
}

/// How long it took to connect to port 80; the error with the time until then.
fn connect(address: Ipv4Addr) -> Result<Duration, (Error, Duration)> {
    let began = Instant::now();
    let connected = TcpStream::connect_timeout(&SocketAddr::from((address, 80)), Duration::from_secs(5));
    connected.map(|_| began.elapsed()).map_err(|error| (error, began.elapsed()))
}

/// Runs `nft` in the network namespace of the node, which must succeed. Returns its stdout.
fn nft(arguments: &[&str]) -> String {
    let output = inside("nft", arguments);
    assert!(output.status.success(), "nft {arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// kube-proxy's rules that send a packet to a pod of the server, by chain.
struct Rules(Vec<(String, String)>);

impl Rules {
    fn taken_away() -> Self {
        let table = nft(&["list", "table", "ip", "kube-proxy"]);
        let (mut rules, mut chain) = (Vec::new(), String::new());
        for line in table.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("chain ").and_then(|line| line.strip_suffix(" {")) {
                name.clone_into(&mut chain);
            } else if line.contains(" dnat ") && chain.contains("evenkeel/server/") {
                rules.push((chain.clone(), line.to_owned()));
            }
        }
        assert!(!rules.is_empty(), "{table}");
        for (chain, _) in &rules {
            nft(&["flush", "chain", "ip", "kube-proxy", chain]);
        }
        Self(rules)
    }

    fn put_back(&self) {
        for (chain, rule) in &self.0 {
            nft(&[&format!("add rule ip kube-proxy {chain} {rule}")]);
        }
    }
}
