//! The sandbox's first process: starts the components phase by phase, reaps every orphan, and restarts components that end.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use crate::clock::now;
use crate::cluster::ClusterError;
use crate::io_error::IoError;
use crate::platform::MachineNamespaces;
use crate::progress::{Progress, Step};
use crate::toolbox::Program;
use crate::write_file::WriteFile;

use super::component::{API_SERVER, BootPhase, ComponentSpec, Ready};
use super::object;
use super::plan::{BootPlan, ComponentState, ComponentStatus, Message};
use super::readiness::{self, Poller};
use super::sandbox::say;
use super::supervision::{History, RestartDecision, fails_boot, waits_for_controllers};

/// Boots the node and supervises it until the process is killed; returns only when the boot fails.
///
/// # Errors
/// [`ClusterError::Component`] for a component that died or was not ready in time, [`ClusterError::Io`] or [`ClusterError::Program`] for one
/// that could not be started.
pub async fn run(plan: &BootPlan, machine: MachineNamespaces) -> Result<(), ClusterError> {
    let mut supervisor = Supervisor::new(plan, machine)?;
    for phase in [BootPhase::Base, BootPhase::Cluster, BootPhase::Network] {
        if let Err(error) = supervisor.boot(phase).await {
            supervisor.record();
            return Err(error);
        }
    }
    say(&Message::Booted);
    supervisor.supervise().await
}

/// One component and its status.
struct Supervised<'a> {
    spec: &'a ComponentSpec,
    status: ComponentStatus,
    history: History,
    started: Instant,
    restart_at: Option<Instant>,
    /// Why the last readiness check failed.
    not_ready: String,
    /// Asks the running process whether it is ready.
    poller: Option<Poller>,
}

struct Supervisor<'a> {
    plan: &'a BootPlan,
    began: Instant,
    machine: MachineNamespaces,
    components: Vec<Supervised<'a>>,
    child_ended: Signal,
    checks: mpsc::UnboundedReceiver<ReadinessCheck>,
    /// For the pollers of the components.
    check_sender: mpsc::UnboundedSender<ReadinessCheck>,
}

/// The result of one check of a component's readiness.
struct ReadinessCheck {
    index: usize,
    /// The number of restarts of the process that was checked.
    restarts: u32,
    /// Why it is not ready. `None` if it is ready.
    not_ready: Option<String>,
}

/// A change in the life cycle of a component.
enum ComponentEvent {
    Ready(usize),
    Died(usize, String),
    Due(usize),
}

impl<'a> Supervisor<'a> {
    fn new(plan: &'a BootPlan, machine: MachineNamespaces) -> Result<Self, ClusterError> {
        let child_ended = signal(SignalKind::child()).map_err(|source| IoError::new("listen for signals", source))?;
        let (check_sender, checks) = mpsc::unbounded_channel();
        let components = plan.components.iter().map(Supervised::new).collect();
        Ok(Self { plan, began: Instant::now(), machine, components, child_ended, checks, check_sender })
    }

    /// Starts all components of a phase, and waits until all of them are ready.
    async fn boot(&mut self, phase: BootPhase) -> Result<(), ClusterError> {
        let progress = Progress::new(|event| say(&Message::Progress(event)));
        let mut waiting: BTreeMap<usize, Step> = BTreeMap::new();
        if phase == BootPhase::Cluster {
            self.control_plane_of_another_sandbox().await?;
            self.images(self.deadline()).await?;
        }
        // The time in which others became ready is not taken from that of these components.
        let deadline = self.deadline();
        let mut phase: Vec<usize> =
            (0..self.components.len()).filter(|&index| self.components[index].spec.phase == phase).collect();
        // The others start while the objects of these are applied.
        phase.sort_by_key(|&index| !self.components[index].spec.objects.is_empty());
        for index in phase {
            let spec = self.components[index].spec;
            waiting.insert(index, progress.step(format!("start {}", spec.name)));
            object::apply_all(self.plan, spec, deadline).await?;
            self.start(index)?;
        }
        while !waiting.is_empty() {
            let event = tokio::select! {
                event = self.next() => event,
                () = sleep_until(deadline) => return Err(self.too_slow(waiting.keys().copied())),
            };
            match event {
                ComponentEvent::Ready(index) => {
                    self.set(index, ComponentState::Running);
                    if let Some(step) = waiting.remove(&index) {
                        step.done();
                    }
                }
                ComponentEvent::Died(index, how) if fails_boot(self.components[index].started.elapsed()) => {
                    return Err(self.died_in_boot(index, &how));
                }
                ComponentEvent::Died(index, how) => {
                    if let Some(step) = waiting.get(&index) {
                        step.detail(format!("it ended ({how}) and is started again"));
                    }
                    self.died(index, how);
                }
                ComponentEvent::Due(index) => self.start_again(index),
            }
        }
        Ok(())
    }

