//! The lab as a cluster that is no lab: its kubeconfig is copied away and used by a user who is not root, without the state
//! directory.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use evenkeel::workload::rights::{Activity, Grantee, Reach, Right, least, manifests, rights_of};
use serde_json::{Value, json};

use crate::lab::{Lab, eventually, text};

/// Who uses the cluster: `nobody`.
const USER: &str = "65534";
/// The `ServiceAccount` with the rights that `evenkeel rbac` prints.
const ACCOUNT: &str = "limited";
const NAMESPACE: &str = "evenkeel";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/evenkeel/deployments/server";
const ROLES: [&str; 2] = [
    "/apis/rbac.authorization.k8s.io/v1/namespaces/evenkeel/roles/evenkeel",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles/evenkeel-evenkeel",
];

/// A home with the program and kubeconfigs.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::set_permissions(home.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_evenkeel"), home.path("evenkeel")).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a kubeconfig. JSON is YAML.
    fn kubeconfig(&self, name: &str, content: &Value) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content.to_string()).unwrap();
        path
    }

    /// Runs the program as a user who is not root, with nothing of this process but these variables.
    fn run_with(&self, variables: &[(&str, &Path)], arguments: &[&str]) -> Output {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]).arg(self.path("evenkeel"));
        command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.0.path());
        command.env("EVENKEEL_STATE_DIR", "/nonexistent/state").env("EVENKEEL_CACHE_DIR", "/nonexistent/cache");
        command.env("EVENKEEL_SUDO", "never").envs(variables.iter().copied());
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a command on the cluster of a kubeconfig in this home.
    fn run(&self, kubeconfig: &str, arguments: &[&str]) -> Output {
        let kubeconfig = self.path(kubeconfig);
        self.run_with(&[], &[arguments, &["--kubeconfig", kubeconfig.to_str().unwrap()]].concat())
    }

    /// As [`Home::run`]; the command must succeed. Returns its stdout and stderr.
    fn ok(&self, kubeconfig: &str, arguments: &[&str]) -> (String, String) {
        let output = self.run(kubeconfig, arguments);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {}\n{stdout}\n{stderr}", output.status);
        (stdout, stderr)
    }

    /// As [`Home::run`]; the command must be refused with this code and these words, and print no result.
    fn refused(&self, kubeconfig: &str, arguments: &[&str], code: i32, words: &[&str]) {
        let output = self.run(kubeconfig, arguments);
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(code), ""), "{arguments:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{arguments:?} does not say {word:?}: {said}");
        }
    }
}

/// A lab with the server, and its kubeconfig in a home.
fn deployed() -> Option<(Lab, Home, Value)> {
    let lab = Lab::new()?;
    lab.up();
    lab.ok(&["deploy"]);
    let home = Home::new();
    let admin: Value = serde_json::from_str(&fs::read_to_string(lab.state().join("kubeconfig")).unwrap()).unwrap();
    home.kubeconfig("admin", &admin);
    Some((lab, home, admin))
}

/// The kubeconfig of a user with a token, in the namespace of the server.
fn with_user(admin: &Value, user: Value) -> Value {
    let mut changed = admin.clone();
    changed["users"][0]["user"] = user;
    changed["contexts"][0]["context"]["namespace"] = json!(NAMESPACE);
    changed
}

fn token(lab: &Lab, account: &str) -> String {
    lab.kubectl(&["create", "token", account, "--namespace", NAMESPACE]).trim().to_owned()
}

fn image(lab: &Lab) -> String {
    let deployment = lab.kube().get(DEPLOYMENT);
    deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
}

