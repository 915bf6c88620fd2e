"""What `make bench` does when it cannot measure."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench import card, loopback
from bench.machine import Machine
from bench.measure import Bench, Effort, Results
from bench.network import LOOPBACK, NETWORKS
from bench.rows import AUDIO_PACKETS_PER_S, ROWS, Row
from bench.servers import Server, ServerError
from bench.table import markdown


def test_a_server_that_does_not_start_ends_the_run_with_its_reason() -> None:
    tried: list[str] = []

    @contextmanager
    def broken() -> Iterator[Server]:
        tried.append("once")
        raise ServerError("no such module")
        yield

    bench = Bench(Path("/nowhere"), {"AuraLink": broken}, Effort.short(), LOOPBACK, lambda _: None)
    with pytest.raises(ServerError, match="no such module"):
        bench.load(ROWS[0])
    assert tried == ["once"]
    assert bench.results.raw == {}


def test_loopback_is_as_before_after_a_run_that_failed(tmp_path: Path) -> None:
    setting = tmp_path / "rps_cpus"
    setting.write_text("0\n")

    def fail() -> None:
        assert setting.read_text() == "2\n"
        raise ServerError("gone")

    with pytest.raises(ServerError), loopback.delivered_on(1, setting):
        fail()
    assert setting.read_text() == "0\n"


def test_a_kernel_without_steering_is_told(tmp_path: Path) -> None:
    with pytest.raises(loopback.SteeringError, match="cannot steer"), loopback.delivered_on(1, tmp_path / "none" / "x"):
        pytest.fail("nothing was steered")


def test_the_raw_relay_sends_what_the_publishers_of_all_rooms_send() -> None:
    row = Row("rooms", publishers=3, subscribers=0, publish="audio", meeting=True, rooms=4)
    options = row.options()
    assert options[options.index("--rooms") + 1] == "4"
    [shape] = row.shapes()
    assert (shape.frames_per_s, shape.destinations) == (4 * 3 * AUDIO_PACKETS_PER_S, 2)


def test_the_heading_says_which_network_it_was() -> None:
    here = Machine("a processor", 2, "6.18", "2026-11-30 12:00 UTC", "abc1234", 0.1)
    for network in NETWORKS.values():
        first, *rest = markdown(here, Results(network=network.name), [], 1).splitlines()
        assert first.endswith(f"over {network.title}")
        assert ("TUN device" in "".join(rest)) is not network.is_loopback


def test_joins_that_were_left_out_have_no_table() -> None:
    here = Machine("a processor", 2, "6.18", "2026-11-30 12:00 UTC", "abc1234", 0.1)
    step = {"p50": 100.0, "p95": 120.0}
    joins = {"joined_ms": step, "connected_ms": step, "first_frame_ms": step}
    taken = Results(joins={"AuraLink": {"1": {"joins": joins, "incomplete": 0}}})
    assert "Joins" not in markdown(here, Results(), [], 1)
    assert "| AuraLink | 1 | 100 / 120 |" in markdown(here, taken, [], 1)


def test_who_may_not_have_a_card_is_told_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(card, "_leave_network", refuse)
    with pytest.raises(card.CardError, match="needs root and /dev/net/tun"):
        card.plug_in()
