//! `evenkeel down`.

use serde::Serialize;

use super::context::CommandContext;
use super::output;
use crate::cli::error::Error;
use crate::cluster::{self, LabLock, Removed};
use crate::toolbox::{self, Program, ToolboxError};

#[derive(Serialize)]
struct DownOutput<'a> {
    schema_version: u32,
    lab: &'a str,
    #[serde(flatten)]
    removed: &'a Removed,
}

/// Removes the lab, or what is left of one after a crash. A verb that is changing the lab is asked to stop first.
///
/// # Errors
/// [`cluster::ClusterError::Residue`] with the parts that could not be removed.
pub async fn run(context: &CommandContext) -> Result<(), Error> {
    context.require_root("down")?;
    let lock = LabLock::take_over(&context.name, &context.progress, &context.shutdown).await?;
    let removed = remove(context).await?;
    drop(lock);
    if context.json {
        return Ok(output::json(&DownOutput { schema_version: 1, lab: context.name.as_str(), removed: &removed })?);
    }
    Ok(output::text(&sentence(&removed))?)
}

/// Removes the lab, and returns what was removed.
async fn remove(context: &CommandContext) -> Result<Removed, Error> {
    // The lab must be removed even if the rest of the toolbox is missing.
    let found = toolbox::find_one(Program::Ip, &context.paths.cache).await;
    let ip = found.path.ok_or_else(|| ToolboxError::MissingPrograms {
        missing: vec![Program::Ip.to_string()],
        installation: toolbox::installation(Program::Ip),
    })?;
    Ok(cluster::down(&context.name, &context.paths, &ip, &context.progress)?)
}

fn sentence(removed: &Removed) -> String {
    if removed.is_nothing() {
        return "There was nothing to remove.\n".into();
    }
    let count = |number: usize, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
    let mut parts = vec![count(removed.processes, "process", "processes")];
    parts.extend(removed.link.as_ref().map(|link| format!("the link {link}")));
    parts.push(count(removed.cgroups.len(), "cgroup", "cgroups"));
    parts.extend(
        removed
            .state
            .iter()
            .chain(&removed.other_states)
            .chain(&removed.gc_roots)
            .map(|state| state.display().to_string()),
    );
    format!("Removed the lab: {}.\n", parts.join(", "))
}
