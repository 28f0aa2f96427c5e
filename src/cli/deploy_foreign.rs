//! `evenkeel deploy` in a cluster that is no lab. Its nodes pull the images themselves.

use super::context::CommandContext;
use super::deploy::{Args, ImageArg, ask_for_service, follow};
use super::foreign::require_rights;
use super::manifest_flags::{LoadedManifests, not_loaded};
use super::status;
use crate::cli::error::Error;
use crate::cluster::ForeignCluster;
use crate::shutdown::unless;
use crate::workload::manifest::Manifest;
use crate::workload::rights::Activity;
use crate::workload::{self, Subject, SubjectWish, admission, deployment};

/// How many objects are named when the user is asked.
const NAMED: usize = 5;

/// Deploys, follows the rollouts, and prints the workload.
///
/// # Errors
/// As [`Args::run`]; [`Error::NeedsYes`] or [`Error::Declined`] when objects exist that would be changed.
pub(super) async fn run(args: &Args, context: &CommandContext, cluster: &ForeignCluster) -> Result<(), Error> {
    let (client, progress, shutdown) = (&cluster.client, &context.progress, &context.shutdown);
    let loaded = args.manifests.load_for(context, cluster).await?;
    let are_own = loaded.are_own;
    let namespace = loaded.namespace.clone();
    let (mut manifests, subject) = changed(args, context, loaded)?;
    let activity = if are_own { Activity::Deploy } else { Activity::Apply };
    require_rights(context, cluster, &[activity], &namespace).await?;
    if let Some(subject) = &subject {
        let kept = if are_own { workload::replicas(client, subject).await? } else { None };
        if let Some(replicas) = args.replicas.or(kept) {
            deployment::set_replicas(&mut manifests, &namespace, subject, replicas)?;
        }
    }
    let existing = deployment::existing(client, &manifests, &namespace);
    let existing = unless(shutdown, Box::pin(existing)).await??;
    let admission = admission::require_admission(client, &manifests, &namespace, &existing);
    unless(shutdown, Box::pin(admission)).await??;
    if !existing.is_empty() || args.prune {
        args.consent.require(context, cluster, &described(&existing, args.prune))?;
    }
    let applied = deployment::deploy(client, &manifests, &namespace, &namespace, progress);
    let deployed = unless(shutdown, Box::pin(applied)).await??;
    if args.prune {
        unless(shutdown, Box::pin(deployment::prune(client, &deployed, progress))).await??;
    }
    follow(context, client, &deployed).await?;
    let Some(subject) = subject else {
        return status::show_workload_of(context, client, &namespace).await;
    };
    let wanted = SubjectWish { given: Some(subject.name()), remembered: None, namespace: Some(subject.namespace) };
    let subject = Subject::find(client, &wanted).await?;
    Box::pin(workload::scale::settle(&cluster.access(), &subject, progress, shutdown)).await?;
    status::show_workload(context, client, Some(&subject)).await
}

/// The manifests with the image that is given, and the Service among them if it is clear which one that is.
fn changed(
    args: &Args,
    context: &CommandContext,
    loaded: LoadedManifests,
) -> Result<(Vec<Manifest>, Option<Subject>), Error> {
    let LoadedManifests { mut manifests, namespace, are_own, .. } = loaded;
    let image = match &args.image {
        Some(ImageArg::File(path)) => return Err(not_loaded("--image", path)),
        Some(ImageArg::Name(name)) => Some(name.to_string()),
        None if are_own => {
            let why = "expected the name of an image of the server that the nodes of this cluster can pull";
            return Err(Error::BadValue { what: "--image", given: String::new(), why: why.to_owned() });
        }
        None => None,
    };
    let wanted = args.subject.wish_of_manifests();
    let subject = match deployment::subject_of(&manifests, &namespace, &wanted) {
        Ok(subject) => Some(subject),
        Err(unclear) if image.is_some() || args.replicas.is_some() || wanted.given.is_some() => {
            return Err(unclear.into());
        }
        Err(unclear) => {
            ask_for_service(context, &unclear);
            None
        }
    };
    if let (Some(subject), Some(image)) = (&subject, image) {
        deployment::set_image(&mut manifests, &namespace, subject, &image)?;
    }
    if are_own {
        // The nodes of a lab get the image of the server, and must not pull it.
        deployment::set_pull_policy(&mut manifests, |_| Some("IfNotPresent"));
    }
    Ok((manifests, subject))
}

/// "deploy over Deployment shop/web and Service shop/web".
fn described(existing: &[String], prunes: bool) -> String {
    let named = existing.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = existing.len().saturating_sub(NAMED);
    match (existing.len(), prunes) {
        (0, _) => "deploy --prune".to_owned(),
        (1..=NAMED, false) => format!("deploy over {named}"),
        (1..=NAMED, true) => format!("deploy --prune over {named}"),
        (_, _) => format!("deploy over {named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deployed_over_is_named() {
        let names = |count: usize| (0..count).map(|at| format!("Service shop/{at}")).collect::<Vec<_>>();
        assert_eq!(described(&names(1), false), "deploy over Service shop/0");
        assert!(described(&names(7), true).ends_with("Service shop/4 and 2 more"));
        assert_eq!(described(&[], true), "deploy --prune");
    }
}
