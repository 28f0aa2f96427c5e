//! Changes manifests before they are applied: the image and the replicas of the controller behind a Service.

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::config::Replicas;
use crate::workload::controller::{Candidate, ControllerKind, candidate_of};
use crate::workload::manifest::Manifest;
use crate::workload::scale::unscalable;
use crate::workload::subject::{SubjectWish, resolve};
use crate::workload::{ScaleObstacle, Subject, WorkloadError};

/// The Service among the manifests that is wanted, or the only Service of type LoadBalancer, or the only Service. Objects
/// without a namespace are in `namespace`.
///
/// # Errors
/// [`WorkloadError::NoServiceGiven`], and as [`Subject::find`].
pub fn subject_of(manifests: &[Manifest], namespace: &str, wanted: &SubjectWish) -> Result<Subject, WorkloadError> {
    let in_namespace = |mut service: Service| {
        service.metadata.namespace.get_or_insert_with(|| namespace.to_owned());
        service
    };
    let services: Vec<Service> = manifests.iter().filter_map(Manifest::typed).map(in_namespace).collect();
    match (&services[..], &wanted.given) {
        ([], _) => return Err(WorkloadError::NoServiceGiven),
        ([only], None) => return resolve(only, None, &candidates(manifests, namespace)),
        _ => {}
    }
    let (service, port) = crate::workload::subject::choose(&services, wanted)?;
    resolve(service, port, &candidates(manifests, namespace))
}

fn candidates(manifests: &[Manifest], namespace: &str) -> Vec<Candidate> {
    let of = |manifest: &Manifest| {
        candidate_of(manifest.object.metadata.namespace.as_deref().unwrap_or(namespace), &manifest.object)
    };
    manifests.iter().filter_map(of).collect()
}

/// Sets the image of the container that the subject's port leads to. Other containers keep their images.
///
/// # Errors
/// [`WorkloadError::Unsuitable`] when the subject has no controller among the manifests.
pub fn set_image(
    manifests: &mut [Manifest],
    namespace: &str,
    subject: &Subject,
    image: &str,
) -> Result<(), WorkloadError> {
    let container = subject.require_container()?.to_owned();
    let object = controller(manifests, namespace, subject)?;
    let containers = object.object.data.pointer_mut("/spec/template/spec/containers").and_then(Value::as_array_mut);
    for found in containers.into_iter().flatten() {
        if found["name"] == *container {
            found["image"] = json!(image);
        }
    }
    Ok(())
}

/// Sets the number of replicas of the subject's controller.
///
/// # Errors
/// As [`set_image`]; [`WorkloadError::Unscalable`] when the controller is a DaemonSet.
pub fn set_replicas(
    manifests: &mut [Manifest],
    namespace: &str,
    subject: &Subject,
    replicas: Replicas,
) -> Result<(), WorkloadError> {
    let behind = subject.require_controller()?;
    if behind.kind == ControllerKind::DaemonSet {
        return Err(unscalable(behind, ScaleObstacle::DaemonSet));
    }
    let object = controller(manifests, namespace, subject)?;
    object.object.data["spec"]["replicas"] = json!(replicas.get());
    Ok(())
}

/// Moves the program's own manifests into a namespace that exists already.
pub fn move_to(manifests: &mut Vec<Manifest>, namespace: &str) {
    manifests.retain(|manifest| manifest.kind() != "Namespace");
    for manifest in manifests {
        manifest.object.metadata.namespace = Some(namespace.to_owned());
    }
}

fn controller<'a>(
    manifests: &'a mut [Manifest],
    namespace: &str,
    subject: &Subject,
) -> Result<&'a mut Manifest, WorkloadError> {
    let controller = subject.require_controller()?;
    let is_it = |manifest: &&mut Manifest| {
        manifest.kind() == controller.kind.to_string()
            && manifest.name() == controller.name
            && manifest.object.namespace().as_deref().unwrap_or(namespace) == controller.namespace
    };
    manifests.iter_mut().find(is_it).ok_or(WorkloadError::NoWorkload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::manifest::{own, read_text};

    const TWO_CONTAINERS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: log-shipper, image: 'other:1'}
        - {name: app, image: 'app:1', ports: [{name: http, containerPort: 9898}]}
---
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
";

    #[test]
    fn only_the_container_behind_the_port_gets_the_image() {
        let mut manifests = read_text("app.yaml", TWO_CONTAINERS).unwrap();
        let subject = subject_of(&manifests, "shop", &SubjectWish::default()).unwrap();
        assert_eq!((subject.to_string().as_str(), subject.container.as_deref()), ("shop/front", Some("app")));
        set_image(&mut manifests, "shop", &subject, "new:2").unwrap();
        set_replicas(&mut manifests, "shop", &subject, "7".parse().unwrap()).unwrap();
        let spec = &manifests[0].object.data["spec"];
        assert_eq!(spec["replicas"], 7);
        let images: Vec<_> =
            spec["template"]["spec"]["containers"].as_array().unwrap().iter().map(|c| &c["image"]).collect();
        assert_eq!(images, ["other:1", "new:2"]);
    }

    #[test]
    fn the_programs_own_manifests_can_be_moved() {
        let mut manifests = own().unwrap();
        let count = manifests.len();
        move_to(&mut manifests, "shop");
        assert_eq!(manifests.len(), count - 1, "all but the Namespace");
        assert!(manifests.iter().all(|manifest| manifest.object.namespace().as_deref() == Some("shop")));
        let subject = subject_of(&manifests, "shop", &SubjectWish::default()).unwrap();
        assert_eq!(subject.to_string(), "shop/server");
    }

    #[test]
    fn the_programs_own_manifests_have_a_subject() {
        let mut manifests = own().unwrap();
        let subject = subject_of(&manifests, "default", &SubjectWish::default()).unwrap();
        assert_eq!(subject.to_string(), "evenkeel/server");
        assert_eq!((subject.port, subject.port_name.as_deref()), (80, Some("http")));
        set_image(&mut manifests, "default", &subject, "evenkeel.local/server:abc").unwrap();
        let deployment = manifests.iter().find(|manifest| manifest.kind() == "Deployment").unwrap();
        let image = deployment.object.data.pointer("/spec/template/spec/containers/0/image").unwrap();
        assert_eq!(image, "evenkeel.local/server:abc");
    }
}