#[test]
fn every_verb_works_with_a_kubeconfig_alone() {
    let Some((lab, home, admin)) = deployed() else { return };
    let service = ["--service", "evenkeel/server"];
    let on = |arguments: &[&str]| home.ok("admin", &[arguments, &service].concat());
    let (pods, said) = on(&["status"]);
    assert!(pods.contains("server-") && pods.contains("Ready"), "{pods}");
    let first = said.lines().next().unwrap();
    let server = admin["clusters"][0]["cluster"]["server"].as_str().unwrap();
    assert_eq!(first, format!("cluster: context evenkeel, server {server}, namespace default"));

    on(&["scale", "3", "--yes"]);
    assert_eq!(lab.kube().get(DEPLOYMENT)["spec"]["replicas"], 3);
    let (logs, _) = on(&["logs", "--tail", "1"]);
    assert_eq!(logs.lines().count(), 3, "{logs}");
    let report: Value = serde_json::from_str(&on(&["--json", "test", "--requests", "3000"]).0).unwrap();
    let run = &report["runs"][0];
    assert_eq!(run["requests"]["answered"], 3_000);
    let by_pod = run["spread"]["pods"].as_array().unwrap().iter().map(|pod| pod["requests"].as_u64().unwrap());
    assert_eq!(by_pod.sum::<u64>(), 3_000, "responses name their pods");

    events_work(&lab, &home);
    what_needs_the_nodes_is_refused(&home);
    consent_is_needed(&lab, &home);
    the_spread_is_unknown_or_that_of_one_pod(&home);
    the_server_is_deployed_into_a_namespace(&lab, &home);
    kubeconfigs_are_read_as_kubectl_reads_them(&lab, &home, &admin);
    bad_kubeconfigs_are_refused(&lab, &home, &admin);
    assert!(!Path::new("/nonexistent").exists());
}

#[test]
fn a_soak_of_pods_works_with_a_kubeconfig_alone() {
    let Some((lab, home, _)) = deployed() else { return };
    let arguments = ["--json", "soak", "--only", "pods", "--pods", "4", "--rounds", "1", "--yes"];
    let arguments = [&arguments[..], &["--service", "evenkeel/server"]].concat();
    let (result, said) = home.ok("admin", &arguments);
    assert!(said.contains("new image is left out"), "{said}");
    let result: Value = serde_json::from_str(&result).unwrap();
    let rows = result["rows"].as_array().unwrap();
    let events: Vec<&str> = rows.iter().map(|row| row["event"].as_str().unwrap()).collect();
    for event in ["scale 4 → 2 → 4", "rolling restart", "pod delete"] {
        assert_eq!(events.iter().filter(|one| **one == event).count(), 2, "once for each load: {events:?}");
    }
    assert!(!events.contains(&"new image"), "{events:?}");
    assert!(rows.iter().all(|row| row["failed"] == 0 && row["requests"].as_u64() > Some(0)), "{rows:#?}");
    assert_eq!(lab.kube().get(DEPLOYMENT)["spec"]["replicas"], 2);
}

#[test]
fn a_namespace_that_forbids_pods_is_quoted_and_nothing_is_left() {
    let Some((lab, home, _)) = deployed() else { return };
    let image = image(&lab);
    for (namespace, hard) in [("full", json!({"pods": "0"})), ("limits", json!({"limits.cpu": "1"}))] {
        lab.kubectl(&["create", "namespace", namespace]);
        set_quota(&lab, namespace, &hard);
    }
    let deploy = ["deploy", "--image", &image, "-n"];
    let full = "exceeded quota: pods, requested: pods=1, used: pods=0, limited: pods=0";
    let words = ["Deployment full/server may not have these pods", full, "kubectl describe namespace full"];
    home.refused("admin", &[&deploy[..], &["full"]].concat(), 2, &words);
    let words = ["failed quota: pods: must specify limits.cpu"];
    home.refused("admin", &[&deploy[..], &["limits"]].concat(), 2, &words);

    lab.kubectl(&["create", "namespace", "strict"]);
    lab.kubectl(&["label", "namespace", "strict", "pod-security.kubernetes.io/enforce=restricted"]);
    let pod = json!({
        "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]},
    });
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}},
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web"}, "spec": {
            "serviceName": "web", "selector": {"matchLabels": {"app": "web"}}, "template": pod,
        }},
    ]});
    let file = home.kubeconfig("web.json", &objects);
    let words = ["StatefulSet strict/web may not have", "violates PodSecurity \"restricted:", "runAsNonRoot != true"];
    home.refused("admin", &["deploy", "-f", file.to_str().unwrap(), "-n", "strict"], 2, &words);
    for namespace in ["full", "limits", "strict"] {
        let left = lab.kubectl(&["get", "all,configmaps,serviceaccounts", "-o", "name", "-n", namespace]);
        assert_eq!(left.lines().collect::<Vec<_>>(), ["configmap/kube-root-ca.crt", "serviceaccount/default"]);
    }

    let scale = |count: &'static str| ["scale", count, "--service", "evenkeel/server", "--yes"];
    let replicas = || lab.kube().get(DEPLOYMENT)["spec"]["replicas"].clone();
    set_quota(&lab, NAMESPACE, &json!({"pods": "2"}));
    home.refused("admin", &scale("3"), 2, &["exceeded quota: pods, requested: pods=1, used: pods=2, limited: pods=2"]);
    assert_eq!(replicas(), 2);
    set_quota(&lab, NAMESPACE, &json!({"pods": "4"}));
    home.refused("admin", &scale("8"), 1, &["used: pods=4, limited: pods=4", "set back to 2 pods"]);
    assert_eq!(replicas(), 2);
    let quota = format!("/api/v1/namespaces/{NAMESPACE}/resourcequotas/pods");
    eventually("the surplus pods are gone", || (lab.kube().get(&quota)["status"]["used"]["pods"] == "2").then_some(()));
    home.ok("admin", &scale("4"));
}

