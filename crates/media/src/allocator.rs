//! Which layer of which track a subscriber gets within its bandwidth: a pure function of what is wanted and available.
//!
//! Audio is not allocated: it always flows and its rate is taken off the budget by the caller. Video is served in this
//! order: screen shares before cameras, then higher priority, then the order of subscription. Everybody first gets the
//! lowest layer there is; then screen shares rise as far as the budget lasts, then the others, round-robin by one layer.

use crate::api::Quality;

/// One video subscription. Rates are bits per second as measured, lowest layer first; a layer that is not sent at the
/// moment is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub screen_share: bool,
    pub priority: u32,
    /// Highest quality the subscriber wants.
    pub wanted: Quality,
    /// Rates of low, medium, high. A track without simulcast has only the first.
    pub rates_bps: [Option<u64>; 3],
    /// What it gets now; rising above it needs head-room, staying does not.
    pub current: Option<usize>,
}

/// Share of the budget that must be left over before a track may rise, in percent: a rise that just fits would be
/// taken back at the next dip of the estimate.
const HEADROOM_PERCENT: u64 = 10;

/// The layer index for each request, `None` = paused (only when `allow_pause`) or nothing is sent.
///
/// With too little for all the lowest layers and no permission to pause, every request still gets its lowest layer: the
/// user prefers a struggling picture over none, as LiveKit's default does.
pub fn allocate(budget_bps: u64, requests: &[Request], allow_pause: bool) -> Vec<Option<usize>> {
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by_key(|&i| {
        requests.get(i).map_or((true, u32::MAX), |r| (!r.screen_share, u32::MAX - r.priority.min(u32::MAX - 1)))
    });
    let mut given: Vec<Option<usize>> = vec![None; requests.len()];
    let mut used: u64 = 0;
    for &i in &order {
        let (Some(request), Some(slot)) = (requests.get(i), given.get_mut(i)) else { continue };
        let Some((layer, rate)) = lowest(request) else { continue };
        if allow_pause && used + rate > budget_bps {
            continue;
        }
        used += rate;
        *slot = Some(layer);
    }
    for screens in [true, false] {
        let group: Vec<usize> =
            order.iter().copied().filter(|&i| requests.get(i).is_some_and(|r| r.screen_share == screens)).collect();
        rise(&group, requests, budget_bps, &mut used, &mut given);
    }
    given
}

/// Round-robin: each track of the group rises by one layer at a time while the budget lasts.
fn rise(group: &[usize], requests: &[Request], budget_bps: u64, used: &mut u64, given: &mut [Option<usize>]) {
    let with_headroom = budget_bps - budget_bps / 100 * HEADROOM_PERCENT;
    let mut risen = true;
    while risen {
        risen = false;
        for &i in group {
            let (Some(request), Some(slot)) = (requests.get(i), given.get_mut(i)) else { continue };
            let Some((layer, extra)) = slot.and_then(|at| next(request, at)) else { continue };
            let limit = if request.current.is_none_or(|c| layer > c) { with_headroom } else { budget_bps };
            if *used + extra <= limit {
                *used += extra;
                *slot = Some(layer);
                risen = true;
            }
        }
    }
}

/// What the subscriber would use if bandwidth were no matter: the probing goal, in bits per second.
pub fn desired_bps(requests: &[Request]) -> u64 {
    requests.iter().filter_map(|r| (0..=cap(r)).rev().find_map(|l| rate(r, l))).sum()
}

fn cap(request: &Request) -> usize {
    match request.wanted {
        Quality::Low => 0,
        Quality::Medium => 1,
        Quality::High => 2,
    }
}

fn rate(request: &Request, layer: usize) -> Option<u64> {
    request.rates_bps.get(layer).copied().flatten()
}

/// The lowest layer that is sent. One above the wanted quality is better than no picture.
fn lowest(request: &Request) -> Option<(usize, u64)> {
    (0..request.rates_bps.len()).find_map(|l| rate(request, l).map(|r| (l, r)))
}

