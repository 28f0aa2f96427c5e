//! Temporary changes of the workload are undone.

use evenkeel::cluster::tag_image;
use evenkeel::toolbox;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::begun::begun;
use crate::lab::{Kube, Lab, eventually};
use crate::supervision::cluster_of;

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/evenkeel/deployments/server";

#[test]
fn a_soak_that_is_interrupted_leaves_the_deployment_as_it_was() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy"]);
    let kube = lab.kube();
    let before = what_soak_changes(&kube);
    assert_ne!(before["drain"], "0");
    for (part, field, value) in [("control", "drain", Value::from("0")), ("kill-pod", "replicas", 10.into())] {
        let mut soak = begun(&lab, &["soak", "--rounds", "1", "--only", part]);
        eventually(&format!("{part} has changed the Deployment"), || {
            (what_soak_changes(&kube)[field] == value).then_some(())
        });
        soak.signal(Signal::SIGINT);
        assert_eq!(soak.ends(), Some(130), "{part}");
        assert_eq!(what_soak_changes(&kube), before, "{part}");
    }
}

fn what_soak_changes(kube: &Kube) -> Value {
    let spec = &kube.get(DEPLOYMENT)["spec"];
    let container = &spec["template"]["spec"]["containers"][0];
    let variables = container["env"].as_array().cloned().unwrap();
    let drain = variables.iter().find(|variable| variable["name"] == "DRAIN_SECONDS").unwrap();
    serde_json::json!({
        "replicas": spec["replicas"], "image": container["image"], "env": variables, "drain": drain["value"],
    })
}

#[test]
fn each_run_starts_from_what_it_is_recorded_with() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy"]);
    let seen = |arguments: &[&str]| -> Vec<(u64, usize)> {
        let said = lab.json(&[&["test", "--no-keepalive", "--repeat", "2"], arguments].concat());
        let runs = said["runs"].as_array().unwrap().iter();
        runs.map(|run| (run["replicas"].as_u64().unwrap(), run["spread"]["pods"].as_array().unwrap().len())).collect()
    };
    // All four pods get requests for two seconds before the event.
    assert_eq!(seen(&["--replicas", "4", "--during", "scale:2"]), [(4, 4), (4, 4)]);
    assert_eq!(seen(&["--during", "scale:3"]), [(2, 3), (2, 3)]);

    // A rollout to the image that is already deployed would replace no pod, so tag it a second time.
    let image = what_soak_changes(&lab.kube())["image"].as_str().unwrap().to_owned();
    let again = format!("{image}-again");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let cache = std::env::var("EVENKEEL_CACHE_DIR").unwrap_or_else(|_| "/var/cache/evenkeel".into());
        let toolbox = toolbox::resolve(toolbox::find(cache.as_ref()).await).unwrap();
        tag_image(&cluster_of(&lab), &toolbox, &image, &again).await.unwrap();
    });
    assert_eq!(seen(&["--replicas", "2", "--during", &format!("rollout:{again}")]), [(2, 4), (2, 4)]);
}