/// Sets the quota of a namespace, and waits until it counts.
fn set_quota(lab: &Lab, namespace: &str, hard: &Value) {
    let path = format!("/api/v1/namespaces/{namespace}/resourcequotas");
    let (kube, quota) = (lab.kube(), format!("{path}/pods"));
    if kube.exists(&quota) {
        kube.patch(&quota, &json!({"spec": {"hard": hard}}));
    } else {
        let object = json!({"kind": "ResourceQuota", "metadata": {"name": "pods"}, "spec": {"hard": hard}});
        kube.create(&path, &object);
    }
    eventually("the quota counts", || (kube.get(&quota)["status"]["hard"] == *hard).then_some(()));
}

fn events_work(lab: &Lab, home: &Home) {
    let node = lab.json(&["status"])["nodes"][0]["name"].as_str().unwrap().to_owned();
    let events = format!("scale:2,rollout,delete-pod,cordon:{node}=100ms,uncordon:{node}");
    let arguments = ["--json", "test", "--service", "evenkeel/server", "--during", &events, "--yes"];
    let report: Value = serde_json::from_str(&home.ok("admin", &arguments).0).unwrap();
    let events = report["runs"][0]["events"].as_array().unwrap().clone();
    assert_eq!(events.len(), 5);
    assert!(events.iter().all(|event| event["trouble"].is_null()), "{events:#?}");
}

fn what_needs_the_nodes_is_refused(home: &Home) {
    for (event, words) in [
        ("kill:etcd", "kill etcd needs access"),
        ("kill-pod", "kill a pod's server needs access"),
        ("rollout,pause-node:0=1s", "pause node 0 for 1 s needs access"),
        ("kill-control-plane", "needs access"),
        ("throttle-pod:10%=1s", "needs access"),
    ] {
        home.refused("admin", &["test", "--service", "evenkeel/server", "--during", event, "--yes"], 2, &[words]);
    }
    for flags in [["--balance", "client"], ["--compare", "keepalive,client"]] {
        home.refused("admin", &[&["test", "--service", "evenkeel/server"][..], &flags].concat(), 2, &["by the client"]);
    }
    for only in [&["--only", "pods,control"][..], &["--only", "components"], &[]] {
        home.refused("admin", &[&["soak", "--yes"][..], only].concat(), 2, &["--only", "expected pods"]);
    }
    home.refused("admin", &["test", "--service", "default/kubernetes"], 2, &["no selector"]);
}