/// The next higher layer within the wanted quality, and what it costs more.
fn next(request: &Request, at: usize) -> Option<(usize, u64)> {
    let now = rate(request, at)?;
    (at + 1..=cap(request)).find_map(|l| rate(request, l).map(|r| (l, r.saturating_sub(now))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn camera() -> Request {
        Request {
            screen_share: false,
            priority: 0,
            wanted: Quality::High,
            rates_bps: [Some(150_000), Some(500_000), Some(1_700_000)],
            current: None,
        }
    }

    #[test]
    fn plenty_gives_everybody_what_is_wanted() {
        let low = Request { wanted: Quality::Low, ..camera() };
        assert_eq!(allocate(10_000_000, &[camera(), low], false), vec![Some(2), Some(0)]);
    }

    #[test]
    fn everybody_gets_the_lowest_layer_before_anybody_rises() {
        assert_eq!(allocate(350_000, &[camera(), camera()], false), vec![Some(0), Some(0)]);
        assert_eq!(allocate(800_000, &[camera(), camera()], false), vec![Some(1), Some(0)]);
    }

    #[test]
    fn the_screen_share_is_served_first() {
        let screen = Request { screen_share: true, ..camera() };
        assert_eq!(allocate(2_100_000, &[camera(), screen], false), [Some(0), Some(2)]);
    }

    #[test]
    fn pausing_needs_permission() {
        assert_eq!(allocate(200_000, &[camera(), camera()], true), vec![Some(0), None]);
        assert_eq!(allocate(200_000, &[camera(), camera()], false), vec![Some(0), Some(0)]);
    }

    #[test]
    fn rising_needs_headroom_but_staying_does_not() {
        assert_eq!(allocate(520_000, &[camera()], false), vec![Some(0)]);
        assert_eq!(allocate(520_000, &[Request { current: Some(1), ..camera() }], false), vec![Some(1)]);
    }

    #[test]
    fn a_layer_that_is_not_sent_is_skipped() {
        let gap = Request { rates_bps: [None, None, Some(900_000)], wanted: Quality::Low, ..camera() };
        assert_eq!(allocate(5_000_000, &[gap], false), vec![Some(2)]);
        let none = Request { rates_bps: [None; 3], ..camera() };
        assert_eq!(allocate(5_000_000, &[none], false), vec![None]);
    }

    fn any_request() -> impl Strategy<Value = Request> {
        let wanted = prop_oneof![Just(Quality::Low), Just(Quality::Medium), Just(Quality::High)];
        let rates = prop::array::uniform3(prop::option::of(1u64..5_000_000));
        (any::<bool>(), 0u32..5, wanted, rates, prop::option::of(0usize..3)).prop_map(
            |(screen_share, priority, wanted, rates_bps, current)| Request {
                screen_share,
                priority,
                wanted,
                rates_bps,
                current,
            },
        )
    }

    proptest! {
        #[test]
        fn with_permission_to_pause_the_budget_is_never_exceeded(
            requests in prop::collection::vec(any_request(), 0..12), budget in 0u64..20_000_000
        ) {
            let given = allocate(budget, &requests, true);
            let used: u64 = given.iter().zip(&requests).filter_map(|(g, r)| rate(r, (*g)?)).sum();
            // A higher layer that measures less than a lower one costs nothing extra, hence saturating in `next`.
            let monotonic = requests.iter().all(|r| {
                let sent: Vec<u64> = r.rates_bps.iter().flatten().copied().collect();
                sent.is_sorted()
            });
            prop_assert!(!monotonic || used <= budget);
        }

        #[test]
        fn only_layers_that_are_sent_are_given(requests in prop::collection::vec(any_request(), 0..12), budget: u64) {
            for (given, request) in allocate(budget, &requests, false).iter().zip(&requests) {
                prop_assert_eq!(given.is_some(), request.rates_bps.iter().any(Option::is_some));
                if let Some(layer) = given {
                    prop_assert!(rate(request, *layer).is_some());
                }
            }
        }
    }
}
