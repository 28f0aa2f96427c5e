//! Why an agent does not run, as its pod says it.

use k8s_openapi::api::core::v1::{ContainerState, Pod};

use super::stream::LOST;
use crate::workload::waiting_container::cannot_start;
use evenkeel_agent::session;

/// With this begins what is said about a pod that may still start.
pub(super) const STARTING: &str = "it did not start in time";

/// Why the only container of a pod does not run; `None` if it runs.
pub(super) fn of_starting(pod: &Pod) -> Option<String> {
    if let Some(ended) = of_ended(pod) {
        return Some(ended);
    }
    let Some(state) = container(pod) else { return Some(format!("{STARTING}{}", unscheduled(pod))) };
    if state.running.is_some() {
        return None;
    }
    let waiting = state.waiting.as_ref();
    let reason = waiting.and_then(|waiting| waiting.reason.clone()).unwrap_or_default();
    let message = waiting.and_then(|waiting| waiting.message.clone()).unwrap_or_default();
    if cannot_start(&reason, &message) {
        return Some(format!("it cannot start ({reason}): {message}"));
    }
    Some(if reason.is_empty() { STARTING.into() } else { format!("{STARTING} ({reason})") })
}

/// Why a pod ended; `None` if it has not.
pub(super) fn of_ended(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    if let Some(reason) = status.reason.as_ref().filter(|_| status.phase.as_deref() == Some("Failed")) {
        let message = status.message.as_ref().map(|message| format!(": {}", message.trim())).unwrap_or_default();
        return Some(format!("its pod failed ({reason}){message}"));
    }
    if let Some(ended) = container(pod).and_then(|state| state.terminated.as_ref()) {
        let reason = ended.reason.as_deref().unwrap_or("Error");
        return Some(match ended.exit_code {
            // What the kernel or the kubelet does to a process that does not end otherwise.
            137 => format!("it was killed ({reason})"),
            code if code == i32::from(session::ABANDONED) => LOST.to_owned(),
            code => format!("it exited with {code} ({reason})"),
        });
    }
    pod.metadata.deletion_timestamp.as_ref().map(|_| "its pod was deleted".to_owned())
}

fn container(pod: &Pod) -> Option<&ContainerState> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()?.state.as_ref()
}

/// What the scheduler says.
fn unscheduled(pod: &Pod) -> String {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let scheduled =
        conditions.and_then(|all| all.iter().find(|one| one.type_ == "PodScheduled" && one.status == "False"));
    scheduled.and_then(|one| one.message.as_ref()).map(|message| format!(": {message}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn pod(status: &Value) -> Pod {
        from_value(json!({"metadata": {}, "status": status})).unwrap()
    }

    #[test]
    fn a_pod_says_why_it_does_not_run() {
        let state = |state: Value| {
            pod(&json!({"containerStatuses": [
                {"name": "agent", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state},
            ]}))
        };
        let waiting = |reason: &str| state(json!({"waiting": {"reason": reason, "message": "not found"}}));
        assert_eq!(of_starting(&state(json!({"running": {}}))), None);
        assert_eq!(of_starting(&waiting("ContainerCreating")).unwrap(), "it did not start in time (ContainerCreating)");
        assert_eq!(of_starting(&waiting("ErrImagePull")).unwrap(), "it cannot start (ErrImagePull): not found");
        let killed = state(json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}));
        assert_eq!(of_ended(&killed).unwrap(), "it was killed (OOMKilled)");
        let evicted = pod(&json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory. "}));
        assert_eq!(of_ended(&evicted).unwrap(), "its pod failed (Evicted): The node was low on memory.");
        let unschedulable = pod(&json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"},
        ]}));
        assert_eq!(of_starting(&unschedulable).unwrap(), "it did not start in time: 0/1 nodes are available");
    }
}
