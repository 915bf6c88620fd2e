//! Which layers of which track a subscriber gets within its bandwidth: a pure function of what is wanted and available.
//!
//! Audio is not allocated: it always flows and its rate is taken off the budget by the caller. Video is served in this
//! order: screen shares before cameras, then higher priority, then the order of subscription. Everybody first gets the
//! lowest layer there is (a subscriber that permits pauses: at its lowest frame rate); then screen shares rise as far as the budget lasts, then the others,
//! round-robin by one step: first the frame rate of the lowest layer, then whole layers.

use crate::api::Quality;
use crate::publish::layers::TEMPORAL;

/// One video subscription. Rates are bits per second as measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub screen_share: bool,
    pub priority: u32,
    /// Highest quality the subscriber wants.
    pub wanted: Quality,
    /// Highest temporal layer it wants.
    pub temporal: u8,
    /// May frames of the lowest layer be left out when bandwidth is short?
    pub thin: bool,
    /// Rates of low, medium, high with temporal layers up to each; `None` for what is not sent at the moment. A track
    /// without layers has only the first, with the same rate for all.
    pub rates_bps: [Option<[u64; TEMPORAL]>; 3],
    /// What it gets now; rising above it needs head-room, staying does not.
    pub current: Option<Choice>,
}

/// A layer (of a simulcast, or spatial) and the highest temporal layer of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Choice {
    pub layer: u8,
    pub temporal: u8,
}

/// One step of a request's ladder and what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    choice: Choice,
    bps: u64,
}

/// Share of the budget that must be left over before a track may rise, in percent: a rise that just fits would be
/// taken back at the next dip of the estimate.
const HEADROOM_PERCENT: u64 = 10;

/// What each request gets, `None` = paused (only when `allow_pause`) or nothing is sent.
///
/// With too little for all the lowest steps and no permission to pause, every request still gets its lowest one: the
/// user prefers a struggling picture over none, as LiveKit's default does.
pub(crate) fn allocate(budget_bps: u64, requests: &[Request], allow_pause: bool) -> Vec<Option<Choice>> {
    let ladders: Vec<Vec<Step>> = requests.iter().map(ladder).collect();
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by_key(|&i| {
        requests.get(i).map_or((true, u32::MAX), |r| (!r.screen_share, u32::MAX - r.priority.min(u32::MAX - 1)))
    });
    let mut given: Vec<Option<usize>> = vec![None; requests.len()];
    let mut used: u64 = 0;
    for &i in &order {
        let (Some(ladder), Some(slot)) = (ladders.get(i), given.get_mut(i)) else { continue };
        let Some(step) = ladder.first() else { continue };
        if allow_pause && used + step.bps > budget_bps {
            continue;
        }
        used += step.bps;
        *slot = Some(0);
    }
    for screens in [true, false] {
        let group: Vec<usize> =
            order.iter().copied().filter(|&i| requests.get(i).is_some_and(|r| r.screen_share == screens)).collect();
        rise(&group, requests, &ladders, budget_bps, &mut used, &mut given);
    }
    let chosen = |(ladder, at): (&Vec<Step>, Option<usize>)| at.and_then(|at| ladder.get(at)).map(|step| step.choice);
    ladders.iter().zip(given).map(chosen).collect()
}

/// Round-robin: each track of the group rises by one step at a time while the budget lasts.
fn rise(
    group: &[usize],
    requests: &[Request],
    ladders: &[Vec<Step>],
    budget_bps: u64,
    used: &mut u64,
    given: &mut [Option<usize>],
) {
    let with_headroom = budget_bps - budget_bps / 100 * HEADROOM_PERCENT;
    let mut risen = true;
    while risen {
        risen = false;
        for &i in group {
            let (Some(request), Some(ladder), Some(slot)) = (requests.get(i), ladders.get(i), given.get_mut(i)) else {
                continue;
            };
            let Some((at, now)) = slot.and_then(|at| Some((at, ladder.get(at)?))) else { continue };
            let Some(next) = ladder.get(at + 1) else { continue };
            let extra = next.bps.saturating_sub(now.bps);
            let limit = if request.current.is_none_or(|c| next.choice > c) { with_headroom } else { budget_bps };
            if *used + extra <= limit {
                *used += extra;
                *slot = Some(at + 1);
                risen = true;
            }
        }
    }
}

/// What the subscriber would use if bandwidth were no matter: the probing goal, in bits per second.
pub(crate) fn desired_bps(requests: &[Request]) -> u64 {
    requests.iter().filter_map(|request| ladder(request).last().map(|step| step.bps)).sum()
}

/// What a choice costs.
pub(crate) fn cost_bps(request: &Request, choice: Choice) -> u64 {
    let rates = request.rates_bps.get(usize::from(choice.layer)).copied().flatten();
    rates.and_then(|rates| rates.get(usize::from(choice.temporal)).copied()).unwrap_or_default()
}

