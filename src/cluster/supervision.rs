//! Decides when a component that ended is started again. Pure: time is an argument.

use std::time::Duration;

/// A run of this length counts as healthy: after it, the delays begin again at zero. It is shorter than the time between two
/// kills of the same component in an experiment, so that these do not count as one fault.
const HEALTHY: Duration = Duration::from_secs(5);
const FIRST_DELAY: Duration = Duration::from_millis(250);
const LONGEST_DELAY: Duration = Duration::from_secs(8);
/// After this many ends in a row, none of them after a healthy run, the component is given up.
const GIVE_UP_AFTER: u32 = 12;
/// A component that ends sooner during the boot cannot work. One that ends later waited in vain for an API server that is slow,
/// on a slow machine.
const EARLY_END: Duration = Duration::from_secs(8);

/// What to do after a component has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RestartDecision {
    /// Start it again after this long.
    RestartAfter(Duration),
    /// Do not start it again: it ended too often.
    GiveUp,
}

/// Whether a component that ended during the boot, after it had run for `ran`, fails the boot. Otherwise it is started again.
pub(super) fn fails_boot(ran: Duration) -> bool {
    ran < EARLY_END
}

/// How often a component has ended in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct History {
    quick_deaths: u32,
}

impl History {
    /// Decides after a component has ended, which had run for `ran`. Returns the new history and the decision.
    ///
    /// The first restart is at once; then the delay doubles from 250 ms up to 8 s.
    pub(super) fn died(self, ran: Duration) -> (Self, RestartDecision) {
        let before = if ran >= HEALTHY { 0 } else { self.quick_deaths };
        let history = Self { quick_deaths: before + 1 };
        let decision = match before {
            0 => RestartDecision::RestartAfter(Duration::ZERO),
            deaths if deaths >= GIVE_UP_AFTER => RestartDecision::GiveUp,
            deaths => RestartDecision::RestartAfter((FIRST_DELAY * 2u32.saturating_pow(deaths - 1)).min(LONGEST_DELAY)),
        };
        (history, decision)
    }
}

/// An API server that takes longer to be ready runs on a machine that is very slow, such as an emulated one.
const SLOW_API_SERVER: Duration = Duration::from_secs(30);

/// Whether the components of other nodes wait for the controllers, by the time after which the API server was ready.
pub(super) fn waits_for_controllers(api_server_took: Duration) -> bool {
    api_server_took > SLOW_API_SERVER
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deaths(runs: &[u64]) -> Vec<RestartDecision> {
        let mut history = History::default();
        runs.iter()
            .map(|&seconds| {
                let (next, decision) = history.died(Duration::from_secs(seconds));
                history = next;
                decision
            })
            .collect()
    }

    #[test]
    fn the_first_restart_is_at_once_and_the_next_wait_longer() {
        let delays = [0, 250, 500, 1000].map(|ms| RestartDecision::RestartAfter(Duration::from_millis(ms)));
        assert_eq!(deaths(&[60, 1, 1, 1]), delays);
    }

    #[test]
    fn a_healthy_run_forgives() {
        let decisions = deaths(&[0, 0, 0, 0, 5]);
        assert_eq!(decisions[4], RestartDecision::RestartAfter(Duration::ZERO));
    }

    #[test]
    fn only_an_end_at_once_fails_the_boot() {
        assert!(fails_boot(Duration::from_secs(7)));
        assert!(!fails_boot(Duration::from_secs(8)));
    }

    #[test]
    fn other_nodes_wait_for_the_controllers_only_on_a_slow_machine() {
        assert!(!waits_for_controllers(Duration::from_secs(5)));
        assert!(waits_for_controllers(Duration::from_secs(76)));
    }

    #[test]
    fn delays_are_bounded_and_it_gives_up_in_the_end() {
        let decisions = deaths(&[0; 13]);
        assert_eq!(decisions[11], RestartDecision::RestartAfter(LONGEST_DELAY));
        assert_eq!(decisions[12], RestartDecision::GiveUp);
    }
}
