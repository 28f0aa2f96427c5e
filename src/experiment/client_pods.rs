//! The pods between which the client balances.

use super::balanced_pods::BalancedPods;
use super::resolved_pods::ResolvedPods;
use super::route_guard::RouteGuard;
use super::workplace::Workplace;
use crate::cluster::TemporaryRoutes;
use crate::experiment::ExperimentError;
use crate::progress::Progress;
use evenkeel_load::{Addresses, ClientBalance};
use evenkeel_measure::Mode;

/// How the client finds the pods.
enum Found<'a> {
    /// It watches the EndpointSlices.
    Watched(BalancedPods<'a>),
    /// It resolves a DNS name.
    Resolved(ResolvedPods<'a>),
}

/// The pods between which the client balances, with the routes to them. The routes are removed when this is dropped.
pub(super) struct ClientPods<'a> {
    found: Found<'a>,
    _routes: TemporaryRoutes,
}

impl<'a> ClientPods<'a> {
    /// Finds the pods for a run in this mode; `None` if the Service chooses them. All are looked up before the clock of the
    /// run starts.
    pub(super) async fn find(
        mode: Option<Mode>,
        workplace: Workplace<'a>,
        progress: &Progress,
    ) -> Result<Option<ClientPods<'a>>, ExperimentError> {
        let Some(mode) = mode.filter(|mode| mode.is_by_client()) else { return Ok(None) };
        let Workplace { access, subject, link, ip } = workplace;
        let routes = TemporaryRoutes::to_pods(access.require_lab("balancing by the client")?, ip, progress)?;
        let found = if mode == Mode::RoundRobin {
            Found::Resolved(ResolvedPods::find(workplace, progress).await?)
        } else {
            let guard = RouteGuard::new(link.to_owned(), ip);
            Found::Watched(BalancedPods::find(access, subject, guard).await?)
        };
        Ok(Some(Self { found, _routes: routes }))
    }

    /// Their addresses, which change during the run.
    pub(super) fn addresses(&self) -> Addresses {
        match &self.found {
            Found::Watched(pods) => pods.addresses.clone(),
            Found::Resolved(pods) => pods.addresses.clone(),
        }
    }

    /// How the client chooses between them.
    pub(super) fn balance(&self) -> ClientBalance {
        match &self.found {
            Found::Watched(_) => ClientBalance::PowerOfTwoChoices,
            Found::Resolved(_) => ClientBalance::RoundRobin,
        }
    }

    /// Keeps the addresses up to date; it ends only with an error.
    pub(super) async fn follow(&mut self) -> Result<(), ExperimentError> {
        match &mut self.found {
            Found::Watched(pods) => pods.follow().await,
            Found::Resolved(pods) => pods.follow().await,
        }
    }
}