fn consent_is_needed(lab: &Lab, home: &Home) {
    let before = lab.kube().get(DEPLOYMENT)["spec"].clone();
    let service = ["--service", "evenkeel/server"];
    for (arguments, what) in [
        (&["scale", "1"][..], "scale changes the cluster of context evenkeel"),
        (&["test", "--replicas", "1"], "test --replicas changes"),
        (&["test", "--during", "rollout"], "test --during changes"),
        (&["test", "--compare", "local,cluster"], "test --compare local,cluster changes"),
        (&["soak", "--only", "pods"], "soak changes the cluster of context evenkeel"),
        (&["--json", "scale", "1"], "--yes"),
        (&["deploy", "-n", "evenkeel", "--replicas", "1", "--image", &image(lab)], "Deployment evenkeel/server"),
    ] {
        home.refused("admin", &[arguments, &service].concat(), 2, &[what, "--yes"]);
    }
    home.refused("admin", &["undeploy"], 2, &["--yes"]);
    assert_eq!(lab.kube().get(DEPLOYMENT)["spec"], before);
    // Without the flags that name a cluster, there is none to agree to.
    let output = home.run_with(&[("KUBECONFIG", &home.path("admin"))], &["scale", "1", "--yes"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let output = home.run_with(&[("KUBECONFIG", &home.path("admin"))], &["scale", "1"]);
    assert!(text(&output.stderr).contains("no lab is up"), "{}", text(&output.stderr));
}

/// Responses of the health check do not name their pod.
fn the_spread_is_unknown_or_that_of_one_pod(home: &Home) {
    let spread = |count: &str| {
        home.ok("admin", &["scale", count, "--service", "evenkeel/server", "--yes"]);
        let service = ["--service", "evenkeel/server", "--path", "/healthz", "--requests", "300"];
        let said = home.ok("admin", &[&["test"], &service[..]].concat()).0;
        let report = home.ok("admin", &[&["--json", "test"], &service[..]].concat()).0;
        let report: Value = serde_json::from_str(&report).unwrap();
        (said, report["runs"][0]["spread"].clone())
    };
    let (said, two) = spread("2");
    assert!(said.contains("No response named its pod, so the spread is not known."), "{said}");
    assert_eq!((two["pods"].as_array().unwrap().len(), &two["unnamed"]), (0, &json!(300)), "{two:#}");
    let (_, one) = spread("1");
    let pods = one["pods"].as_array().unwrap();
    assert_eq!((pods.len(), &pods[0]["requests"]), (1, &json!(300)), "{one:#}");
    assert!(pods[0]["name"].as_str().unwrap().starts_with("server-"), "{one:#}");
}

fn the_server_is_deployed_into_a_namespace(lab: &Lab, home: &Home) {
    let kube = lab.kube();
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let namespace = json!({"kind": "Namespace", "metadata": {"name": "shop", "labels": labels}});
    kube.create("/api/v1/namespaces", &namespace);
    let image = image(lab);
    home.refused("admin", &["deploy", "-n", "shop"], 2, &["--image", "pull"]);
    home.refused("admin", &["deploy", "-n", "shop", "--image", "./server.tar"], 2, &["--image", "registry"]);
    home.refused("admin", &["deploy", "-n", "shop", "--load", "./all.tar"], 2, &["--load", "registry"]);
    home.refused("admin", &["deploy", "-n", "none", "--image", &image], 2, &["namespace none does not exist"]);
    home.ok("admin", &["deploy", "-n", "shop", "--image", &image, "--replicas", "1"]);
    assert_eq!(kube.get("/apis/apps/v1/namespaces/shop/deployments/server")["status"]["readyReplicas"], 1);
    home.ok("admin", &["test", "--service", "shop/server", "--requests", "100"]);
    home.ok("admin", &["undeploy", "-n", "shop", "--yes"]);
    assert!(!kube.exists("/apis/apps/v1/namespaces/shop/deployments/server"));
    assert!(kube.exists(DEPLOYMENT) && kube.exists("/api/v1/namespaces/shop"), "only what was deployed there is gone");
    home.refused("admin", &["undeploy", "-n", "shop", "--yes"], 1, &["nothing is deployed"]);
    home.refused("admin", &["test", "--service", "shop/server"], 2, &["no Service shop/server"]);
}

fn kubeconfigs_are_read_as_kubectl_reads_them(lab: &Lab, home: &Home, admin: &Value) {
    // A credential plugin.
    lab.kubectl(&["create", "serviceaccount", "plugin", "--namespace", NAMESPACE]);
    let binding = ["create", "clusterrolebinding", "plugin", "--clusterrole=view"];
    lab.kubectl(&[&binding[..], &["--serviceaccount=evenkeel:plugin"]].concat());
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"token": token(lab, "plugin")},
    });
    fs::write(home.path("credential"), credential.to_string()).unwrap();
    let exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "command": "cat", "args": [home.path("credential")],
        "interactiveMode": "Never",
    });
    let by_plugin = home.kubeconfig("by-plugin", &with_user(admin, json!({"exec": exec})));
    assert!(home.ok("by-plugin", &["status"]).0.contains("server-"));
    // Several files: the contexts are in one, and the clusters and users in the other.
    let (mut contexts, mut rest) = (with_user(admin, json!({"exec": exec})), admin.clone());
    contexts["contexts"][0]["name"] = json!("split");
    contexts["current-context"] = json!("none");
    contexts["clusters"] = json!([]);
    rest["contexts"] = json!([]);
    let (contexts, rest) = (home.kubeconfig("contexts", &contexts), home.kubeconfig("rest", &rest));
    let all = [contexts, home.path("missing"), rest].map(|path| path.to_str().unwrap().to_owned()).join(":");
    let output = home.run_with(&[("KUBECONFIG", Path::new(&all))], &["status", "--context", "split"]);
    assert!(text(&output.stdout).contains("server-"), "{}", text(&output.stderr));
    // The default file.
    fs::create_dir(home.path(".kube")).unwrap();
    fs::copy(by_plugin, home.path(".kube/config")).unwrap();
    let output = home.run_with(&[], &["status", "--context", "evenkeel"]);
    assert!(text(&output.stdout).contains("server-"), "{}", text(&output.stderr));
}

