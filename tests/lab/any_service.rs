//! A service of a stranger: names, kinds and containers of its own, in manifests as kubectl takes them.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::lab::{Lab, text};

/// A Deployment with a sidecar in front of its server, a StatefulSet, and Services for both.
const SHOP: &str = r#"---
# Nothing but a comment.
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: List
items:
  - apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web-app, namespace: shop}
    spec:
      replicas: 2
      selector: {matchLabels: {app: web}}
      template:
        metadata: {labels: {app: web}}
        spec:
          terminationGracePeriodSeconds: 10
          volumes: [{name: c, configMap: {name: kube-root-ca.crt, defaultMode: 0644}}]
          containers:
            - name: log-shipper
              image: IMAGE
              imagePullPolicy: Never
              env: [{name: PORT, value: "9900"}]
            - name: web
              image: IMAGE
              imagePullPolicy: Never
              volumeMounts: [{name: c, mountPath: /c}]
              ports: [{name: web, containerPort: 3000}]
              env: [{name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
              readinessProbe: {httpGet: {path: /readyz, port: web}, periodSeconds: 1}
  - apiVersion: v1
    kind: Service
    metadata: {name: front, namespace: shop}
    spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: web}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store, namespace: shop}
spec:
  serviceName: store
  replicas: 1
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec:
      containers:
        - name: store
          image: IMAGE
          imagePullPolicy: Never
          ports: [{containerPort: 3000}]
          readinessProbe: {httpGet: {path: /readyz, port: 3000}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: store, namespace: shop}
spec: {type: LoadBalancer, selector: {app: store}, ports: [{name: http, port: 81, targetPort: 3000}, {name: other, port: 82, targetPort: 3001}]}
"#;

#[test]
fn every_command_acts_on_a_service_with_names_of_its_own() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    let shop = Shop::new(&lab);

    // Two Services could be tested, so one is named.
    shop.deploy(&["--service", "shop/front", "--replicas", "2"]);
    let status = lab.json(&["status"]);
    assert_eq!(names(&status["pods"]).len(), 2, "{status:#}");
    assert!(names(&status["pods"]).iter().all(|name| name.starts_with("web-app-")), "{status:#}");

    let run = lab.json(&["test", "-d", "2s", "--assert", "failed==0"]);
    let served = run["runs"][0]["spread"]["pods"].as_array().unwrap();
    assert!(served.iter().all(|pod| pod["name"].as_str().unwrap().starts_with("web-app-")), "{served:#?}");

    let scaled = lab.json(&["scale", "3"]);
    assert_eq!((&scaled["from"], &scaled["to"]), (&2.into(), &3.into()));
    assert_eq!(shop.replicas("deployments/web-app"), 3);
    let scaled = lab.json(&["scale", "2", "--service", "store:http"]);
    assert_eq!((&scaled["from"], &scaled["to"]), (&1.into(), &2.into()));
    assert_eq!(shop.replicas("statefulsets/store"), 2);

    let run = lab.json(&["test", "--during", "kill-pod,delete-pod,rollout,scale:3..2"]);
    for event in run["runs"][0]["events"].as_array().unwrap() {
        assert_eq!(event["trouble"], Value::Null, "{event:#}");
    }
    let restarts = |container: &str| -> u64 {
        let pods = lab.kube().get("/api/v1/namespaces/shop/pods?labelSelector=app%3Dweb");
        let statuses = pods["items"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|pod| pod["status"]["containerStatuses"].as_array().unwrap());
        statuses
            .filter(|status| status["name"] == container)
            .map(|status| status["restartCount"].as_u64().unwrap())
            .sum()
    };
    assert_eq!(restarts("log-shipper"), 0, "events leave other containers alone");

    let lines = lab.ok(&["logs", "--json"]);
    let of =
        |container: &str| lines.lines().filter(|line| line.contains(&format!("\"container\":\"{container}\""))).count();
    assert!(of("web") > 0 && of("log-shipper") > 0, "{lines}");
    let lines = lab.ok(&["logs", "--json", "--container", "web"]);
    assert!(!lines.is_empty() && !lines.contains("log-shipper"), "{lines}");

    // Only the container that the Service leads to gets the image.
    let output = lab.run(&["deploy", "-f", shop.path(), "--service", "front", "--image", "evenkeel.local/other:1"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let said = text(&output.stderr);
    assert!(said.contains("container web: ErrImageNeverPull") && !said.contains("log-shipper:"), "{said}");
}

#[test]
fn what_is_no_longer_deployed_is_removed() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    let shop = Shop::new(&lab);
    let kube = lab.kube();
    let exists = |path: &str| kube.exists(path);
    shop.deploy(&[]);
    assert!(exists("/apis/apps/v1/namespaces/shop/statefulsets/store"));

    // From stdin, without the StatefulSet and its Service.
    let all = shop.manifests.clone();
    let front = all.split("---\napiVersion: apps/v1\nkind: StatefulSet").next().unwrap();
    let output = shop.deploy_text(front, &["--prune"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!exists("/apis/apps/v1/namespaces/shop/statefulsets/store"));
    assert!(!exists("/api/v1/namespaces/shop/services/store"));
    assert!(exists("/apis/apps/v1/namespaces/shop/deployments/web-app"));

    // The manifests' own number of replicas counts again.
    lab.ok(&["scale", "1"]);
    assert!(shop.deploy_text(front, &[]).status.success());
    assert_eq!(shop.replicas("deployments/web-app"), 2);

    let removed = lab.json(&["undeploy"]);
    assert_eq!(removed["removed"], 3);
    assert!(!exists("/api/v1/namespaces/shop"));
    let again = lab.run(&["undeploy"]);
    assert_eq!(again.status.code(), Some(1), "{}", text(&again.stderr));

    shop.refuse_bad_manifests(front);
    assert!(!exists("/api/v1/namespaces/shop"), "nothing is changed when a manifest is refused");

    let missing = front.replace("kube-root-ca.crt", "nope");
    let output = shop.deploy_text(&missing, &[]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("configmap \"nope\" not found"), "{said}");
}

/// The manifests in a file, with the image of Evenkeel's server.
struct Shop<'a> {
    lab: &'a Lab,
    directory: tempfile::TempDir,
    archive: String,
    manifests: String,
}

