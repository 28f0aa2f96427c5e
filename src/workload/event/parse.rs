//! Parses events: `scale:2..10..2@5s`.

use std::time::Duration;

use super::{Action, ComponentRef, Planned, Slowdown, parse_node};
use crate::config::{InvalidValue, parse_duration, parse_duration_or_zero};

/// The kinds of events.
const KINDS: &str = "scale:N..M, rollout, rollout:IMAGE, kill-pod, delete-pod, throttle-pod:PERCENT=TIME, pause-pod=TIME, \
                     delay-pod:DELAY=TIME, kill:COMPONENT, pause:COMPONENT=TIME, drain:NODE, drain:NODE=TIME, cordon:NODE, \
                     cordon:NODE=TIME, uncordon:NODE, add-node, remove-node:NODE, kill-node:NODE, kill-node:NODE=TIME, restart-node:NODE, \
                     pause-node:NODE=TIME, partition:NODE=TIME, lose:NODE:PERCENT=TIME, delay:NODE:DELAY=TIME, \
                     kill-control-plane or pause-control-plane=TIME, each optionally followed by @TIME";
/// The shortest and the longest delay of a pod's packets. TCP gives up new connections after a longer one.
const SHORTEST_DELAY: Duration = Duration::from_millis(1);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

impl Planned {
    /// Parses one event: its kind, optionally followed by `@` and the time when it begins. An event that scales to several
    /// numbers in turn becomes several planned actions.
    ///
    /// # Errors
    /// [`InvalidValue`].
    pub fn parse(given: &str) -> Result<Vec<Self>, InvalidValue> {
        // An image reference may contain an @ as well, followed by a digest.
        let timed =
            given.rsplit_once('@').and_then(|(kind, time)| Some((kind, parse_duration_or_zero(time.trim()).ok()?)));
        let (kind, at) = timed.map_or((given, None), |(kind, at)| (kind, Some(at)));
        let actions = actions(kind.trim())?;
        let first = actions.into_iter().enumerate();
        Ok(first.map(|(step, action)| Self { at: at.filter(|_| step == 0), action }).collect())
    }
}

fn actions(kind: &str) -> Result<Vec<Action>, InvalidValue> {
    if let Some(time) = kind.strip_prefix("pause-pod=") {
        return pause_pod(time).map(|action| vec![action]);
    }
    if let Some(time) = kind.strip_prefix("pause-control-plane=") {
        let expected = |_| InvalidValue::expected("a time, such as pause-control-plane=30s");
        return parse_duration(time).map(|time| vec![Action::PauseControlPlane(time)]).map_err(expected);
    }
    let (name, rest) = kind.split_once(':').map_or((kind, None), |(name, rest)| (name, Some(rest)));
    let one = |action| Ok(vec![action]);
    if let Some(action) = parse_node::parse(name, rest) {
        return action.map(|action| vec![action]);
    }
    match (name, rest) {
        ("scale", Some(counts)) => scale(counts),
        ("rollout" | "restart", None) => one(Action::Restart),
        ("rollout", Some(image)) if !image.is_empty() => one(Action::NewImage(image.to_owned())),
        ("kill-pod", None) => one(Action::KillPod),
        ("delete-pod", None) => one(Action::DeletePod),
        ("add-node", None) => one(Action::AddNode),
        ("kill-control-plane", None) => one(Action::KillControlPlane),
        ("kill", Some(component)) => kill(component).map(|action| vec![action]),
        ("pause", Some(rest)) => pause(rest).map(|action| vec![action]),
        ("throttle-pod", Some(rest)) => throttle_pod(rest).map(|action| vec![action]),
        ("delay-pod", Some(rest)) => delay_pod(rest).map(|action| vec![action]),
        _ => Err(InvalidValue::expected(KINDS)),
    }
}

fn scale(counts: &str) -> Result<Vec<Action>, InvalidValue> {
    let count = |text: &str| text.trim().parse().map(Action::Scale);
    let steps = counts.split("..").map(count).collect::<Result<Vec<Action>, _>>()?;
    // Without a pod no request could be answered.
    let none = |step: &Action| matches!(step, Action::Scale(replicas) if replicas.get() == 0);
    if steps.iter().any(none) {
        return Err(InvalidValue::expected("at least 1 pod, because without one every request would fail"));
    }
    Ok(steps)
}

fn kill(component: &str) -> Result<Action, InvalidValue> {
    let wanted =
        || InvalidValue::expected("a component, such as kill:kubelet, kill:kubelet@lab-1 or kill:kubelet@1@5s");
    ComponentRef::parse(component).map(Action::Kill).ok_or_else(wanted)
}

