//! Messages of a verb that is interrupted: at the first signal, and at the second.

use std::sync::mpsc;
use std::time::Duration;

use super::Verb;
use super::context::program;
use super::terminal::Terminal;
use crate::cli::error::Error;
use crate::progress::Progress;
use crate::shutdown::{Interrupted, StopRequest};

/// The longest time to write the last message, so that a blocked terminal does not keep the program alive.
const LAST_MESSAGE: Duration = Duration::from_secs(1);

/// What a verb does after the first signal, and what may be left if a second signal ends it before that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Undo {
    /// What it does after the first signal.
    action: &'static str,
    /// What may be left.
    left: String,
    /// The command that removes it.
    remedy: String,
}

/// Handles signals for `verb`: the first prints what is being undone, the second ends the program.
pub(super) fn responder(
    verb: &Verb,
    name: &str,
    terminal: &Terminal,
    progress: &Progress,
) -> impl FnMut(StopRequest) + Send + 'static {
    let (undo, terminal, progress) = (undo_of(verb, name), terminal.clone(), progress.clone());
    move |request| match (request, undo.clone()) {
        (StopRequest::First, Some(Undo { action, .. })) => {
            progress.note(format!("interrupted: {action}; press Ctrl-C again to stop immediately"));
        }
        (StopRequest::First, None) => {}
        (StopRequest::Again, undo) => end_at_once(&terminal, undo),
    }
}

fn end_at_once(terminal: &Terminal, undo: Option<Undo>) {
    let (written, wait) = mpsc::channel::<()>();
    let terminal = terminal.clone();
    let error = undo.map_or(Interrupted.into(), |Undo { left, remedy, .. }| Error::EndedEarly { left, remedy });
    let code = error.exit_code();
    // The wait ends when the sender is dropped.
    std::thread::spawn(move || {
        terminal.error(&error);
        drop(written);
    });
    let _ = wait.recv_timeout(LAST_MESSAGE);
    std::process::exit(code.into());
}

/// `None` for a verb that has nothing to undo and therefore ends at the first signal.
fn undo_of(verb: &Verb, name: &str) -> Option<Undo> {
    let evenkeel = program(name);
    let undo = |action, left: &str, remedy| Some(Undo { action, left: left.to_owned(), remedy });
    if let Some(undo) = undo_elsewhere(verb) {
        return Some(undo);
    }
    match verb {
        Verb::Up(_) | Verb::Demo(_) => undo(
            "removing what was started",
            &format!("processes, cgroups, files and the link ek-{name} of the lab may be left"),
            format!("remove them: {evenkeel} down"),
        ),
        Verb::Down => undo(
            "still removing the lab",
            &format!("processes, cgroups, files and the link ek-{name} of the lab may be left"),
            format!("remove them: {evenkeel} down"),
        ),
        Verb::Deploy(_) | Verb::Scale(_) => undo(
            "stopping",
            "the workload may be left in the middle of its rollout",
            format!("deploy it again: {evenkeel} deploy; or remove the lab: {evenkeel} down"),
        ),
        Verb::Node(_) => undo(
            "undoing what was done to the node",
            "a node may be left cordoned or half removed",
            format!("uncordon it with kubectl, or remove it: {evenkeel} node remove NODE"),
        ),
        Verb::Undeploy(_) => {
            undo("stopping", "some of what was deployed may be left", format!("remove it: {evenkeel} undeploy"))
        }
        Verb::Test(_) => undo(
            "ending the run",
            "routes to pods or to a cluster IP may be left on this machine, the workload in the middle of a change, and \
             Services with the externalTrafficPolicy of a run",
            format!("deploy the workload again: {evenkeel} deploy; {evenkeel} down removes the lab and its routes"),
        ),
        Verb::Soak(_) => undo(
            "ending the round and restoring the workload",
            "the workload may be left with a setting or an image tag of the soak, and this machine with a route to a \
             cluster IP",
            format!("deploy it again: {evenkeel} deploy; {evenkeel} down removes the lab and its routes"),
        ),
        Verb::Build(_) | Verb::Doctor(_) => undo(
            "stopping what was started",
            "unfinished files may be left in the cache",
            "the next build removes them".to_owned(),
        ),
        Verb::Toolbox(_) => undo(
            "stopping",
            "unfinished files may be left in the cache, or beside the archive",
            "the next import or build removes those in the cache; beside the archive, remove .evenkeel-*".to_owned(),
        ),
        Verb::Report(_) | Verb::Rbac(_) | Verb::Logs(_) | Verb::Status(_) | Verb::Completions(_) | Verb::Sandbox(_) => {
            None
        }
    }
}

/// The same for a verb that works on a cluster that is no lab.
fn undo_elsewhere(verb: &Verb) -> Option<Undo> {
    let changed = |action: &'static str, left: &str, verb: &str| Undo {
        action,
        left: left.to_owned(),
        remedy: format!("{verb} again on the same cluster, or look at it with kubectl"),
    };
    match verb {
        Verb::Deploy(args) if args.cluster.are_given() => {
            Some(changed("stopping", "the workload may be left in the middle of its rollout", "deploy it"))
        }
        Verb::Scale(args) if args.is_elsewhere() => {
            Some(changed("stopping", "the workload may be left in the middle of a change", "scale it"))
        }
        Verb::Undeploy(args) if args.is_elsewhere() => {
            Some(changed("stopping", "some of what was deployed may be left", "undeploy it"))
        }
        Verb::Test(args) if args.is_elsewhere() => Some(changed(
            "ending the run",
            "the workload may be left in the middle of a change, a node cordoned, and Services with the \
             externalTrafficPolicy of a run",
            "deploy the workload",
        )),
        Verb::Soak(args) if args.is_elsewhere() => Some(changed(
            "ending the round and restoring the workload",
            "the workload may be left in the middle of a change",
            "deploy it",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;
    use clap::Parser;

    #[test]
    fn a_lab_of_another_name_is_named_in_the_command() {
        let verb = |verb: &str| Cli::try_parse_from(["evenkeel", verb]).unwrap().verb;
        let undo = undo_of(&verb("up"), "lab2").unwrap();
        assert!(undo.left.contains("ek-lab2"), "{undo:?}");
        assert_eq!(undo.remedy, "remove them: evenkeel --name lab2 down");
        assert_eq!(undo_of(&verb("down"), "lab").unwrap().remedy, "remove them: evenkeel down");
        assert_eq!(undo_of(&verb("status"), "lab"), None);
    }

    #[test]
    fn on_another_cluster_no_lab_is_removed() {
        for arguments in [&["deploy"][..], &["scale", "1"], &["undeploy"], &["test"], &["soak"]] {
            let all = [&["evenkeel"], arguments, &["--context", "prod"]].concat();
            let undo = undo_of(&Cli::try_parse_from(all).unwrap().verb, "lab").unwrap();
            let said = format!("{} {}", undo.left, undo.remedy);
            assert!(!said.contains("evenkeel down") && !said.contains("route"), "{arguments:?}: {said}");
        }
    }
}
