"""The media core through its Python face: it starts, speaks, stops and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from auralink import _native
from auralink.media import native_build

OFFERS = Path(__file__).parents[2] / "crates" / "media" / "tests" / "offers"


def start(**overrides: object) -> _native.Engine:
    settings: dict[str, object] = {
        "bind_addresses": ["127.0.0.1"],
        "advertised_addresses": [],
        "udp_port": 0,
        "tcp_port": 0,
    }
    return _native.Engine(**(settings | overrides))  # type: ignore[arg-type]


@pytest.fixture
def engine() -> Iterator[_native.Engine]:
    engine = start()
    yield engine
    engine.close(5.0)


def free_tcp_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def next_events(engine: _native.Engine, count: int) -> list[_native.Event]:
    events: list[_native.Event] = []
    while len(events) < count:
        assert select.select([engine.fileno()], [], [], 20)[0], f"only {events} came"
        events += engine.drain(100)
    return events


def threads() -> set[str]:
    return {thread.name for thread in Path("/proc/self/task").iterdir()}


def descriptors() -> set[str]:
    """What this process has open, each as "number target"."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own is gone by now
            found.add(f"{descriptor.name} {descriptor.readlink()}")
    return found


def held() -> set[str]:
    """To be compared as "nothing new": what earlier tests left to the garbage collector may go at any moment, so a
    count may fall for reasons that are not the engine's.
    """
    return threads() | descriptors()


def test_fifty_starts_and_stops_leave_no_thread_and_no_descriptor() -> None:
    start().close(5.0)
    before = held()
    for _ in range(50):
        engine = start(shards=2, tcp_port=free_tcp_port())
        assert len(engine.udp_ports) == 2
        engine.close(5.0)
        engine.close(5.0)
        del engine
    assert held() - before == set()


def test_an_engine_that_is_only_forgotten_stops_too() -> None:
    start().close(5.0)
    before = held()
    engine = start()
    assert threads() - before
    assert descriptors() - before
    del engine
    assert held() - before == set()


def test_a_taken_udp_port_is_named(engine: _native.Engine) -> None:
    port = engine.udp_ports[0]
    with pytest.raises(OSError, match=rf"UDP port {port} on 127\.0\.0\.1") as failure:
        start(udp_port=port)
    assert failure.value.errno == errno.EADDRINUSE


def test_a_taken_tcp_port_is_named_and_nothing_stays_bound() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        before = held()
        with pytest.raises(OSError, match=rf"TCP port {port} on 127\.0\.0\.1"):
            start(tcp_port=port)
        assert held() - before == set()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("bind_addresses", ["not an address"]),
        ("bind_addresses", []),
        ("advertised_addresses", ["example.org"]),
        ("limits", {"max_cheese": 1}),
        ("shards", 0),
    ],
)
def test_settings_that_cannot_be_are_value_errors(setting: str, value: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the message differs per case; the type is the contract)
        start(**{setting: value})


def test_names_that_are_unknown_are_value_errors(engine: _native.Engine) -> None:
    engine.create_room(1)
    with pytest.raises(ValueError, match="peer role"):
        engine.create_peer(1, 1, "spectator")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="data channel"):
        engine.send_data([1], "chat", b"")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="quality"):
        engine.subscribe(1, 1, quality="best")  # type: ignore[arg-type]


@pytest.mark.parametrize("handle", [-1, 65_536])
def test_a_handle_that_no_packet_can_carry_is_refused(engine: _native.Engine, handle: int) -> None:
    with pytest.raises(OverflowError):
        engine.publish_data(1, 1, handle)


def test_data_for_a_shard_that_does_not_keep_up_are_refused(engine: _native.Engine) -> None:
    engine.create_room(1)
    engine.create_peer(1, 1, "single")
    engine.inject_fault(0, "stall", seconds=1.0)
    megabyte = bytes(1 << 20)
    taken = [engine.send_data([1], "_reliable", megabyte) for _ in range(100)]
    assert taken[0]
    assert not taken[-1]


def test_commands_for_a_shard_that_does_not_keep_up_are_refused_but_closing_is_not(engine: _native.Engine) -> None:
    engine.create_room(1)
    engine.create_peer(1, 1, "single")
    engine.inject_fault(0, "stall", seconds=1.0)

    def fill() -> None:
        # More than two full queues: the shard may have taken one, with the order to stand still in it.
        for _ in range(50_000):
            engine.limit_bandwidth(1, 0)

    with pytest.raises(_native.EngineFull):
        fill()
    engine.close_peer(1)
    engine.close_room(1)


def test_what_names_nobody_is_answered_or_harmless(engine: _native.Engine) -> None:
    engine.create_peer(5, 99, "single")
    engine.offer(6, 3, "v=0")
    engine.make_offer(7)
    engine.subscribe(8, 80)
    engine.close_peer(9)
    engine.close_room(99)
    engine.unpublish(1)
    engine.set_muted(1, True)
    engine.unsubscribe(9, 1)
    engine.move_subscription(9, 1, 2)
    engine.publish_data(9, 90, 1)
    engine.subscribe_data(9, 90, 1)
    engine.unsubscribe_data(9, 90)
    engine.unpublish_data(90)
    engine.send_data([9], "_lossy", b"x")
    assert next_events(engine, 4) == [
        ("peer_closed", 5, "internal", "no such room"),
        ("offer_rejected", 6, 3, "no such peer"),
        ("peer_closed", 7, "internal", "no such peer"),
        ("subscription_failed", 8, 80, "no such peer"),
    ]


