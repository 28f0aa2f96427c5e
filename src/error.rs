//! The one error type: what happened and why in one sentence, what to do next in another, and an exit code.

mod hint;
mod load;
mod measure;

use std::path::PathBuf;

use thiserror::Error as ThisError;

use crate::config::StateIsFile;
use crate::io_error::IoError;
use crate::kubernetes_error::KubernetesError;
use crate::process::{ProgramError, indented};
use crate::shutdown::Interrupted;

/// Everything that can go wrong. `Display` is one sentence (what happened, why); [`Error::hint`] is what to do next.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    // --- asked for something impossible: exit 2, nothing was changed ---
    /// A value that cannot be used.
    #[error("{given:?} cannot be used for {what}: {why}")]
    BadValue {
        /// The option or argument.
        what: &'static str,
        /// What was given.
        given: String,
        /// What it takes.
        why: String,
    },
    /// A file that should hold an image and does not.
    #[error("{} is no image that can be deployed: {why}", path.display())]
    BadImage {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file that should hold a report and does not.
    #[error("{name} is no report that can be read: {why}")]
    BadReport {
        /// The file, or "stdin".
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file stands where the state directory must be.
    #[error(transparent)]
    StateIsFile(#[from] StateIsFile),
    /// A load test's target is neither the lab, nor loopback, nor named by the explicit flag.
    #[error("{target} is not the lab's: traffic to it would leave through {via}, so no load was sent")]
    ForeignTarget {
        /// The address that was asked for.
        target: String,
        /// Where its route leads.
        via: String,
    },

    /// A lab of that name runs, but its state is not in the state directory that was asked for.
    #[error("the lab {name:?} runs with its state in {}, not in {}", running.display(), asked.display())]
    StateElsewhere {
        /// The lab.
        name: String,
        /// The state directory of the lab that runs.
        running: PathBuf,
        /// The state directory that was asked for.
        asked: PathBuf,
    },
    /// A lab of that name runs, but its processes belong to another PID namespace.
    #[error("the lab {name:?} runs, but its processes cannot be seen from this PID namespace")]
    HiddenLab {
        /// The lab.
        name: String,
    },

    // --- it failed: exit 1 ---
    /// No cluster of that name runs.
    #[error("no lab is up")]
    NoLab,
    /// A lab of that name runs, and what was asked for would make and remove one.
    #[error("the lab {name:?} is up, and a demo makes and removes one of its own")]
    LabIsUp {
        /// The lab.
        name: String,
    },
    /// A lab runs, but nothing is deployed in it.
    #[error("nothing is deployed in the lab")]
    NoWorkload,
    /// Something that only the nodes themselves can tell or do, in a cluster of which only the API server can be reached.
    #[error("{what} needs access to the cluster's nodes, but only its API server can be reached")]
    NoDataPlane {
        /// What was to be done: "kill etcd".
        what: String,
    },
    /// Only Linux has them.
    #[error("{verb} needs Linux, because a lab is made of its namespaces, links and cgroups")]
    NeedsLinux {
        /// The verb.
        verb: &'static str,
    },
    /// Only root may make namespaces, links, routes and cgroups.
    #[error("{verb} needs root, because it makes or enters namespaces, links, routes and cgroups")]
    NeedsRoot {
        /// The verb.
        verb: &'static str,
    },
    /// Programs the cluster needs are neither on PATH nor in the cache.
    #[error("the cluster needs programs that are not here: {}", missing.join(", "))]
    MissingPrograms {
        /// Their names.
        missing: Vec<String>,
        /// The exact command that brings them.
        remedy: String,
    },
    /// The kernel cannot do something the cluster needs.
    #[error("this kernel cannot do what a cluster needs: {}", missing.join("; "))]
    MissingKernel {
        /// What was tried, and what the kernel said.
        missing: Vec<String>,
    },
    /// Programs could not be brought.
    #[error("{what} could not be installed: {why}")]
    InstallFailed {
        /// The module or package.
        what: String,
        /// Why.
        why: String,
        /// What to do.
        hint: String,
    },
    /// An image could not be made.
    #[error("{what} could not be built: {why}")]
    BuildFailed {
        /// The image.
        what: String,
        /// Why.
        why: String,
        /// What to do.
        hint: String,
    },
    /// A program failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A component of the cluster died or never became ready.
    #[error("{component} {what}{}", indented(tail))]
    Component {
        /// The component.
        component: String,
        /// "exited with code 1 while starting", "was not ready after 30 s (connection refused)".
        what: String,
        /// The last lines of its log.
        tail: String,
        /// The whole log.
        log: PathBuf,
    },
    /// Components that died so often, one death after the other, that they are not started again.
    #[error("{} died too often to be started again", components.join(" and "))]
    GivenUp {
        /// Their names, each with how it last ended: "kubelet (exit 1)".
        components: Vec<String>,
        /// The first one's name: its log is looked at first.
        first: String,
    },
    /// Something did not happen before its deadline.
    #[error("{what} did not happen within {seconds} s: {why}")]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
        /// How far it got.
        why: String,
    },
    /// A lab is there whose `up` is still at work, or was broken off.
    #[error("the lab's boot has not come to its end")]
    NotBooted,
    /// The machine has too little memory free for a cluster.
    #[error("a lab needs {needed} MB of memory, and this machine has {free} MB free")]
    LittleMemory {
        /// In megabytes, swap included.
        free: u64,
        /// In megabytes.
        needed: u64,
    },
    /// An image is larger than what a node has room for.
    #[error("the image {image} does not fit into the node's memory, which holds its images: {why}")]
    ImageTooLarge {
        /// Its reference.
        image: String,
        /// Both sizes, or when it was noticed.
        why: String,
    },
    /// The components of a node could not watch their files.
    #[error("a node needs {needed} inotify instances, and only {free} more can be made: {setting} is {limit}")]
    FewInotifyInstances {
        /// As many as a node needs.
        needed: usize,
        /// As many as could be made.
        free: usize,
        /// The kernel setting that limits them: "fs.inotify.max_user_instances".
        setting: &'static str,
        /// Its value.
        limit: String,
    },
    /// The node that was booted answers inside, but not to this machine.
    #[error("this machine does not reach the lab's node at {address}, though its API server is ready: {why}")]
    Unreachable {
        /// Address and port.
        address: String,
        /// What became of the attempt, and what may be in the way.
        why: String,
        /// The lab's link on this machine.
        link: String,
    },
    /// A rollout cannot succeed.
    #[error("the pods cannot start: {reason}")]
    RolloutStuck {
        /// The reason as Kubernetes tells it, with the pod's name.
        reason: String,
    },
    /// The host already uses an address, link or name of the lab's.
    #[error("the lab's {what} is taken on this machine: {by}")]
    Taken {
        /// The address range, link or name.
        what: String,
        /// What holds it.
        by: String,
    },
    /// A manifest of the workload is not what the lab can deploy.
    #[error("the manifest {} cannot be used: {why}", file.display())]
    Manifest {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Kubernetes refused something, or did not respond.
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
    /// The kubeconfig cannot be used.
    #[error("the lab's kubeconfig {} cannot be used: {why}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The load test could not begin.
    #[error("no load could be sent to {target}: {why}")]
    Load {
        /// The address.
        target: String,
        /// Why.
        why: String,
    },
    /// A whole run, and no request was answered.
    #[error("{target} answered no request: {why}")]
    NoAnswer {
        /// The URL.
        target: String,
        /// What happened instead.
        why: String,
    },
    /// Something that should happen during a run did not come to its end.
    #[error("{what} did not come to its end: {why}")]
    Event {
        /// The event: "rolling restart".
        what: String,
        /// Why.
        why: String,
    },
    /// What was asserted of a test did not hold.
    #[error("{} asserted and did not hold: {}", were(missed.len(), "figure"), missed.join("; "))]
    AssertionsMissed {
        /// Each with what was measured: "p99 was 7.2 ms, expected < 5 ms (10 pods)".
        missed: Vec<String>,
    },
    /// What is promised of an event did not hold.
    #[error("{} broken: {}", were(broken.len(), "promise"), broken.join("; "))]
    PromisesBroken {
        /// Each with what was seen: "pod delete (keepalive): 3 requests failed".
        broken: Vec<String>,
    },
    /// The operating system refused something.
    #[error(transparent)]
    Io(#[from] IoError),
    /// Parts of the lab are still there after `down`.
    #[error("parts of the lab could not be removed: {}", left.join("; "))]
    Residue {
        /// Each with the reason.
        left: Vec<String>,
    },

    // --- interrupted: exit 130 ---
    /// Ctrl-C; what `up` and `demo` began has been undone.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// A second Ctrl-C: the undo was not waited for.
    #[error("ended before the undo was complete: {left}")]
    EndedEarly {
        /// What may be left: "routes to the pods may be left on this machine".
        left: String,
        /// What removes that.
        remedy: String,
    },
}

/// "1 figure was", "2 figures were".
fn were(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what} was") } else { format!("{count} {what}s were") }
}

#[cfg(test)]
mod tests;
