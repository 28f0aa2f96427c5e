//! Rights as manifests: a `Role`, a `ClusterRole` where one is needed, and their bindings.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Reach, Right, least};

/// The name of the objects.
const NAME: &str = "evenkeel";
/// The group of the API.
const GROUP: &str = "rbac.authorization.k8s.io";

/// Who gets the rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grantee {
    /// A user, as the API server knows it.
    User(String),
    /// A `ServiceAccount` of the namespace, which is among the manifests.
    ServiceAccount(String),
}

/// The manifests that grant `rights` in `namespace`. Objects of the whole cluster have the namespace in their names, so that
/// those for several namespaces do not replace each other.
#[must_use]
pub fn manifests(rights: &[Right], namespace: &str, grantee: &Grantee) -> Vec<Value> {
    let (mut all, rights) = (Vec::new(), least(rights));
    if let Grantee::ServiceAccount(name) = grantee {
        let metadata = json!({"name": name, "namespace": namespace});
        all.push(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}));
    }
    for (reach, kind) in [(Reach::Namespace, "Role"), (Reach::Cluster, "ClusterRole")] {
        let rules = rules(rights.iter().filter(|right| right.reach == reach));
        if rules.is_empty() {
            continue;
        }
        let metadata = match reach {
            Reach::Namespace => json!({"name": NAME, "namespace": namespace}),
            Reach::Cluster => json!({"name": format!("{NAME}-{namespace}")}),
        };
        let version = format!("{GROUP}/v1");
        let role = json!({"apiGroup": GROUP, "kind": kind, "name": metadata["name"]});
        all.push(json!({"apiVersion": version, "kind": kind, "metadata": metadata, "rules": rules}));
        all.push(json!({
            "apiVersion": version, "kind": format!("{kind}Binding"), "metadata": metadata,
            "roleRef": role, "subjects": [subject(grantee, namespace)],
        }));
    }
    all
}

fn subject(grantee: &Grantee, namespace: &str) -> Value {
    match grantee {
        Grantee::User(name) => json!({"apiGroup": GROUP, "kind": "User", "name": name}),
        Grantee::ServiceAccount(name) => json!({"kind": "ServiceAccount", "name": name, "namespace": namespace}),
    }
}

/// One rule for all resources of a group with the same verbs.
fn rules<'a>(rights: impl Iterator<Item = &'a Right>) -> Vec<Value> {
    let mut verbs: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for right in rights {
        verbs.entry((right.group, right.resource)).or_default().insert(right.verb);
    }
    let mut resources: BTreeMap<(&str, BTreeSet<&str>), Vec<&str>> = BTreeMap::new();
    for ((group, resource), verbs) in verbs {
        resources.entry((group, verbs)).or_default().push(resource);
    }
    let rule = |((group, verbs), resources)| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    resources.into_iter().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Activity, rights_of};
    use super::*;

    fn kinds(manifests: &[Value]) -> Vec<&str> {
        manifests.iter().filter_map(|manifest| manifest["kind"].as_str()).collect()
    }

    #[test]
    fn what_stays_in_the_namespace_needs_no_right_in_the_cluster() {
        let user = Grantee::User("ann".into());
        let scale = manifests(&rights_of(&[Activity::Scale]), "shop", &user);
        assert_eq!(kinds(&scale), ["Role", "RoleBinding"]);
        assert_eq!(scale[1]["subjects"][0]["name"], "ann");
        let drain = manifests(&rights_of(&[Activity::Drain]), "shop", &Grantee::ServiceAccount("bot".into()));
        assert_eq!(kinds(&drain), ["ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"]);
        assert_eq!(drain[3]["metadata"]["name"], "evenkeel-shop");
        assert_eq!(drain[4]["subjects"][0], json!({"kind": "ServiceAccount", "name": "bot", "namespace": "shop"}));
    }

    #[test]
    fn the_rules_grant_exactly_the_rights() {
        let rights = least(&rights_of(&Activity::ALL));
        let all = manifests(&rights, "shop", &Grantee::User("ann".into()));
        let mut granted = BTreeSet::new();
        let words = |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).unwrap() };
        for role in all.iter().filter(|manifest| manifest["rules"].is_array()) {
            for rule in role["rules"].as_array().unwrap() {
                for resource in words(&rule["resources"]) {
                    for verb in words(&rule["verbs"]) {
                        let kind = role["kind"].as_str().unwrap().to_owned();
                        granted.insert((kind, words(&rule["apiGroups"])[0].clone(), resource.clone(), verb));
                    }
                }
            }
        }
        let kind = |right: &Right| if right.reach == Reach::Cluster { "ClusterRole" } else { "Role" }.to_owned();
        let wanted = rights.iter().map(|r| (kind(r), r.group.to_owned(), r.resource.to_owned(), r.verb.to_owned()));
        assert_eq!(granted, wanted.collect());
        assert!(!format!("{all:?}").contains('*'));
    }
}