def test_an_offer_is_answered_with_the_shapes_of_the_stub(engine: _native.Engine) -> None:
    engine.create_room(1)
    engine.create_peer(7, 1, "single")
    engine.offer(7, 3, (OFFERS / "chromium-156-publish.sdp").read_text())
    answers = [event for event in next_events(engine, 1) if event[0] == "answer"]
    name, peer, offer_id, sdp, mid_to_track, sections = answers[0]
    assert (name, peer, offer_id) == ("answer", 7, 3)
    assert sdp.startswith("v=0\r\n")
    assert f" 127.0.0.1 {engine.udp_ports[0]} typ host" in sdp
    assert mid_to_track == {}
    assert sections
    for section in sections:
        assert set(section) == {"mid", "kind", "cid", "codecs", "rids"}
        assert section["kind"] in {"audio", "video"}
        assert all("/" in codec for codec in section["codecs"])


def test_an_offer_that_cannot_be_read_is_rejected_with_a_reason(engine: _native.Engine) -> None:
    engine.create_room(1)
    engine.create_peer(7, 1, "single")
    engine.offer(7, 1, "v=0\r\nnonsense")
    event = next_events(engine, 1)[0]
    assert event[0] == "offer_rejected"
    assert event[1:3] == (7, 1)
    assert event[3]


def test_the_eventfd_is_readable_exactly_while_events_wait(engine: _native.Engine) -> None:
    assert select.select([engine.fileno()], [], [], 0)[0] == []
    for peer in (1, 2, 3):
        engine.make_offer(peer)
    assert len(engine.drain(2)) == 2
    assert select.select([engine.fileno()], [], [], 0)[0] != []
    assert len(engine.drain(2)) == 1
    assert select.select([engine.fileno()], [], [], 0)[0] == []


async def test_asyncio_is_woken_by_an_event(engine: _native.Engine) -> None:
    loop = asyncio.get_running_loop()
    woken: asyncio.Future[list[_native.Event]] = loop.create_future()

    def on_readable() -> None:
        loop.remove_reader(engine.fileno())
        woken.set_result(engine.drain(100))

    loop.add_reader(engine.fileno(), on_readable)
    engine.make_offer(1)
    assert await asyncio.wait_for(woken, 20) == [("peer_closed", 1, "internal", "no such peer")]


def test_a_closed_engine_refuses_commands_and_can_still_be_drained(engine: _native.Engine) -> None:
    engine.make_offer(1)
    engine.close(5.0)
    with pytest.raises(_native.EngineClosed):
        engine.create_room(1)
    assert [event[0] for event in engine.drain(10)] == ["peer_closed"]
    assert engine.stats()["events_queued"] == 0


def test_an_engine_is_not_usable_after_fork(engine: _native.Engine) -> None:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            engine.create_room(1)
            verdict = b"used"
        except _native.EngineClosed as refusal:
            verdict = str(refusal).encode()
        os.write(write_end, verdict)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as answer:
        assert answer.read() == b"the media engine cannot be used after fork"
    os.waitpid(child, 0)
    engine.create_room(1)


def test_a_forked_child_lets_go_of_the_engine_without_stopping_it(engine: _native.Engine) -> None:
    mortal = start()
    port = mortal.udp_ports[0]
    child = os.fork()
    if child == 0:
        del mortal
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    with pytest.raises(OSError, match=str(port)):
        start(udp_port=port)
    mortal.close(5.0)


def test_counters_are_plain_numbers_with_the_contract_s_names(engine: _native.Engine) -> None:
    stats = engine.stats()
    assert {"peers", "datagrams_in", "rtp_forwarded", "dropped_auth", "events_queued", "commands_queued"} <= set(stats)
    assert all(type(value) is int for value in stats.values())


def test_other_python_threads_run_while_the_engine_closes() -> None:
    engine = start(shards=4)
    ran = threading.Event()
    worker = threading.Thread(target=ran.set)
    worker.start()
    engine.close(5.0)
    worker.join()
    assert ran.is_set()


def test_the_extension_was_built_from_these_sources() -> None:
    native_build.require_current_build()


def test_a_changed_source_is_noticed(tmp_path: Path) -> None:
    root = native_build.source_root()
    assert root is not None
    for name in ("media", "media-net", "native", "prefetch"):
        source = tmp_path / "crates" / name / "src"
        source.mkdir(parents=True)
        (source / "lib.rs").write_text(name)
        (source.parent / "Cargo.toml").write_text(name)
    for name in ("Cargo.toml", "Cargo.lock"):
        (tmp_path / name).write_text(name)
    before = native_build.source_digest(tmp_path)
    assert native_build.source_digest(tmp_path) == before
    (tmp_path / "crates/media/src/lib.rs").write_text("changed")
    assert native_build.source_digest(tmp_path) != before
