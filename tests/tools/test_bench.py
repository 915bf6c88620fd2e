"""What `make bench` does when it cannot measure."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench import loopback
from bench.measure import Bench, Effort
from bench.rows import AUDIO_PACKETS_PER_S, ROWS, Row
from bench.servers import Server, ServerError


def test_a_server_that_does_not_start_ends_the_run_with_its_reason() -> None:
    tried: list[str] = []

    @contextmanager
    def broken() -> Iterator[Server]:
        tried.append("once")
        raise ServerError("no such module")
        yield

    bench = Bench(Path("/nowhere"), {"AuraLink": broken}, Effort.short(), lambda _: None)
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
