//! Servers other than the one that `evenkeel deploy` deploys: the same manifests with another image, probe or port.

use evenkeel::cluster;
use evenkeel::config::NAMESPACE;
use evenkeel::toolbox::Program;
use evenkeel::workload::manifest;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::images::Archive;
use super::lab::{Lab, eventually};
use super::{Bench, Result};

/// The name of the Deployment and the Service that `evenkeel deploy` makes.
pub(crate) const OURS: &str = "server";
/// Where the certificate is mounted.
const TLS_DIRECTORY: &str = "/tls";

/// A server, with the name of its Deployment and Service.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// The reference of its image.
    image: String,
    arguments: &'static [&'static str],
    /// Whether it answers over HTTP/1.1, as the kubelet's HTTP probes need. Otherwise its port is probed.
    http1: bool,
    /// Whether it has a certificate, and its Service the port of HTTPS.
    tls: bool,
}

impl Workload {
    /// A server that answers HTTP/1.1.
    pub(crate) fn http1(name: &'static str, image: &Archive, arguments: &'static [&'static str]) -> Self {
        Self { name, image: image.reference.clone(), arguments, http1: true, tls: false }
    }

    /// A server that speaks only HTTP/2.
    pub(crate) fn http2(name: &'static str, image: &Archive, arguments: &'static [&'static str]) -> Self {
        Self { http1: false, ..Self::http1(name, image, arguments) }
    }

    /// Evenkeel's server with a certificate, from the image that is deployed in the lab.
    pub(crate) async fn with_tls(name: &'static str, lab: &Lab) -> Result<Self> {
        let image = deployed_image(lab).await?;
        Ok(Self { name, image, arguments: &[], http1: true, tls: true })
    }

    /// Runs this many pods of the server, and waits until its Service balances between all of them.
    pub(crate) async fn run(&self, bench: &Bench, lab: &Lab, pods: u32) -> Result<()> {
        let step = bench.progress.step(format!("run {pods} pods of {}", self.name));
        let client = lab.client().await?;
        let params = PatchParams::apply("evenkeel-bench").force();
        if self.tls {
            let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
            let missing = secrets.get_opt(self.name).await?.is_none();
            if missing {
                secrets.patch(self.name, &params, &Patch::Apply(&self.secret()?)).await?;
            }
        }
        let (deployment, service) = self.manifests(pods)?;
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
        let services: Api<Service> = Api::namespaced(client, NAMESPACE);
        deployments.patch(self.name, &params, &Patch::Apply(&deployment)).await?;
        services.patch(self.name, &params, &Patch::Apply(&service)).await?;
        let desired = i32::try_from(pods)?;
        eventually(&format!("{pods} pods of {}", self.name), async || {
            let deployment = deployments.get(self.name).await?;
            let status = deployment.status.unwrap_or_default();
            let current = status.observed_generation == deployment.metadata.generation;
            let all = [status.ready_replicas, status.updated_replicas, status.replicas];
            Ok((current && all.iter().all(|count| *count == Some(desired))).then_some(()))
        })
        .await?;
        let balanced = format!("kube-proxy to balance between {pods} pods of {}", self.name);
        eventually(&balanced, async || Ok((backends(bench, lab, self.name).await? == pods).then_some(()))).await?;
        step.done();
        Ok(())
    }

    /// Evenkeel's manifests with this server instead: the same security context and kind of Service.
    fn manifests(&self, pods: u32) -> Result<(Value, Value)> {
        let own = manifest::own()?;
        let object = |kind: &str| {
            let found = own.iter().find(|manifest| manifest.kind() == kind).ok_or("a manifest is missing")?;
            Ok::<Value, Box<dyn std::error::Error>>(serde_json::to_value(&found.object)?)
        };
        let (mut deployment, mut service) = (object("Deployment")?, object("Service")?);
        for object in [&mut deployment, &mut service] {
            rename(object, self.name);
            object["metadata"]["name"] = self.name.into();
        }
        deployment["spec"]["replicas"] = pods.into();
        let pod = &mut deployment["spec"]["template"]["spec"];
        // Most of these servers do not drain, and nothing sends requests to one that ends.
        pod["terminationGracePeriodSeconds"] = 1.into();
        let container = &mut pod["containers"][0];
        container["image"] = self.image.as_str().into();
        container["args"] = self.arguments.into();
        container["resources"] = json!({ "requests": { "cpu": "1m", "memory": "4Mi" } });
        if !self.http1 {
            for probe in ["livenessProbe", "readinessProbe"] {
                let http = container[probe].as_object_mut().and_then(|probe| probe.remove("httpGet"));
                container[probe]["tcpSocket"] = json!({ "port": http.ok_or("the probe is not one of HTTP")?["port"] });
            }
        }
        if self.tls {
            self.mount_certificate(pod)?;
            service["spec"]["ports"][0]["port"] = 443.into();
            service["spec"]["ports"][0]["appProtocol"] = "https".into();
        }
        Ok((deployment, service))
    }

    fn mount_certificate(&self, pod: &mut Value) -> Result<()> {
        pod["volumes"] = json!([{ "name": "tls", "secret": { "secretName": self.name } }]);
        let container = &mut pod["containers"][0];
        container["volumeMounts"] = json!([{ "name": "tls", "mountPath": TLS_DIRECTORY, "readOnly": true }]);
        let variables = container["env"].as_array_mut().ok_or("the container has no variables")?;
        for (name, file) in [("TLS_CERT_FILE", "tls.crt"), ("TLS_KEY_FILE", "tls.key")] {
            variables.push(json!({ "name": name, "value": format!("{TLS_DIRECTORY}/{file}") }));
        }
        Ok(())
    }

    /// A Secret with a certificate that the server signed itself: the generators do not check it.
    fn secret(&self) -> Result<Value> {
        let own = Certificate::new()?;
        Ok(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": { "name": self.name },
            "stringData": { "tls.crt": own.certificate, "tls.key": own.key },
        }))
    }
}

