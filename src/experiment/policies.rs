//! The external traffic policies that a series sets on its Services, each put back at its end.

use super::place::Place;
use super::workplace::Workplace;
use crate::experiment::ExperimentError;
use crate::progress::Progress;
use crate::shutdown::Shutdown;
use crate::workload::{ExternalPolicy, OriginalPolicy, WorkloadError, acting_policies};
use evenkeel_measure::TrafficPolicy;

/// The Services of a series with their original policies. It is empty if the series sets no policy.
#[derive(Default)]
pub(super) struct Policies<'a>(Vec<ServiceState<'a>>);

/// One Service.
struct ServiceState<'a> {
    workplace: Workplace<'a>,
    original: OriginalPolicy,
    /// The policy that it has now.
    now: ExternalPolicy,
    /// Whether that may have been changed.
    changed: bool,
}

impl<'a> Policies<'a> {
    /// Remembers the policies that these Services have now.
    ///
    /// # Errors
    /// As [`OriginalPolicy::of`].
    pub(super) async fn remember(workplaces: impl Iterator<Item = Workplace<'a>>) -> Result<Self, WorkloadError> {
        let mut services: Vec<ServiceState<'a>> = Vec::new();
        for workplace in workplaces {
            // Several ports of a Service share its policy.
            if services.iter().all(|known| !known.is_at(workplace)) {
                let original = OriginalPolicy::of(&workplace.access.client, workplace.subject).await?;
                let now = original.policy();
                services.push(ServiceState { workplace, original, now, changed: false });
            }
        }
        Ok(Self(services))
    }

    /// Sets the policy of the Service at this place; `None`: its original one. Nothing is set if no policies were
    /// remembered.
    ///
    /// # Errors
    /// As [`OriginalPolicy::set`].
    pub(super) async fn set(
        &mut self,
        place: &mut Place<'a>,
        policy: Option<TrafficPolicy>,
        progress: &Progress,
        shutdown: &Shutdown,
    ) -> Result<(), ExperimentError> {
        let Some(workplace) = place.workplace else { return Ok(()) };
        let Some(service) = self.0.iter_mut().find(|service| service.is_at(workplace)) else { return Ok(()) };
        let policy = match policy {
            Some(TrafficPolicy::Local) => ExternalPolicy::Local,
            Some(TrafficPolicy::Cluster) => ExternalPolicy::Cluster,
            None => service.original.policy(),
        };
        let Workplace { access, subject, .. } = workplace;
        if policy != service.now {
            service.changed = true;
            service.original.set(access, subject, policy, progress, shutdown).await?;
            service.now = policy;
        }
        place.policies = acting_policies(&access.client, subject).await?;
        Ok(())
    }

    /// Puts every policy back that was changed. An error of one does not keep the others from being put back.
    ///
    /// # Errors
    /// The first error; each of them is also a note of the progress.
    pub(super) async fn restore(&self, progress: &Progress) -> Result<(), WorkloadError> {
        let mut outcome = Ok(());
        for ServiceState { workplace: Workplace { access, subject, .. }, original, .. } in
            self.0.iter().filter(|service| service.changed)
        {
            if let Err(error) = original.restore(access, subject, progress).await {
                progress.note(format!("the externalTrafficPolicy of Service {subject} may not be put back: {error}"));
                outcome = outcome.and(Err(error));
            }
        }
        outcome
    }
}

impl ServiceState<'_> {
    fn is_at(&self, Workplace { subject, .. }: Workplace<'_>) -> bool {
        let own = self.workplace.subject;
        (&own.namespace, &own.service) == (&subject.namespace, &subject.service)
    }
}
