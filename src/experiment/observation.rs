//! What is observed of a cluster during a run: its pods, its nodes and their connection tracking, before and after.

use super::place::Place;
use super::places::Places;
use super::proxied::{ServicePods, ServiceUse, is_proxied};
use super::run_data::node_readings;
use super::tracking::{Tracked, Tracking, Wanted};
use super::workplace::Workplace;
use crate::cluster::{Access, NodeCgroup};
use crate::workload::Subject;
use crate::workload::conntrack_table::Destination;
use crate::workload::event::EventRecord;
use evenkeel_load::RunResult;
use evenkeel_measure::{Agent, ComponentsReading, NodeReading, NodeUse, Topology};

/// The state of the cluster before a run.
pub(super) struct Observer<'a> {
    access: &'a Access,
    tracking: Option<Tracking<'a>>,
    places: Option<Places<'a>>,
    /// The pods of the Service that the load is sent to.
    own: ServicePods<'a>,
    /// Those of the Service under test, where it is another one.
    subject: Option<ServicePods<'a>>,
    nodes: Vec<NodeReading>,
}

/// The results of a run.
#[derive(Default)]
pub(super) struct Observed {
    /// What the pods of the Service that the load was sent to used.
    pub(super) own: ServiceUse,
    /// What those of the Service under test used, where it is another one.
    pub(super) subject: Option<ServiceUse>,
    /// Whether pods answered that are not those of the Service that the load was sent to.
    pub(super) proxied: bool,
    /// What the nodes' connection tracking tells.
    pub(super) tracked: Tracked,
    /// The nodes of the pods; without nodes if there is only one.
    pub(super) topology: Topology,
    /// What the nodes used.
    pub(super) node_use: Vec<NodeUse>,
    /// The processor time of the components during the run.
    pub(super) components: Vec<ComponentsReading>,
    /// The events during the run.
    pub(super) events: Vec<EventRecord>,
    /// The agents that sent the load.
    pub(super) agents: Vec<Agent>,
}

/// A run, and what was observed during it.
pub(super) struct RunObservations {
    /// The run.
    pub(super) run: RunResult,
    /// The rest; empty for a run against a target outside of a cluster.
    pub(super) observed: Observed,
}

impl<'a> Observer<'a> {
    /// Looks at the cluster before a run whose connections go to `destination`. `subject` is the Service under test.
    pub(super) async fn begin(
        place: &Place<'a>,
        workplace: Workplace<'a>,
        subject: &'a Subject,
        destination: Destination,
    ) -> Self {
        let access = workplace.access;
        let tracking = Tracking::begin(access, workplace.subject, destination).await;
        let own = ServicePods::find(access, workplace.subject).await;
        let other = (subject != workplace.subject).then_some(subject);
        let places = Places::find(place, other).await;
        let subject = match other {
            Some(other) => Some(ServicePods::find(access, other).await),
            None => None,
        };
        Self { access, tracking, places, own, subject, nodes: nodes_now(access) }
    }

    /// The same with the current counters of pods and nodes, which do not belong to the run up to now.
    pub(super) fn again(self) -> Self {
        let nodes = nodes_now(self.access);
        Self { own: self.own.again(), subject: self.subject.map(ServicePods::again), nodes, ..self }
    }

    /// What changed during the run. If `sees_client`, it is looked up which source address the pods saw.
    pub(super) async fn end(self, mut run: RunResult, events: Vec<EventRecord>, sees_client: bool) -> RunObservations {
        let node_use = NodeUse::between(&self.nodes, &nodes_now(self.access));
        let wanted = Wanted { entries: self.places.is_some(), client_address: sees_client };
        let mut tracked = match self.tracking {
            Some(tracking) => tracking.end(&mut run, wanted).await,
            None => Tracked::default(),
        };
        // What is not known by now is not known of any connection.
        run.name_connections(|_| None);
        let subject = match self.subject {
            Some(subject) => Some(subject.end().await),
            None => None,
        };
        let own = self.own.end().await;
        // The node sends connections to the Service's own pods only.
        let proxied = !tracked.by_connection && is_proxied(&run, &own);
        let topology = match self.places {
            Some(places) => places.end(proxied, tracked.entered.take()).await,
            None => Topology::default(),
        };
        let observed = Observed { own, subject, proxied, tracked, topology, node_use, events, ..Observed::default() };
        RunObservations { run, observed }
    }
}

/// The counters of the lab's nodes; none if they cannot be read.
fn nodes_now(access: &Access) -> Vec<NodeReading> {
    access.lab().map(|cluster| node_readings(&NodeCgroup::all(&cluster.name))).unwrap_or_default()
}