/// A certificate and its key, as PEM.
pub(crate) struct Certificate {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// The image of the server that is deployed in the lab.
pub(crate) async fn deployed_image(lab: &Lab) -> Result<String> {
    let deployments: Api<Deployment> = Api::namespaced(lab.client().await?, NAMESPACE);
    let spec = deployments.get(OURS).await?.spec.and_then(|spec| spec.template.spec);
    let containers = spec.map(|pod| pod.containers).unwrap_or_default();
    containers.into_iter().find_map(|container| container.image).ok_or_else(|| "the Deployment has no image".into())
}

impl Certificate {
    /// One with an ECDSA key on P-256, signed by itself.
    pub(crate) fn new() -> Result<Self> {
        let own = rcgen::generate_simple_self_signed(["server".to_owned()])?;
        Ok(Self { certificate: own.cert.pem(), key: own.signing_key.serialize_pem() })
    }
}

/// Sets the label `app.kubernetes.io/name` wherever it occurs in the object.
fn rename(value: &mut Value, name: &str) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if key == "app.kubernetes.io/name" {
                    *value = name.into();
                }
                rename(value, name);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, name)),
        _ => {}
    }
}

/// The number of addresses that the chain of a Service balances between; 0 if there is no such chain.
async fn backends(bench: &Bench, lab: &Lab, service: &str) -> Result<u32> {
    let node = lab.cluster.nodes.first().ok_or("the lab has no node")?;
    let nft = bench.toolbox.path(Program::Nft);
    let listed = cluster::inside(node, &bench.toolbox, nft, ["list", "table", "ip", "kube-proxy"]).run_async().await?;
    let rules = String::from_utf8_lossy(&listed).into_owned();
    let of_service = format!("-{NAMESPACE}/{service}/tcp/http {{");
    let mut lines = rules.lines().map(str::trim);
    let found = lines.any(|line| line.starts_with("chain service-") && line.ends_with(&of_service));
    let picks = lines.take_while(|line| *line != "}").find_map(|line| line.split_once("numgen random mod "));
    let count = picks.filter(|_| found).and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    Ok(count.unwrap_or(0))
}
