//! A cluster that is reached only through the API server: what needs access to the nodes fails with an error that says so,
//! and everything else works.

use evenkeel::cluster::ClusterError;
use evenkeel::cluster::{self, Access};
use evenkeel::progress::Progress;
use evenkeel::shutdown::Shutdown;
use evenkeel::workload::conntrack_table::{ConntrackTable, Destination};
use evenkeel::workload::event::{EventContext, Planned, check, play};
use evenkeel::workload::{self, Subject, SubjectWish, WorkloadError, pod_counters};
use tokio::time::Instant;

use crate::lab::Lab;
use crate::supervision::cluster_of;

#[test]
fn without_the_nodes_scaling_works_and_other_actions_say_what_they_need() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let access = Access::to_api_server(cluster::client(&cluster_of(&lab)).await.unwrap());
        let subject = Subject::find(&access.client, &SubjectWish::default()).await.unwrap();
        let (progress, shutdown) = (Progress::silent(), Shutdown::new());
        let outcome = workload::scale(&access, &subject, "3".parse().unwrap(), &progress, &shutdown).await.unwrap();
        assert_eq!((outcome.from, outcome.to, outcome.programmed_seconds), (2, 3, None));
        workload::scale::settle(&access, &subject, &progress, &shutdown).await.unwrap();

        let counters = pod_counters(&access, &subject).await.unwrap();
        assert_eq!(counters.len(), 3);
        assert!(counters.iter().all(|pod| pod.cgroup == cluster::PodCgroup::default()), "{counters:?}");

        let service = workload::endpoint(&access.client, &subject).await.unwrap().target.address;
        let refused = ConntrackTable::now(&access, Destination::Service(service)).await.unwrap_err();
        assert!(matches!(refused, WorkloadError::Cluster(ClusterError::NoDataPlane { .. })), "{refused}");

        let context = EventContext {
            access: &access,
            subject: &subject,
            progress: &progress,
            shutdown: &shutdown,
            watches: None,
        };
        for (event, possible) in
            [("delete-pod@0", true), ("kill-pod@0", false), ("kill:etcd@0", false), ("pause-pod=1s@0", false)]
        {
            let planned = Planned::parse(event).unwrap();
            let records = play(&planned, Instant::now(), &context, &shutdown, true).await;
            assert_eq!(check(&access, &planned).await.is_ok(), possible, "{event}");
            let trouble = records[0].trouble.clone().unwrap_or_default();
            assert_eq!(trouble.is_empty(), possible, "{event}: {trouble}");
            assert_eq!(trouble.contains("needs access to the cluster's nodes"), !possible, "{event}: {trouble}");
        }
    });
}