fn pause(rest: &str) -> Result<Action, InvalidValue> {
    let wanted =
        || InvalidValue::expected("a component and a time, such as pause:kube-apiserver=5s or pause:kubelet@lab-1=5s");
    let (component, time) = rest.split_once('=').ok_or_else(wanted)?;
    let time = parse_duration(time).map_err(|_| wanted())?;
    Ok(Action::Pause(ComponentRef::parse(component).ok_or_else(wanted)?, time))
}

fn throttle_pod(rest: &str) -> Result<Action, InvalidValue> {
    let wanted = || {
        InvalidValue::expected(
            "a whole percentage of one CPU from 1% to 100%, and a time, such as throttle-pod:10%=10s",
        )
    };
    let (percent, time) = rest.split_once('=').ok_or_else(wanted)?;
    let percent = percent.trim().strip_suffix('%').and_then(|number| number.trim().parse().ok());
    let percent = percent.filter(|percent| (1..=100).contains(percent)).ok_or_else(wanted)?;
    let time = parse_duration(time).map_err(|_| wanted())?;
    Ok(Action::SlowPod(Slowdown::Throttle(percent), time))
}

fn delay_pod(rest: &str) -> Result<Action, InvalidValue> {
    let wanted = || InvalidValue::expected("a delay from 1ms to 10s, and a time, such as delay-pod:50ms=10s");
    let (delay, time) = rest.split_once('=').ok_or_else(wanted)?;
    let delay = self::delay(delay);
    let time = parse_duration(time).map_err(|_| wanted())?;
    Ok(Action::SlowPod(Slowdown::Delay(delay.ok_or_else(wanted)?), time))
}

/// A delay of packets.
pub(super) fn delay(text: &str) -> Option<Duration> {
    parse_duration(text).ok().filter(|delay| (SHORTEST_DELAY..=LONGEST_DELAY).contains(delay))
}

