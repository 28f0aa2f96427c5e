//! Asks the programs whether they still know the flags that a lab passes to them. Kubernetes removes flags between releases,
//! and a component with a flag that is gone does not start.

use std::collections::BTreeMap;
use std::process::Output;

use futures::future::join_all;
use serde::Serialize;

use super::{ComponentContext, ComponentSpec, specs};
use crate::cluster::ClusterError;
use crate::cluster::layout::Layout;
use crate::cluster::node::Node;
use crate::config::{LabName, LabShape, Paths, ProxyMode};
use crate::process::{Invocation, last_lines, outcome};
use crate::toolbox::{self, Program, Toolbox};

/// How a program says that it does not know a flag, or not this value of it.
const REFUSALS: [&str; 4] = ["unknown flag", "flag provided but not defined", "invalid argument", "invalid value"];

/// A flag that a lab passes and that the program refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedFlag {
    /// The flag: `--profiling`. `None` if the program does not say which flag it refuses.
    pub flag: Option<String>,
    /// What the program says: "unknown flag: --profiling".
    pub why: String,
}

/// The flags that the programs of the toolbox refuse, by component. A component that accepts all of its flags has no entry.
pub async fn refused_flags(name: &LabName, paths: &Paths, toolbox: &Toolbox) -> BTreeMap<String, Vec<RefusedFlag>> {
    let shape = LabShape::default();
    let node = Node::new(name, shape.subnet, 0);
    let context = ComponentContext {
        lab: name,
        node: &node,
        control_plane: node.address,
        cgroup: name.cgroup(),
        toolbox,
        layout: &Layout::new(paths, &node),
        pause: "",
        proxy_mode: ProxyMode::default(),
        shape,
        mirror_token: "",
        cache: &paths.cache,
        environment: &[],
    };
    let own = |spec: &ComponentSpec| !Program::ALL.iter().any(|program| program.name() == spec.name);
    let specs: Vec<ComponentSpec> = specs(&context).into_iter().filter(|spec| !own(spec)).collect();
    let refused = join_all(specs.iter().map(refused_by)).await;
    let refused = specs.into_iter().map(|spec| spec.name).zip(refused);
    refused.filter(|(_, refused)| !refused.is_empty()).collect()
}

/// Checks that the programs of the toolbox accept all flags.
///
/// # Errors
/// [`ClusterError::RefusedFlags`].
pub(in crate::cluster) async fn check_flags(
    name: &LabName,
    paths: &Paths,
    toolbox: &Toolbox,
) -> Result<(), ClusterError> {
    accepted(&refused_flags(name, paths, toolbox).await)
}

/// An error if a flag was refused.
///
/// # Errors
/// [`ClusterError::RefusedFlags`].
pub fn accepted(refused: &BTreeMap<String, Vec<RefusedFlag>>) -> Result<(), ClusterError> {
    if refused.is_empty() {
        return Ok(());
    }
    let of = |(component, flags): (&String, &Vec<RefusedFlag>)| {
        let why: Vec<&str> = flags.iter().map(|flag| flag.why.as_str()).collect();
        format!("{component} ({})", why.join(", "))
    };
    Err(ClusterError::RefusedFlags {
        refused: refused.iter().map(of).collect(),
        kubernetes: toolbox::pinned_kubernetes(),
    })
}

/// The flags that one program refuses. It is asked for its version with all flags of the lab before that: it reads the flags
/// first, so it answers only if it knows them all. Hidden flags, which its help does not show, are known this way, too.
async fn refused_by(spec: &ComponentSpec) -> Vec<RefusedFlag> {
    let mut args = spec.args.clone();
    let mut refused = Vec::new();
    // A program names one flag at a time.
    while let Some(refusal) = ask(spec, &args).await {
        let before = args.len();
        if let Some(flag) = &refusal.flag {
            args.retain(|arg| flag_of(arg) != flag);
        }
        refused.push(refusal);
        if args.len() == before {
            break;
        }
    }
    refused
}