    /// When what starts now must be ready.
    fn deadline(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.plan.deadline
    }

    /// Waits until the API server is ready, if it is a component of another sandbox. A kubelet that finds none would try again
    /// only after seconds. On a very slow machine, it also waits until the controllers work, which end when the API server is not
    /// healthy for a minute: the components of several nodes that start at once would leave both too little processor time.
    async fn control_plane_of_another_sandbox(&self) -> Result<(), ClusterError> {
        if self.components.iter().any(|component| component.spec.name == API_SERVER) {
            return Ok(());
        }
        self.answers(API_SERVER, "readyz").await?;
        if waits_for_controllers(self.began.elapsed()) {
            // One of the controllers makes this object.
            self.answers(Program::KubeControllerManager.name(), "api/v1/namespaces/default/serviceaccounts/default")
                .await?;
        }
        Ok(())
    }

    /// Waits until the API server answers a request for `path`, which it does when `component` of another sandbox is ready.
    async fn answers(&self, component: &str, path: &str) -> Result<(), ClusterError> {
        let ready = Ready::Get(format!("{}/{path}", self.plan.api_server));
        let waited = readiness::wait(&ready, &self.plan.identity, self.deadline()).await;
        waited.map_err(|why| self.plan.failure(component, format!("was not ready for {} ({why})", self.plan.name)))
    }

    /// Waits until the images of other nodes were copied to this one, if they are.
    async fn images(&self, deadline: tokio::time::Instant) -> Result<(), ClusterError> {
        let Some(file) = &self.plan.images_copied else { return Ok(()) };
        let waited = readiness::wait(&Ready::File(file.clone()), &self.plan.identity, deadline).await;
        waited.map_err(|why| self.plan.failure("containerd", format!("did not get the images of another node ({why})")))
    }

    /// Restarts components that end. Never returns.
    async fn supervise(&mut self) -> Result<(), ClusterError> {
        loop {
            match self.next().await {
                ComponentEvent::Ready(index) => self.set(index, ComponentState::Running),
                ComponentEvent::Died(index, how) => self.died(index, how),
                ComponentEvent::Due(index) => self.start_again(index),
            }
        }
    }

