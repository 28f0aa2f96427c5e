//! Repeated `up` and `down`: each round leaves the machine unchanged.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use crate::host::{Host, all_keyrings, keyrings};
use crate::lab::{Lab, eventually};

/// The number of rounds if `EVENKEEL_TEST_ROUNDS` is not set.
const ROUNDS: u32 = 5;

#[test]
fn rounds_leave_nothing() {
    let rounds = std::env::var("EVENKEEL_TEST_ROUNDS").map_or(ROUNDS, |given| given.parse().unwrap());
    let Some((lab, before)) = Lab::and_host() else { return };
    // The first deploy builds the server's image.
    lab.up();
    lab.ok(&["deploy", "--replicas", "3"]);
    lab.down();
    let cached = cache();
    for round in 1..=rounds {
        let began = Instant::now();
        lab.up();
        lab.ok(&["deploy", "--replicas", "3"]);
        lab.ok(&["scale", "5"]);
        let keys = keyrings();
        assert!(keys.len() >= 5, "each container has a keyring: {keys:?}");
        lab.down();
        // For information only: the test does not assert a time.
        eprintln!("round {round} of {rounds}: {:.1} s", began.elapsed().as_secs_f64());
        Host::look().assert_same_but_files(&before);
        assert!(!lab.state().exists(), "round {round}");
        assert_eq!(cache(), cached, "round {round}");
        // The kernel frees the keyring of a container a moment after the container has ended.
        eventually(&format!("the keyrings are gone, round {round}"), || {
            all_keyrings().is_disjoint(&keys).then_some(())
        });
    }
    Host::look().assert_same(&before);
}

/// The paths in the cache, two levels deep.
fn cache() -> BTreeSet<String> {
    let cache = std::env::var("EVENKEEL_CACHE_DIR").unwrap_or_else(|_| "/var/cache/evenkeel".into());
    let inside = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let first: Vec<_> = inside(Path::new(&cache)).collect();
    let second = first.iter().flat_map(|path| inside(path));
    first.iter().cloned().chain(second).map(|path| path.display().to_string()).collect()
}
