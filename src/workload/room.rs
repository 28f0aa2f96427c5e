//! Whether as many pods fit into a lab, asked before anything is changed.

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};

use super::pod_template::ControllerSpec;
use super::pods::is_active;
use super::subject::Subject;
use crate::cluster::Cluster;
use crate::config::Replicas;
use crate::kubernetes_error::KubernetesError;
use crate::toolbox::kernel::PodRoom;
use crate::workload::WorkloadError;

/// Refuses more pods of the subject than the limits of this machine allow. Its controller need not exist yet.
///
/// # Errors
/// [`WorkloadError::LittleRoom`] with the number that fits.
pub async fn require_room_in_lab(
    cluster: &Cluster,
    client: &Client,
    subject: &Subject,
    replicas: Replicas,
) -> Result<(), WorkloadError> {
    let Some(controller) = &subject.controller else { return Ok(()) };
    let now = ControllerSpec::read(client, controller).await.map_or(0, |spec| spec.replicas);
    if replicas.get() <= now {
        return Ok(());
    }
    let pods = Api::<Pod>::all(client.clone()).list(&ListParams::default()).await;
    let pods = pods.map_err(|source| KubernetesError::new("list the pods", source))?;
    let all = pods.items.iter().filter(|pod| is_active(pod)).count() as u64;
    let nodes: Vec<i32> = cluster.nodes.iter().map(|running| running.pid).collect();
    match PodRoom::of_lab(all, &nodes) {
        Some(room) => refusal(replicas, all.saturating_sub(u64::from(now)), room),
        None => Ok(()),
    }
}

/// The refusal of so many replicas beside the `others`, if there is one.
fn refusal(replicas: Replicas, others: u64, room: PodRoom) -> Result<(), WorkloadError> {
    let fit = room.pods.saturating_sub(others);
    let more = u64::from(replicas.get()).saturating_sub(fit);
    if more == 0 {
        return Ok(());
    }
    let needed = room.limit.value.saturating_add(more.saturating_mul(room.each));
    Err(WorkloadError::LittleRoom { asked: replicas.get(), fit, limit: room.limit, needed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolbox::kernel::{LimitKind, PodLimit};

    #[test]
    fn other_pods_take_room() {
        let room = PodRoom {
            pods: 300,
            limit: PodLimit { kind: LimitKind::Setting("kernel.pid_max"), value: 4500 },
            each: 15,
        };
        assert!(refusal(Replicas::of::<290>(), 10, room).is_ok());
        let error = refusal(Replicas::of::<292>(), 10, room).unwrap_err();
        assert_eq!(error.to_string(), "292 pods do not fit, but 290 do: kernel.pid_max is 4500");
        assert!(matches!(error, WorkloadError::LittleRoom { needed: 4530, .. }));
    }
}