fn pause_pod(time: &str) -> Result<Action, InvalidValue> {
    let time = parse_duration(time).map_err(|_| InvalidValue::expected("a time, such as pause-pod=3s"))?;
    Ok(Action::SlowPod(Slowdown::Pause, time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let at = |event: &Planned| event.at.map_or(String::new(), |at| format!(" at {} s", at.as_secs_f64()));
        Planned::parse(text).unwrap().iter().map(|event| format!("{}{}", event.action, at(event))).collect()
    }

    #[test]
    fn every_kind_with_and_without_a_time() {
        assert_eq!(read("scale:2..10..2@5s"), ["scale to 2 pods at 5 s", "scale to 10 pods", "scale to 2 pods"]);
        assert_eq!(read("scale:1"), ["scale to 1 pod"]);
        assert_eq!(read("rollout"), ["rolling restart"]);
        assert_eq!(read("kill-pod@0"), ["kill a pod's server at 0 s"]);
        assert_eq!(read("delete-pod@1500ms"), ["delete a pod at 1.5 s"]);
        assert_eq!(read("kill:etcd@2s"), ["kill etcd at 2 s"]);
        assert_eq!(read("pause:kube-apiserver=500ms@2s"), ["pause kube-apiserver for 0.5 s at 2 s"]);
        assert_eq!(read("kill:kubelet@lab-1"), ["kill kubelet on lab-1"]);
        assert_eq!(read("kill:kubelet@1@5s"), ["kill kubelet on 1 at 5 s"]);
        assert_eq!(read("pause:kubelet@1=5s"), ["pause kubelet on 1 for 5 s"]);
        assert_eq!(read("pause:kubelet@lab-1=5s@0"), ["pause kubelet on lab-1 for 5 s at 0 s"]);
        assert_eq!(read("drain:1"), ["drain 1"]);
        assert_eq!(read("drain:lab-1=10s@2s"), ["drain lab-1, and uncordon it after 10 s at 2 s"]);
        assert_eq!(read("cordon:lab-1@2s"), ["cordon lab-1 at 2 s"]);
        assert_eq!(read("cordon:1=500ms"), ["cordon 1, and uncordon it after 0.5 s"]);
        assert_eq!(read("uncordon:1@9s"), ["uncordon 1 at 9 s"]);
        assert_eq!(read("kill-node:1@2s"), ["kill node 1 at 2 s"]);
        assert_eq!(read("kill-node:lab-1=20s"), ["kill node lab-1, and start it after 20 s"]);
        assert_eq!(read("restart-node:lab-1"), ["restart node lab-1"]);
        assert_eq!(read("pause-node:1=5s@1s"), ["pause node 1 for 5 s at 1 s"]);
        assert_eq!(read("partition:lab-2=10s"), ["partition lab-2 for 10 s"]);
        assert_eq!(read("lose:1:5%=10s@1s"), ["lose 5% of the packets of 1 for 10 s at 1 s"]);
        assert_eq!(read("lose:lab-1:0.5%=1s"), ["lose 0.5% of the packets of lab-1 for 1 s"]);
        assert_eq!(read("delay:1:20ms=10s"), ["delay 1 by 20 ms for 10 s"]);
        assert_eq!(read("pause-control-plane=30s@1s"), ["pause the control plane for 30 s at 1 s"]);
        assert_eq!(read("kill-control-plane"), ["kill the control plane"]);
        assert_eq!(read("add-node@2s"), ["add a node at 2 s"]);
        assert_eq!(read("remove-node:lab-3"), ["remove lab-3"]);
        assert_eq!(read("throttle-pod:10%=10s"), ["throttle a pod to 10% of a CPU for 10 s"]);
        assert_eq!(read("throttle-pod:1%=1m@3s"), ["throttle a pod to 1% of a CPU for 60 s at 3 s"]);
        assert_eq!(read("delay-pod:50ms=10s@1s"), ["delay a pod by 50 ms for 10 s at 1 s"]);
        assert_eq!(read("pause-pod=1500ms@2s"), ["pause a pod for 1.5 s at 2 s"]);
    }

    /// It was a time before components could be chosen by their node.
    #[test]
    fn a_number_at_the_end_is_a_time_and_not_a_node() {
        assert_eq!(read("kill:kubelet@1"), ["kill kubelet at 1 s"]);
        assert_eq!(read("drain:1@1"), ["drain 1 at 1 s"]);
    }

    #[test]
    fn a_digest_is_not_a_time() {
        let image = |text: &str| match Planned::parse(text).unwrap().remove(0) {
            Planned { at, action: Action::NewImage(image) } => (image, at),
            other => panic!("{other:?}"),
        };
        assert_eq!(image("rollout:a.local/x@sha256:00"), ("a.local/x@sha256:00".into(), None));
        assert_eq!(image("rollout:a.local/x:1@3s"), ("a.local/x:1".into(), Some(Duration::from_secs(3))));
    }

    #[test]
    fn an_unknown_event_is_refused_with_the_kinds() {
        for bad in [
            "",
            "@5s",
            "scale",
            "scale:",
            "scale:2..",
            "scale:0",
            "scale:x",
            "rollout:",
            "kill:",
            "kill",
            "reboot",
            "pause:etcd",
            "pause:=5s",
            "pause:etcd=",
            "pause:etcd=0",
            "kill-pod:x",
            "kill-pod@x",
            "delete-pod@-1s",
            "pause-pod",
            "pause-pod=",
            "pause-pod=0",
            "pause-pod:3s",
            "delay-pod",
            "delay-pod=5s",
            "delay-pod:50ms",
            "delay-pod:0=5s",
            "delay-pod:11s=5s",
            "delay-pod:50ms=0",
            "throttle-pod",
            "throttle-pod=10s",
            "throttle-pod:10%",
            "throttle-pod:10=10s",
            "throttle-pod:0%=10s",
            "throttle-pod:101%=10s",
            "throttle-pod:1.5%=10s",
            "throttle-pod:-1%=10s",
            "throttle-pod:10%=0",
            "kill:@lab-1",
            "kill:kubelet@",
            "pause:@lab-1=5s",
            "pause:kubelet@=5s",
            "drain",
            "drain:",
            "drain:1=",
            "drain:1=0",
            "drain:=5s",
            "drain:lab 1",
            "cordon",
            "cordon:=5s",
            "uncordon:",
            "uncordon:1=5s",
            "kill-node",
            "kill-node:1=x",
            "restart-node:1=5s",
            "pause-node:1",
            "partition:1",
            "partition:1=0",
            "lose:1=5s",
            "lose:1:5=5s",
            "lose:1:0%=5s",
            "lose:1:0.05%=5s",
            "lose:1:101%=5s",
            "lose:1:5%",
            "delay:1:20ms",
            "delay:1:0=5s",
            "delay:1:11s=5s",
            "delay:20ms=5s",
            "pause-control-plane",
            "pause-control-plane=",
            "pause-control-plane=0",
            "kill-control-plane:0",
            "add-node:1",
            "remove-node",
            "remove-node:1=5s",
        ] {
            let error = Planned::parse(bad).unwrap_err().to_string();
            assert!(error.starts_with("expected "), "{bad:?}: {error}");
        }
        assert!(Planned::parse("reboot").unwrap_err().to_string().contains("kill:COMPONENT"));
    }
}