fn bad_kubeconfigs_are_refused(lab: &Lab, home: &Home, admin: &Value) {
    let unknown = ["status", "--context", "nope"];
    home.refused("admin", &unknown, 2, &["there is no context \"nope\"", "the contexts are: evenkeel"]);
    home.refused("missing", &["status"], 2, &["missing cannot be used", "No such file"]);
    fs::write(home.path("torn"), "{clusters: [").unwrap();
    home.refused("torn", &["status"], 2, &["torn cannot be used"]);
    let mut closed = admin.clone();
    closed["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:1");
    home.kubeconfig("closed", &closed);
    for arguments in [&["status"][..], &["scale", "1", "--yes"], &["test"], &["undeploy", "--yes"], &["logs"]] {
        home.refused("closed", arguments, 1, &["cannot be reached at https://127.0.0.1:1", "Connection refused"]);
    }
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    closed["clusters"][0]["cluster"]["server"] = json!(format!("https://{}", mute.local_addr().unwrap()));
    home.kubeconfig("mute", &closed);
    home.refused("mute", &["status"], 1, &["no answer within 5 s"]);
    let expired = with_user(admin, json!({"token": "none"}));
    home.kubeconfig("expired", &expired);
    home.refused("expired", &["status"], 1, &["Unauthorized", "log in again"]);
    lab.kubectl(&["create", "serviceaccount", "nobody", "--namespace", NAMESPACE]);
    home.kubeconfig("nobody", &with_user(admin, json!({"token": token(lab, "nobody")})));
    let words = ["has no right to", "list services in namespace evenkeel", "evenkeel rbac status --namespace evenkeel"];
    home.refused("nobody", &["status"], 2, &words);
}

/// The command of an activity, and all activities that it needs.
fn command(activity: Activity, image: &str, node: &str) -> (Vec<String>, Vec<Activity>) {
    use Activity::{
        Cordon, DeletePod, Deploy, Drain, Logs, Rollout, Scale, Soak, Status, Test, TrafficPolicy, Undeploy,
    };
    let test = ["test", "--warmup", "0", "-d", "200ms", "--yes"];
    let (cordon, drain) = (format!("cordon:{node}=100ms"), format!("drain:{node}=100ms"));
    let event = |event: &str| ["test", "--yes", "--during", event].map(str::to_owned).to_vec();
    let (arguments, with): (Vec<&str>, &[Activity]) = match activity {
        Status => (vec!["status"], &[Status]),
        Logs => (vec!["logs", "--tail", "1"], &[Logs]),
        Scale => (vec!["scale", "2", "--yes"], &[Scale]),
        Test => (test.to_vec(), &[Test]),
        Activity::Agents => (vec!["undeploy", "--agents", "--yes"], &[Activity::Agents]),
        Deploy | Activity::Apply => (vec!["deploy", "--image", image, "--yes"], &[Deploy]),
        Undeploy => (vec!["undeploy", "--yes"], &[Undeploy]),
        Soak => (vec!["soak", "--only", "pods", "--rounds", "1", "--yes"], &[Soak]),
        TrafficPolicy => {
            ([&test[..], &["--compare", "local,cluster", "--repeat", "1"]].concat(), &[Test, TrafficPolicy])
        }
        Rollout => return (event("rollout"), vec![Test, Rollout]),
        DeletePod => return (event("delete-pod"), vec![Test, Rollout, DeletePod]),
        Cordon => return (event(&cordon), vec![Test, Rollout, Cordon]),
        Drain => return (event(&drain), vec![Test, Rollout, Drain]),
    };
    (arguments.into_iter().map(str::to_owned).collect(), with.to_vec())
}

