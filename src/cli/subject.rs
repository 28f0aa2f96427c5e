//! The Service that a verb acts on.

use std::fs;
use std::io::ErrorKind;

use kube::Client;

use super::context::CommandContext;
use crate::cli::error::Error;
use crate::cluster::ForeignCluster;
use crate::config::Paths;
use crate::io_error::IoError;
use crate::workload::{ServiceName, Subject, SubjectWish};
use crate::write_file::WriteFile;

/// The flag that selects the Service.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SubjectFlag {
    /// The Service to use [default: that of the last deploy, or the only one of type LoadBalancer]
    #[arg(long, value_name = "[NAMESPACE/]NAME[:PORT]")]
    service: Option<ServiceName>,
}

impl SubjectFlag {
    /// Which Service is wanted.
    #[must_use]
    pub fn wish(&self, paths: &Paths) -> SubjectWish {
        SubjectWish { given: self.service.clone(), remembered: remembered(paths), namespace: None }
    }

    /// The same in a cluster that is no lab: it is looked for in its own namespace, or in that of the context.
    #[must_use]
    pub fn wish_in(&self, cluster: &ForeignCluster) -> SubjectWish {
        wish_in(self.service.clone(), cluster)
    }

    /// The namespace of the Service.
    #[must_use]
    pub fn namespace_in<'a>(&'a self, cluster: &'a ForeignCluster) -> &'a str {
        namespace_in(self.service.as_ref(), cluster)
    }

    /// Which Service among the manifests is wanted.
    #[must_use]
    pub fn wish_of_manifests(&self) -> SubjectWish {
        SubjectWish { given: self.service.clone(), ..SubjectWish::default() }
    }

    /// The Service in the cluster.
    ///
    /// # Errors
    /// As [`Subject::find`].
    pub async fn subject(&self, context: &CommandContext, client: &Client) -> Result<Subject, Error> {
        Ok(Subject::find(client, &self.wish(&context.paths)).await?)
    }
}

/// The flag that selects the Services whose ways to the same pods are compared.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SubjectsFlag {
    /// The Service to send the load to [default: that of the last deploy, or the only one of type LoadBalancer]. Repeat it
    /// to compare further Services that lead to the same pods, such as one of a proxy
    #[arg(long, value_name = "[NAMESPACE/]NAME[:PORT]")]
    service: Vec<ServiceName>,
}

impl SubjectsFlag {
    /// How many Services there are: at least one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.service.len().max(1)
    }

    /// Refuses a Service that is named twice.
    ///
    /// # Errors
    /// [`Error::BadValue`].
    pub fn check(&self) -> Result<(), Error> {
        let again = (1..self.service.len()).find(|at| self.service[..*at].contains(&self.service[*at]));
        let Some(again) = again else { return Ok(()) };
        let why = "it is named twice, and a comparison needs different Services".to_owned();
        Err(Error::BadValue { what: "--service", given: self.service[again].to_string(), why })
    }

    /// The Service under test, and the further ones.
    ///
    /// # Errors
    /// As [`Subject::find`].
    pub async fn subjects(&self, context: &CommandContext, client: &Client) -> Result<(Subject, Vec<Subject>), Error> {
        let first = SubjectFlag { service: self.service.first().cloned() };
        let subject = first.subject(context, client).await?;
        let mut others = Vec::new();
        for service in self.service.iter().skip(1) {
            let wish = SubjectWish { given: Some(service.clone()), ..SubjectWish::default() };
            others.push(Subject::find(client, &wish).await?);
        }
        Ok((subject, others))
    }

    /// The same in a cluster that is no lab.
    ///
    /// # Errors
    /// As [`Subject::find`].
    pub async fn subjects_in(&self, cluster: &ForeignCluster) -> Result<(Subject, Vec<Subject>), Error> {
        let subject = Subject::find(&cluster.client, &wish_in(self.service.first().cloned(), cluster)).await?;
        let mut others = Vec::new();
        for service in self.service.iter().skip(1) {
            others.push(Subject::find(&cluster.client, &wish_in(Some(service.clone()), cluster)).await?);
        }
        Ok((subject, others))
    }

    /// The namespaces of the Services, the first one first.
    #[must_use]
    pub fn namespaces_in<'a>(&'a self, cluster: &'a ForeignCluster) -> Vec<&'a str> {
        let mut namespaces = vec![namespace_in(self.service.first(), cluster)];
        namespaces.extend(self.service.iter().skip(1).map(|service| namespace_in(Some(service), cluster)));
        namespaces
    }
}

fn wish_in(given: Option<ServiceName>, cluster: &ForeignCluster) -> SubjectWish {
    let namespace = Some(namespace_in(given.as_ref(), cluster).to_owned());
    SubjectWish { given, remembered: None, namespace }
}

fn namespace_in<'a>(given: Option<&'a ServiceName>, cluster: &'a ForeignCluster) -> &'a str {
    given.and_then(|service| service.namespace.as_deref()).unwrap_or(&cluster.namespace)
}

/// The Service of the last deploy.
#[must_use]
pub fn remembered(paths: &Paths) -> Option<ServiceName> {
    fs::read_to_string(paths.service()).ok()?.trim().parse().ok()
}

/// Forgets the Service of an earlier deploy.
///
/// # Errors
/// [`Error::Io`] when the file cannot be removed.
pub fn forget(paths: &Paths) -> Result<(), Error> {
    let path = paths.service();
    match fs::remove_file(&path) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(IoError::file("remove", &path, source).into()),
        _ => Ok(()),
    }
}

/// Remembers the Service of a deploy.
///
/// # Errors
/// [`Error::Io`] when the state directory cannot be written.
pub fn remember(paths: &Paths, subject: &Subject) -> Result<(), Error> {
    let path = paths.service();
    let written = WriteFile::internal().write(&path, format!("{}\n", subject.name()).as_bytes());
    Ok(written.map_err(|source| IoError::file("write", &path, source))?)
}