async fn ask(spec: &ComponentSpec, args: &[String]) -> Option<RefusedFlag> {
    let question = Invocation::new(&spec.program, args.iter().map(String::as_str).chain(["--version"]));
    match tokio::process::Command::from(question.command()).kill_on_drop(true).output().await {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(refusal(&output, args)),
        Err(source) => Some(RefusedFlag { flag: None, why: source.to_string() }),
    }
}

fn refusal(output: &Output, args: &[String]) -> RefusedFlag {
    let said = String::from_utf8_lossy(&output.stderr);
    let mut sentences =
        said.lines().filter_map(|line| REFUSALS.iter().find_map(|begin| Some(&line[line.find(begin)?..])));
    let named = sentences.find_map(|sentence| Some((named_flag(sentence, args)?, sentence)));
    match named {
        Some((flag, sentence)) => {
            RefusedFlag { flag: Some(flag.to_owned()), why: sentence.trim_end_matches(['"', ' ']).to_owned() }
        }
        None => RefusedFlag { flag: None, why: format!("{}: {}", outcome(output.status), last_lines(&said, 1)) },
    }
}

/// The first of the flags that a sentence names. Go's own parser writes `-name` for `--name`.
fn named_flag<'a>(sentence: &str, args: &'a [String]) -> Option<&'a str> {
    let bare = |word: &str| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned();
    let words: Vec<String> = sentence.split_whitespace().filter(|word| word.contains('-')).map(bare).collect();
    args.iter().map(|arg| flag_of(arg)).find(|flag| words.contains(&bare(flag)))
}

/// The flag of an argument, without its value.
fn flag_of(argument: &str) -> &str {
    argument.split_once('=').map_or(argument, |(flag, _)| flag)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::super::{BootPhase, Ready};
    use super::*;

    /// A component whose program knows only these flags, and refuses others in these words, followed by its usage.
    fn component(directory: &Path, knows: &str, words: &str) -> ComponentSpec {
        let program = directory.join("program");
        let script = format!(
            "#!/bin/sh\nfor arg; do case ${{arg%%=*}} in {knows}|--version) ;; \
             *) flag=${{arg%%=*}}; echo \"{words}\" >&2; echo '  --gone  help about it' >&2; exit 1 ;; esac; done\n"
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        ComponentSpec::new("program", program, BootPhase::Base, Ready::Started).args([
            "--old=1",
            "--kept=--gone",
            "--gone",
            "--older=a=b",
        ])
    }

    #[tokio::test]
    async fn every_flag_that_vanished_is_named_in_the_words_of_the_program() {
        let directory = tempfile::tempdir().unwrap();
        let flag = |flag: &str, why: &str| RefusedFlag { flag: Some(flag.to_owned()), why: why.to_owned() };
        let all = component(directory.path(), "--old|--kept|--gone|--older", "");
        assert_eq!(refused_by(&all).await, []);

        // kube-apiserver and the other components but kubelet; kubelet; etcd and containerd.
        for (words, why) in [
            ("Error: unknown flag: $flag", "unknown flag: $flag"),
            (
                r#"E1126 run.go:72] \"command failed\" err=\"failed to parse: unknown flag: $flag\""#,
                "unknown flag: $flag",
            ),
            ("flag provided but not defined: ${flag#-}", "flag provided but not defined: $short"),
        ] {
            let why = |name: &str| why.replace("$flag", name).replace("$short", &name[1..]);
            let spec = component(directory.path(), "--old|--kept", words);
            let expected = [flag("--gone", &why("--gone")), flag("--older", &why("--older"))];
            assert_eq!(refused_by(&spec).await, expected, "{words}");
        }
    }

    #[tokio::test]
    async fn a_program_that_does_not_start_is_not_asked_again_and_again() {
        let directory = tempfile::tempdir().unwrap();
        let spec = component(directory.path(), "--old", "the dog ate my lease");
        let refused = refused_by(&spec).await;
        assert_eq!(refused.len(), 1);
        assert!(refused[0].flag.is_none() && refused[0].why.starts_with("exit 1: "), "{refused:?}");
    }
}