/// Grants exactly these rights, by the roles that exist.
fn grant(lab: &Lab, rights: &[Right]) {
    let all = manifests(rights, NAMESPACE, &Grantee::ServiceAccount(ACCOUNT.into()));
    for (path, kind) in ROLES.into_iter().zip(["Role", "ClusterRole"]) {
        let role = all.iter().find(|manifest| manifest["kind"] == kind);
        let rules = role.map_or_else(|| json!([]), |role| role["rules"].clone());
        lab.kube().patch(path, &json!({ "rules": rules }));
    }
}

/// Waits until the API server knows that only these of the rights are missing.
fn known(home: &Home, activities: &[Activity], missing: &[Right]) {
    let names = activities.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let mut wanted: Vec<String> = missing.iter().map(|right| right.describe(NAMESPACE)).collect();
    wanted.sort();
    eventually("the rights are known", || {
        let output = home.run("limited", &["--json", "doctor", "--rights", &names]);
        let found: Value = serde_json::from_slice(&output.stdout).ok()?;
        let words = |check: &Value, key: &str| -> Vec<String> { serde_json::from_value(check[key].clone()).unwrap() };
        let checks = found["rights"].as_array()?;
        let missing = checks.iter().flat_map(|check| words(check, "missing"));
        let reduced = checks.iter().flat_map(|check| words(check, "reduced"));
        let mut all: Vec<String> = missing.chain(reduced.map(|text| text.split(": ").next().unwrap().into())).collect();
        all.sort();
        all.dedup();
        (all == wanted).then_some(())
    });
}

#[test]
fn the_rights_that_are_printed_are_enough_and_each_that_is_taken_away_is_named() {
    let Some((lab, home, admin)) = deployed() else { return };
    // In the namespace of the server, as everything else here.
    lab.kubectl(&["delete", "poddisruptionbudget", "--all", "--namespace", NAMESPACE]);
    let printed = lab.ok(&["rbac", "--namespace", NAMESPACE, "--service-account", ACCOUNT]);
    fs::write(home.path("rbac.yaml"), printed).unwrap();
    lab.kubectl(&["apply", "-f", home.path("rbac.yaml").to_str().unwrap()]);
    home.kubeconfig("limited", &with_user(&admin, json!({"token": token(&lab, ACCOUNT)})));
    let (image, node) = (image(&lab), lab.json(&["status"])["nodes"][0]["name"].as_str().unwrap().to_owned());
    let mut all = Activity::ALL.to_vec();
    let unusual = [Activity::Undeploy, Activity::Soak];
    // What is removed cannot be used.
    all.sort_by_key(|activity| *activity == Activity::Undeploy);
    for activity in all {
        let (arguments, with) = command(activity, &image, &node);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let needed = rights_of(&with);
        let rights = least(&needed);
        for (at, taken) in rights.iter().enumerate() {
            // A right in the whole cluster contains the same one in the namespace.
            let goes = |right: &Right| Right { reach: taken.reach, without: taken.without, ..*right } == *taken;
            let is_left = |right: &&Right| *right != taken && !(taken.reach == Reach::Cluster && goes(right));
            grant(&lab, &needed.iter().filter(is_left).copied().collect::<Vec<_>>());
            let missing: Vec<Right> = needed.iter().filter(|right| !is_left(right)).copied().collect();
            known(&home, &with, &missing);
            let described = taken.describe(NAMESPACE);
            match taken.without {
                None => home.refused("limited", &arguments, 2, &[&described, "evenkeel rbac "]),
                // Nothing else is refused, so one example of each command is enough.
                Some(without) if !unusual.contains(&activity) && at + 8 > rights.len() => {
                    let (_, said) = home.ok("limited", &arguments);
                    assert!(said.contains(&format!("no right to {described}: {without}")), "{arguments:?}: {said}");
                }
                Some(_) => {}
            }
        }
        // A node that is the only one cannot be drained, and a soak takes minutes.
        if ![Activity::Drain, Activity::Soak].contains(&activity) {
            grant(&lab, &rights);
            known(&home, &with, &[]);
            home.ok("limited", &arguments);
        }
    }
    assert!(!lab.kube().exists(DEPLOYMENT));
    assert!(ROLES.iter().all(|role| lab.kube().exists(role)), "rights are no part of what is deployed");
    assert!(rights_of(&Activity::ALL).iter().any(|right| right.reach == Reach::Cluster));
}
