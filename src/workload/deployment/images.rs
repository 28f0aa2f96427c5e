//! The images of the containers in manifests, and when the kubelet pulls them.

use serde_json::{Value, json};

use crate::workload::manifest::Manifest;

/// Where kinds have the specification of their pods.
const POD_SPECS: [&str; 3] = ["/spec", "/spec/template/spec", "/spec/jobTemplate/spec/template/spec"];
/// The lists of containers in it, and what one of them is called.
const CONTAINERS: [(&str, &str); 2] = [("initContainers", "init container"), ("containers", "container")];

/// The image of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerImage {
    /// The container: "Deployment web, init container migrate".
    pub container: String,
    /// The image as the manifest names it.
    pub image: String,
    /// `imagePullPolicy`, if it is set.
    pub pull_policy: Option<String>,
}

/// The images of all containers and init containers.
#[must_use]
pub fn container_images(manifests: &[Manifest]) -> Vec<ContainerImage> {
    let mut images = Vec::new();
    for manifest in manifests {
        for (path, (list, called)) in lists() {
            let found = manifest.object.data.pointer(&format!("{path}/{list}")).and_then(Value::as_array);
            images.extend(
                found.into_iter().flatten().filter_map(|container| container_image(manifest, called, container)),
            );
        }
    }
    images
}

/// Sets the pull policy of every container for which `choose` returns one.
pub fn set_pull_policy(manifests: &mut [Manifest], choose: impl Fn(&ContainerImage) -> Option<&'static str>) {
    for manifest in manifests {
        for (path, (list, called)) in lists() {
            let pointer = format!("{path}/{list}");
            let found = manifest.object.data.pointer(&pointer).and_then(Value::as_array).into_iter().flatten();
            let images = found.map(|container| container_image(manifest, called, container));
            let policies: Vec<_> = images.map(|image| image.as_ref().and_then(&choose)).collect();
            let found = manifest.object.data.pointer_mut(&pointer).and_then(Value::as_array_mut);
            for (container, policy) in found.into_iter().flatten().zip(policies) {
                if let Some(policy) = policy {
                    container["imagePullPolicy"] = json!(policy);
                }
            }
        }
    }
}

/// Every place of a list of containers.
fn lists() -> impl Iterator<Item = (&'static str, (&'static str, &'static str))> {
    POD_SPECS.into_iter().flat_map(|path| CONTAINERS.map(|list| (path, list)))
}

fn container_image(manifest: &Manifest, called: &str, container: &Value) -> Option<ContainerImage> {
    let image = container["image"].as_str()?.to_owned();
    let name = manifest.object.metadata.name.as_deref().unwrap_or_default();
    let container_name = container["name"].as_str().unwrap_or_default();
    Some(ContainerImage {
        container: format!("{} {name}, {called} {container_name}", manifest.kind()),
        image,
        pull_policy: container["imagePullPolicy"].as_str().map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::manifest::read_text;

    const ALL_KINDS: &str = "
{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c, image: pod}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: b}
spec:
  template:
    spec:
      initContainers: [{name: i, image: 'init:1', imagePullPolicy: Never}]
      containers: [{name: c, image: 'set:1'}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: c}
spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: c, image: cron}]}}}}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: d}, data: {image: none}}
";

    #[test]
    fn the_images_of_every_kind_of_workload_are_found_and_changed() {
        let mut manifests = read_text("all.yaml", ALL_KINDS).unwrap();
        let found = |manifests: &[Manifest]| {
            let policy = |found: ContainerImage| (found.image, found.pull_policy.unwrap_or_default());
            container_images(manifests).into_iter().map(policy).collect::<Vec<_>>()
        };
        let pairs = |pairs: [(&str, &str); 4]| pairs.map(|(image, policy)| (image.to_owned(), policy.to_owned()));
        assert_eq!(container_images(&manifests)[1].container, "StatefulSet b, init container i");
        assert_eq!(found(&manifests), pairs([("pod", ""), ("init:1", "Never"), ("set:1", ""), ("cron", "")]));
        set_pull_policy(&mut manifests, |found| (found.image != "set:1").then_some("IfNotPresent"));
        let always = "IfNotPresent";
        assert_eq!(found(&manifests), pairs([("pod", always), ("init:1", always), ("set:1", ""), ("cron", always)]));
    }
}
