//! `evenkeel rbac`: prints the rights that verbs need in a cluster, as manifests.

use clap::builder::{NonEmptyStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use serde_json::json;

use super::output;
use crate::cli::error::Error;
use crate::io_error::IoError;
use crate::workload::rights::{Activity, Grantee, manifests, rights_of};

/// Arguments of `rbac`.
#[derive(Debug, clap::Args)]
#[allow(clippy::doc_markdown, reason = "the help of the command line is plain text")]
pub struct Args {
    /// What is to be done: verbs, and events of a test [default: all]
    #[arg(value_name = "VERB", value_parser = activity())]
    activities: Vec<Activity>,
    /// The namespace of the Service
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    namespace: String,
    /// Grant the rights to this user
    #[arg(long, value_name = "NAME", conflicts_with = "service_account")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    user: Option<String>,
    /// Grant the rights to this ServiceAccount, which is among the manifests
    #[arg(long, value_name = "NAME", default_value = "evenkeel")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    service_account: String,
}

/// Parses an activity; the help shows all names and descriptions.
pub(super) fn activity() -> impl TypedValueParser<Value = Activity> {
    let values = Activity::ALL.map(|activity| PossibleValue::new(activity.name()).help(activity.description()));
    let unknown = |()| std::io::Error::from(std::io::ErrorKind::InvalidInput);
    PossibleValuesParser::new(values).try_map(move |name| name.parse::<Activity>().map_err(unknown))
}

/// All activities, if none is given.
pub(super) fn or_all(given: &[Activity]) -> Vec<Activity> {
    if given.is_empty() { Activity::ALL.to_vec() } else { given.to_vec() }
}

impl Args {
    /// Prints the manifests: YAML, or a List with `json`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn run(&self, json: bool) -> Result<(), Error> {
        let grantee = match &self.user {
            Some(user) => Grantee::User(user.clone()),
            None => Grantee::ServiceAccount(self.service_account.clone()),
        };
        let manifests = manifests(&rights_of(&or_all(&self.activities)), &self.namespace, &grantee);
        if json {
            return Ok(output::json(&json!({"apiVersion": "v1", "kind": "List", "items": manifests}))?);
        }
        let failed = |source: serde_saphyr::ser::Error| IoError::new("write YAML", std::io::Error::other(source));
        let documents = manifests.iter().map(serde_saphyr::to_string).collect::<Result<Vec<_>, _>>();
        Ok(output::text(&documents.map_err(failed)?.join("---\n"))?)
    }
}
