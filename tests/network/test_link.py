"""The network the scenarios run over does what it says, and the same with the same seed."""

import itertools

from tests.network.link import Impairment, Link


def arrivals(how: Impairment, count: int, every: float, seed: int = 7) -> tuple[list[float], Link]:
    link = Link(how, seed)
    at = [link.arrival(number * every, 1_000) for number in range(count)]
    return [moment for moment in at if moment is not None], link


def test_random_loss_is_about_what_was_asked_and_repeatable() -> None:
    seen, link = arrivals(Impairment(loss=0.2), 10_000, 0.001)
    assert 1_800 < link.counters["lost"] < 2_200
    assert arrivals(Impairment(loss=0.2), 10_000, 0.001)[0] == seen
    assert arrivals(Impairment(loss=0.2), 10_000, 0.001, seed=8)[0] != seen


def test_bursts_lose_neighbours() -> None:
    seen, link = arrivals(Impairment(burst=(0.01, 0.25)), 10_000, 0.001)
    gaps = sum(b - a > 0.0011 for a, b in itertools.pairwise(seen))
    assert link.counters["lost"] > 2 * gaps > 0


def test_a_narrow_link_delays_up_to_its_queue_and_then_drops() -> None:
    seen, link = arrivals(Impairment(rate_bps=800_000, queue_bytes=10_000), 200, 0.005)
    assert all(b - a > 0.009 for a, b in itertools.pairwise(seen)), "1,000 bytes take 10 ms"
    assert 80 < link.counters["overflowed"] < 120, "twice as many were offered"


def test_jitter_keeps_the_order_and_reordering_does_not() -> None:
    jittery, _ = arrivals(Impairment(delay=0.1, jitter=0.03), 1_000, 0.001)
    assert jittery == sorted(jittery)
    assert all(at >= 0.1 for at in jittery)
    shuffled, link = arrivals(Impairment(reorder=0.1), 1_000, 0.001)
    assert shuffled != sorted(shuffled)
    assert link.counters["reordered"] > 50
