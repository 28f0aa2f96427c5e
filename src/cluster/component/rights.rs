//! The rights of a component in the API server.

use serde_json::{Value, json};

const API_GROUP: &str = "rbac.authorization.k8s.io";

/// A cluster role with these rules and its binding to the user, both with the name of the user.
pub(super) fn grant(user: &str, rules: &Value) -> [Value; 2] {
    [
        json!({
            "apiVersion": format!("{API_GROUP}/v1"),
            "kind": "ClusterRole",
            "metadata": { "name": user },
            "rules": rules,
        }),
        json!({
            "apiVersion": format!("{API_GROUP}/v1"),
            "kind": "ClusterRoleBinding",
            "metadata": { "name": user },
            "roleRef": { "apiGroup": API_GROUP, "kind": "ClusterRole", "name": user },
            "subjects": [{ "apiGroup": API_GROUP, "kind": "User", "name": user }],
        }),
    ]
}