    async fn next(&mut self) -> ComponentEvent {
        loop {
            if let Some(event) = self.reap() {
                return event;
            }
            let due = self.components.iter().enumerate().filter_map(|(i, c)| c.restart_at.map(|at| (at, i))).min();
            let alarm = async {
                match due {
                    Some((at, index)) => {
                        sleep_until(at.into()).await;
                        index
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.child_ended.recv() => {}
                Some(check) = self.checks.recv() => {
                    let component = &mut self.components[check.index];
                    if component.status.restarts == check.restarts && component.status.pid.is_some() {
                        match check.not_ready {
                            Some(why) => component.not_ready = why,
                            None => return ComponentEvent::Ready(check.index),
                        }
                    }
                }
                index = alarm => return ComponentEvent::Due(index),
            }
        }
    }

    /// Reaps ended processes, orphans too, until one of them is a component or none is left.
    fn reap(&mut self) -> Option<ComponentEvent> {
        loop {
            let (pid, how) = match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, format!("exit {code}")),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, format!("signal {}", signal as i32)),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return None,
                Ok(_) | Err(_) => continue,
            };
            let ended = self.components.iter().position(|c| c.status.pid == Some(pid.as_raw()));
            if let Some(index) = ended {
                return Some(ComponentEvent::Died(index, how));
            }
        }
    }

    fn start(&mut self, index: usize) -> Result<(), ClusterError> {
        let component = &mut self.components[index];
        let pid = spawn(self.plan, component.spec, &self.machine)?;
        component.started = Instant::now();
        component.status.pid = Some(pid);
        component.status.started = Some(now());
        let restarts = component.status.restarts;
        let (ready, identity, checks) =
            (component.spec.ready.clone(), self.plan.identity.clone(), self.check_sender.clone());
        let report = move |not_ready| drop(checks.send(ReadinessCheck { index, restarts, not_ready }));
        component.poller = Some(Poller::start(ready, identity, report));
        self.set(index, ComponentState::Starting);
        Ok(())
    }

    fn start_again(&mut self, index: usize) {
        self.components[index].restart_at = None;
        self.components[index].status.restarts += 1;
        if let Err(error) = self.start(index) {
            self.died(index, error.to_string());
        }
    }

    fn died(&mut self, index: usize, how: String) {
        let component = &mut self.components[index];
        let (history, decision) = component.history.died(component.started.elapsed());
        component.history = history;
        component.ended(self.plan, how);
        let state = match decision {
            RestartDecision::RestartAfter(delay) => {
                component.restart_at = Some(Instant::now() + delay);
                ComponentState::Waiting
            }
            RestartDecision::GiveUp => ComponentState::GivenUp,
        };
        self.set(index, state);
    }

    fn died_in_boot(&mut self, index: usize, how: &str) -> ClusterError {
        let component = &mut self.components[index];
        component.ended(self.plan, how.to_owned());
        component.status.state = ComponentState::GivenUp;
        self.plan.failure(&component.spec.name, format!("ended while starting ({how})"))
    }

    fn too_slow(&self, waiting: impl Iterator<Item = usize>) -> ClusterError {
        let mut slow = waiting.map(|index| &self.components[index]);
        let (name, why) = slow.next().map_or(("sandbox", ""), |c| (c.spec.name.as_str(), c.not_ready.as_str()));
        self.plan.failure(name, format!("was not ready after {} s ({why})", self.plan.deadline.as_secs()))
    }

    fn set(&mut self, index: usize, state: ComponentState) {
        let status = &mut self.components[index].status;
        status.state = state;
        status.since = now();
        self.record();
    }

    /// Writes the status of all components for the verb `status`. A full disk must not stop the supervision.
    fn record(&self) {
        let statuses: Vec<&ComponentStatus> = self.components.iter().map(|c| &c.status).collect();
        if let Ok(text) = serde_json::to_vec(&statuses) {
            let _ = WriteFile::internal().write(&self.plan.status, &text);
        }
    }
}

impl<'a> Supervised<'a> {
    fn new(spec: &'a ComponentSpec) -> Self {
        let status = ComponentStatus {
            name: spec.name.clone(),
            state: ComponentState::Waiting,
            pid: None,
            restarts: 0,
            since: now(),
            started: None,
            last_exit: None,
            last_exit_at: None,
            last_words: None,
        };
        Self {
            spec,
            status,
            history: History::default(),
            started: Instant::now(),
            restart_at: None,
            not_ready: String::new(),
            poller: None,
        }
    }

    /// Records how the process ended.
    fn ended(&mut self, plan: &BootPlan, how: String) {
        self.poller = None;
        self.status.pid = None;
        self.status.started = None;
        self.status.last_exit = Some(how);
        self.status.last_exit_at = Some(now());
        self.status.last_words = Some(plan.last_words(&self.spec.name));
    }
}

/// Starts a component, with its log and a file with its exact command.
fn spawn(plan: &BootPlan, spec: &ComponentSpec, machine: &MachineNamespaces) -> Result<i32, ClusterError> {
    let invocation = spec.invocation(&plan.path);
    let command_file = plan.command(&spec.name);
    std::fs::write(&command_file, format!("{invocation}\n"))
        .map_err(|source| IoError::file("write", &command_file, source))?;
    let log_file = plan.log(&spec.name);
    let (log, also) = open_log(&log_file).map_err(|source| IoError::file("open", &log_file, source))?;
    let mut command = invocation.command();
    if spec.with_machine {
        machine.give_to(&mut command);
    }
    let child = command.stdout(log).stderr(also).spawn();
    // The handle is not needed: this process reaps all of its children itself.
    Ok(child.map(|child| child.id().cast_signed()).map_err(|source| invocation.not_started(&source))?)
}

fn open_log(path: &Path) -> io::Result<(File, File)> {
    let log = OpenOptions::new().create(true).append(true).open(path)?;
    let also = log.try_clone()?;
    Ok((log, also))
}