impl<'a> Shop<'a> {
    fn new(lab: &'a Lab) -> Self {
        let built = lab.json(&["build"]);
        let server = &built["server"];
        let directory = tempfile::tempdir().unwrap();
        let manifests = SHOP.replace("IMAGE", server["reference"].as_str().unwrap());
        fs::write(directory.path().join("shop.yaml"), &manifests).unwrap();
        Self { lab, directory, archive: server["archive"].as_str().unwrap().to_owned(), manifests }
    }

    fn path(&self) -> &str {
        self.directory.path().to_str().unwrap()
    }

    fn deploy(&self, arguments: &[&str]) {
        let all = ["deploy", "-f", self.path(), "--load", &self.archive];
        self.lab.ok(&[&all, arguments].concat());
    }

    fn deploy_text(&self, manifests: &str, arguments: &[&str]) -> Output {
        self.lab.run_with_stdin(&[&["deploy", "-f", "-"], arguments].concat(), manifests)
    }

    fn replicas(&self, path: &str) -> u64 {
        let found = self.lab.kube().get(&format!("/apis/apps/v1/namespaces/shop/{path}"));
        found["spec"]["replicas"].as_u64().unwrap()
    }

    /// Each of these is refused with code 2 and named with its document.
    fn refuse_bad_manifests(&self, good: &str) {
        let typo = good.replace("periodSeconds: 1", "periodsSeconds: 1");
        let number = good.replace("value: \"9900\"", "value: 9900");
        let half = format!("{good}---\napiVersion: v1\nkind: [");
        let unknown = format!("{good}---\napiVersion: example.org/v1\nkind: Widget\nmetadata: {{name: w}}\n");
        let nowhere =
            good.replace("kind: Namespace\nmetadata: {name: shop}", "kind: Namespace\nmetadata: {name: other}");
        let twice = format!("{good}---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: shop}}\n");
        for (manifests, words) in [
            (typo, ["stdin, document 3", "periodsSeconds"]),
            (number, ["stdin, document 3", "value"]),
            (half, ["stdin, document 4", "line"]),
            (unknown, ["stdin, document 4", "no kind Widget in example.org/v1"]),
            (nowhere, ["stdin, document 3", "the namespace shop does not exist"]),
            (twice, ["stdin, document 4", "twice"]),
            ("# nothing\n".to_owned(), ["stdin", "no object"]),
        ] {
            let output = self.deploy_text(&manifests, &[]);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
        }
        let nothing = self.lab.run(&["deploy", "-k", "/var/no-kustomization"]);
        assert_eq!(nothing.status.code(), Some(2), "{}", text(&nothing.stderr));
    }
}

fn names(pods: &Value) -> Vec<String> {
    pods.as_array().unwrap().iter().map(|pod| pod["name"].as_str().unwrap().to_owned()).collect()
}