/// What the least next step up would cost more, of all requests that want more than they were given.
pub(crate) fn next_step_bps(requests: &[Request], given: &[Option<Choice>]) -> Option<u64> {
    let extra = |(request, given): (&Request, &Option<Choice>)| {
        let ladder = ladder(request);
        let at = given.and_then(|given| ladder.iter().position(|step| step.choice == given));
        let next = ladder.get(at.map_or(0, |at| at + 1))?;
        Some(next.bps.saturating_sub(at.and_then(|at| ladder.get(at)).map_or(0, |step| step.bps)))
    };
    requests.iter().zip(given).filter_map(extra).min()
}

/// The steps of a request, cheapest first: the temporal layers of the lowest layer that is sent (or all of it where no
/// frames may be left out), then the layers above it within the wanted quality. One above the wanted quality is better
/// than no picture.
fn ladder(request: &Request) -> Vec<Step> {
    let cap = request.wanted as usize;
    let sent = request.rates_bps.iter().enumerate().filter_map(|(layer, rates)| rates.map(|rates| (layer, rates)));
    let most = usize::from(request.temporal).min(TEMPORAL - 1);
    let mut steps: Vec<Step> = Vec::new();
    for (layer, rates) in sent {
        let lowest = steps.is_empty();
        if !lowest && layer > cap {
            break;
        }
        let first = if lowest && request.thin { 0 } else { most };
        for (temporal, bps) in rates.into_iter().enumerate().take(most + 1).skip(first) {
            let choice = Choice { layer: layer as u8, temporal: temporal as u8 };
            match steps.last_mut() {
                // A temporal layer that is not sent costs nothing and is no step of its own.
                Some(last) if last.choice.layer == choice.layer && last.bps == bps => last.choice = choice,
                _ => steps.push(Step { choice, bps }),
            }
        }
    }
    steps
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
            temporal: 3,
            thin: true,
            rates_bps: [150_000, 500_000, 1_700_000].map(|bps| Some([bps; TEMPORAL])),
            current: None,
        }
    }

    fn all_of(layer: u8) -> Option<Choice> {
        Some(Choice { layer, temporal: 3 })
    }

    #[test]
    fn plenty_gives_everybody_what_is_wanted() {
        let low = Request { wanted: Quality::Low, ..camera() };
        assert_eq!(allocate(10_000_000, &[camera(), low], false), vec![all_of(2), all_of(0)]);
    }

    #[test]
    fn everybody_gets_the_lowest_layer_before_anybody_rises() {
        assert_eq!(allocate(350_000, &[camera(), camera()], false), vec![all_of(0), all_of(0)]);
        assert_eq!(allocate(800_000, &[camera(), camera()], false), vec![all_of(1), all_of(0)]);
    }

    #[test]
    fn the_screen_share_is_served_first() {
        let screen = Request { screen_share: true, ..camera() };
        assert_eq!(allocate(2_100_000, &[camera(), screen], false), [all_of(0), all_of(2)]);
    }

    #[test]
    fn pausing_needs_permission() {
        assert_eq!(allocate(200_000, &[camera(), camera()], true), vec![all_of(0), None]);
        assert_eq!(allocate(200_000, &[camera(), camera()], false), vec![all_of(0), all_of(0)]);
    }

    #[test]
    fn rising_needs_headroom_but_staying_does_not() {
        assert_eq!(allocate(520_000, &[camera()], false), vec![all_of(0)]);
        assert_eq!(allocate(520_000, &[Request { current: all_of(1), ..camera() }], false), vec![all_of(1)]);
    }

    #[test]
    fn a_layer_that_is_not_sent_is_skipped() {
        let gap = Request { rates_bps: [None, None, Some([900_000; TEMPORAL])], wanted: Quality::Low, ..camera() };
        assert_eq!(allocate(5_000_000, &[gap], false), vec![all_of(2)]);
        let none = Request { rates_bps: [None; 3], ..camera() };
        assert_eq!(allocate(5_000_000, &[none], false), vec![None]);
    }

    /// A screen share with three temporal layers: 5, 15 and 30 frames a second.
    fn layered() -> Request {
        let low = [100_000, 200_000, 400_000, 400_000];
        Request { rates_bps: [Some(low), Some([800_000, 900_000, 1_000_000, 1_000_000]), None], ..camera() }
    }

    #[test]
    fn with_little_bandwidth_frames_are_left_out_before_layers_are_paused() {
        let choice = |budget| allocate(budget, &[layered()], true).remove(0);
        assert_eq!(choice(50_000), None);
        assert_eq!(choice(120_000), Some(Choice { layer: 0, temporal: 0 }));
        assert_eq!(choice(300_000), Some(Choice { layer: 0, temporal: 1 }));
        assert_eq!(choice(500_000), all_of(0));
        assert_eq!(choice(2_000_000), all_of(1));
    }

    #[test]
    fn who_permits_no_pause_gets_the_lowest_layer_whole() {
        let whole = Request { thin: false, ..layered() };
        assert_eq!(allocate(50_000, std::slice::from_ref(&whole), false), [all_of(0)]);
        assert_eq!(allocate(2_000_000, &[whole], false), [all_of(1)]);
    }

    #[test]
    fn a_limit_on_the_frame_rate_holds_for_every_layer() {
        let limited = Request { temporal: 1, ..layered() };
        assert_eq!(allocate(2_000_000, std::slice::from_ref(&limited), true), [Some(Choice { layer: 1, temporal: 1 })]);
        assert_eq!(desired_bps(&[limited]), 900_000);
    }

    #[test]
    fn the_next_step_up_is_the_cheapest_one_anybody_waits_for() {
        let given = [all_of(0), Some(Choice { layer: 0, temporal: 0 })];
        assert_eq!(next_step_bps(&[camera(), layered()], &given), Some(100_000));
        assert_eq!(next_step_bps(&[camera(), layered()], &[all_of(2), all_of(1)]), None);
        assert_eq!(next_step_bps(&[camera()], &[None]), Some(150_000));
    }

    /// The request's lowest step and nothing else.
    fn floor_only(request: &Request) -> [Option<[u64; TEMPORAL]>; 3] {
        let floor = ladder(request).first().map(|step| (usize::from(step.choice.layer), step.bps));
        [0, 1, 2].map(|layer| floor.filter(|(of, _)| *of == layer).map(|(_, bps)| [bps; TEMPORAL]))
    }

    fn any_request() -> impl Strategy<Value = Request> {
        let wanted = prop_oneof![Just(Quality::Low), Just(Quality::Medium), Just(Quality::High)];
        let temporal = prop::array::uniform4(1u64..1_500_000).prop_map(|own| {
            let mut sum = 0;
            own.map(|bps| {
                sum += bps;
                sum
            })
        });
        let rates = prop::array::uniform3(prop::option::of(temporal));
        let current = prop::option::of((0u8..3, 0u8..4).prop_map(|(layer, temporal)| Choice { layer, temporal }));
        (any::<bool>(), 0u32..5, wanted, 0u8..4, rates, current).prop_map(
            |(screen_share, priority, wanted, temporal, rates_bps, current)| Request {
                screen_share,
                priority,
                wanted,
                temporal,
                thin: true,
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
            let used: u64 = given.iter().zip(&requests).filter_map(|(g, r)| Some(cost_bps(r, (*g)?))).sum();
            // A higher layer that measures less than a lower one costs nothing extra, hence saturating in `next`.
            let monotonic = requests.iter().all(|r| {
                ladder(r).is_sorted_by_key(|step| step.bps)
            });
            prop_assert!(!monotonic || used <= budget);
        }

        #[test]
        fn more_than_the_line_carries_is_given_only_as_lowest_layers(
            requests in prop::collection::vec(any_request(), 0..12), budget in 0u64..20_000_000
        ) {
            let given = allocate(budget, &requests, false);
            let used: u64 = given.iter().zip(&requests).filter_map(|(g, r)| Some(cost_bps(r, (*g)?))).sum();
            let lowest = |(given, request): (&Option<Choice>, &Request)| *given == ladder(request).first().map(|s| s.choice);
            let monotonic = requests.iter().all(|r| ladder(r).is_sorted_by_key(|step| step.bps));
            prop_assert!(!monotonic || used <= budget || given.iter().zip(&requests).all(lowest));
        }

        #[test]
        fn nobody_is_paused_for_whom_there_was_room_beside_the_lowest_layers(
            requests in prop::collection::vec(any_request(), 0..12), budget in 0u64..20_000_000
        ) {
            let given = allocate(budget, &requests, true);
            let floor = |request: &Request| ladder(request).first().map(|step| step.bps);
            let floors: u64 = given.iter().zip(&requests).filter_map(|(g, r)| g.and(floor(r))).sum();
            for (given, request) in given.iter().zip(&requests) {
                prop_assert!(given.is_some() || floor(request).is_none_or(|bps| floors + bps > budget));
            }
        }

        #[test]
        fn what_screen_shares_get_is_not_for_cameras_to_take(
            requests in prop::collection::vec(any_request(), 0..12), budget in 0u64..20_000_000, pause: bool
        ) {
            // Cameras that want no more than their lowest layer take nothing from a screen share's rise.
            let modest = |request: &Request| match request.screen_share {
                true => request.clone(),
                false => Request { wanted: Quality::Low, temporal: 0, rates_bps: floor_only(request), ..request.clone() },
            };
            let screens = |requests: &[Request]| -> Vec<Option<Choice>> {
                let given = allocate(budget, requests, pause);
                given.into_iter().zip(requests).filter(|(_, request)| request.screen_share).map(|(given, _)| given).collect()
            };
            let modest: Vec<Request> = requests.iter().map(modest).collect();
            prop_assert_eq!(screens(&requests), screens(&modest));
        }

        #[test]
        fn only_layers_that_are_sent_are_given(requests in prop::collection::vec(any_request(), 0..12), budget: u64) {
            for (given, request) in allocate(budget, &requests, false).iter().zip(&requests) {
                prop_assert_eq!(given.is_some(), request.rates_bps.iter().any(Option::is_some));
                if let Some(choice) = given {
                    prop_assert!(cost_bps(request, *choice) > 0 && choice.temporal <= request.temporal);
                }
            }
        }
    }
}
