//! The images of the containers in manifests, and when the kubelet pulls them.

use serde_json::{Value, json};

use crate::workload::manifest::Manifest;

/// Where kinds have the specification of their pods.
const POD_SPECS: [&str; 3] = ["/spec", "/spec/template/spec", "/spec/jobTemplate/spec/template/spec"];
/// The lists of containers in it.
const CONTAINERS: [&str; 2] = ["initContainers", "containers"];

/// The image of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerImage {
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
        let specs = POD_SPECS.iter().filter_map(|path| manifest.object.data.pointer(path));
        let lists = specs.flat_map(|spec| CONTAINERS.map(|list| &spec[list])).filter_map(Value::as_array);
        images.extend(lists.flatten().filter_map(container_image));
    }
    images
}

/// Sets the pull policy of every container for which `choose` returns one.
pub fn set_pull_policy(manifests: &mut [Manifest], choose: impl Fn(&ContainerImage) -> Option<&'static str>) {
    for manifest in manifests {
        for (path, list) in POD_SPECS.iter().flat_map(|path| CONTAINERS.map(|list| (path, list))) {
            let found = manifest.object.data.pointer_mut(&format!("{path}/{list}")).and_then(Value::as_array_mut);
            for container in found.into_iter().flatten() {
                if let Some(policy) = container_image(container).as_ref().and_then(&choose) {
                    container["imagePullPolicy"] = json!(policy);
                }
            }
        }
    }
}

fn container_image(container: &Value) -> Option<ContainerImage> {
    let image = container["image"].as_str()?.to_owned();
    Some(ContainerImage { image, pull_policy: container["imagePullPolicy"].as_str().map(str::to_owned) })
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
        assert_eq!(found(&manifests), pairs([("pod", ""), ("init:1", "Never"), ("set:1", ""), ("cron", "")]));
        set_pull_policy(&mut manifests, |found| (found.image != "set:1").then_some("IfNotPresent"));
        let always = "IfNotPresent";
        assert_eq!(found(&manifests), pairs([("pod", always), ("init:1", always), ("set:1", ""), ("cron", always)]));
    }
}
