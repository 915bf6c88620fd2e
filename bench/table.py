"""The results as Markdown: what a reader sees on the terminal, in bench/results and in a closing note."""

import statistics
from typing import Any

from bench.machine import Machine
from bench.measure import Report, Results
from bench.network import NETWORKS
from bench.rows import FRAMES_PER_S, PACKETS_PER_FRAME, VIDEO_PAYLOAD, Row

OURS = "AuraLink"
PEER = "LiveKit"
STEERED = (
    "Packets are delivered on the generator's core (RPS): the kernel's work for the receiving sockets is not in the "
    "servers' CPU time, nor in the raw relay's."
)
FULL = 0.9
"""A core above this share is taken as the limit of a run."""
LOSSY = 0.001
DISTURBED = 0.2
"""Share of the server's core that went to other processes, above which a figure is doubtful: a server that is kept
waiting finds more packets at once, which is cheaper for each of them."""


def markdown(machine: Machine, results: Results, rows: list[Row], minutes: float) -> str:
    peer = any(PEER in servers for servers in results.loads.values())
    network = NETWORKS[results.network]
    lines = [
        f"# Media figures of {machine.date}, commit {machine.commit}, over {network.title}",
        "",
        f"{machine.processor}, {machine.cores} cores, kernel {machine.kernel}; load average when it began "
        f"{machine.load_before}. Server on core 0, generator on core 1. {minutes:.0f} minutes.",
        *(["", network.meaning] if network.meaning else []),
        *(["", STEERED] if results.steered else []),
        "",
        f"Video is {FRAMES_PER_S} frames a second of {PACKETS_PER_FRAME} packets with {VIDEO_PAYLOAD} bytes, audio 50 "
        "packets a second with 80 bytes. Packets per CPU-second: what subscribers received, by the CPU time of the "
        "whole server process and its children. Raw UDP: a relay with the same sends at "
        "the same rate and no other work; flat out: each frame when the one before is through.",
        "",
        *_loads(results, rows, peer),
        "",
        *_latency(results, rows),
        "",
        *([*_joins(results), ""] if results.joins else []),
        *([*_churn(results), ""] if results.churn else []),
        *_memory(results),
    ]
    if results.failures:
        lines += ["", "## Not measured", "", *(f"- {failure}" for failure in results.failures)]
    return "\n".join(lines) + "\n"


def median(reports: list[Report], *path: str) -> float:
    """The median over repeats of one figure of the reports."""

    def pick(report: Any) -> float:
        for name in path:
            report = report[name]
        return float(report or 0)

    return statistics.median(pick(report) for report in reports)


def per_cpu_second(reports: list[Report]) -> float:
    return median(reports, "server", "packets_per_cpu_s")


def _loads(results: Results, rows: list[Row], peer: bool) -> list[str]:
    head = ["row", f"{OURS} /CPU-s", *([f"{PEER} /CPU-s", "ratio"] if peer else [])]
    head += ["raw sendmmsg", "raw GSO", "of raw GSO", "raw GSO flat out", "received/s", "remarks"]
    lines = ["## Forwarded packets per server CPU-second", "", _line(head), _line(["---"] * len(head))]
    for row in rows:
        servers = results.loads.get(row.name, {})
        raw = results.raw.get(row.name, {})
        ours, theirs = servers.get(OURS, []), servers.get(PEER, [])
        own = per_cpu_second(ours) if ours else None
        other = per_cpu_second(theirs) if theirs else None
        cells = [row.name, _count(own)]
        if peer:
            cells += [_count(other), f"{own / other:.1f}x" if own and other else "-"]
        cells += [_count(raw.get("sendmmsg")), _count(raw.get("gso"))]
        cells += [f"{own / raw['gso']:.0%}" if own and raw.get("gso") else "-"]
        cells += [_count(raw.get("gso_flat_out"))]
        cells += [_count(median(ours, "received_per_s")) if ours else "-"]
        cells += ["; ".join(f"{name}: {remark}" for name in servers if (remark := remarks(servers[name]))) or "-"]
        lines.append(_line(cells))
    return lines


def remarks(reports: list[Report]) -> str:
    """What a reader must know before believing a figure."""
    said = []
    if not all(report["complete"] for report in reports):
        said.append(f"only {reports[0]['streams_playing']} of {reports[0]['streams_expected']} streams played")
    if median(reports, "generator", "cpu_share") > FULL or median(reports, "generator", "drops") > 0:
        said.append("the generator was the limit")
    share = median(reports, "server", "cpu_share")
    said.append(f"core {share:.0%} busy" + (", the server was the limit" if share > FULL else ""))
    others = median(reports, "server", "core_busy_share") - share
    if others > DISTURBED:
        said.append(f"other work took {others:.0%} of that core")
    expected, received = median(reports, "packets", "expected"), median(reports, "packets", "received")
    if expected and (expected - received) / expected > LOSSY:
        said.append(f"{(expected - received) / expected:.1%} did not arrive")
    if median(reports, "packets", "failed_checks") > 0:
        said.append("some packets did not decrypt")
    return ", ".join(said)


def _latency(results: Results, rows: list[Row]) -> list[str]:
    lines = ["## One way through the server, µs (stamped by the publisher, read by the subscriber, same process)", ""]
    lines += [
        "Until the kernel has it: without the time that the subscriber, the generator, needs to come round to it. "
        "Taken in the half-load rows only, because the kernel then stamps every packet, the server's, too.",
        "",
    ]
    lines += [_line(["row", "server", "p50", "p99", "until the kernel has it, p50", "p99"]), _line(["---"] * 6)]
    for row in rows:
        for name, reports in results.loads.get(row.name, {}).items():
            p50, p99 = median(reports, "latency_us", "p50"), median(reports, "latency_us", "p99")
            passage = ["-", "-"]
            if median(reports, "passage_us", "samples") > 0:
                passage = [f"{median(reports, 'passage_us', rank):,.0f}" for rank in ("p50", "p99")]
            lines.append(_line([row.name, name, f"{p50:,.0f}", f"{p99:,.0f}", *passage]))
    return lines


def _joins(results: Results) -> list[str]:
    lines = ["## Joins, ms from opening the WebSocket (p50 / p95)", ""]
    lines += [_line(["server", "at once", "joined", "connected", "first video frame", "official SDK connected"])]
    lines += [_line(["---"] * 6)]
    for name, waves in results.joins.items():
        for at_once, report in waves.items():
            joins = report["joins"]
            cells = [_pair(joins[step]) for step in ("joined_ms", "connected_ms", "first_frame_ms")]
            sdk = results.sdk_joins.get(name, {}).get(at_once)
            missing = f" ({report['incomplete']} incomplete)" if report["incomplete"] else ""
            lines.append(_line([name, at_once + missing, *cells, _pair(sdk) if sdk else "-"]))
    return lines


def _churn(results: Results) -> list[str]:
    lines = ["## Joins in a second, ten joining at any time, each until its first media packet", ""]
    lines += [_line(["server", "joins/s", "server CPU ms a join", "ms until media p50 / p95", "remarks"])]
    lines += [_line(["---"] * 5)]
    for name, report in results.churn.items():
        said = [f"server {report['server_cpu_share']:.0%} busy"]
        if report["generator_cpu_share"] > FULL:
            said.append("the generator was the limit")
        if report["gave_up"]:
            said.append(f"{report['gave_up']} gave up: {report['first_error'] or 'too slow'}")
        times = f"{report['playing_ms_p50']:.0f} / {report['playing_ms_p95']:.0f}"
        cells = [f"{report['joins_per_s']:.0f}", f"{report['server_cpu_ms_per_join']:.1f}", times, "; ".join(said)]
        lines.append(_line([name, *cells]))
    return lines


def _pair(summary: Report) -> str:
    return f"{summary['p50']:.0f} / {summary['p95']:.0f}"


def _memory(results: Results) -> list[str]:
    lines = ["## Memory (proportional set size), idle and added by each participant", ""]
    lines += [_line(["server", "idle MB", "per audio subscriber of 10, KB", "per video subscriber of 1, KB"])]
    lines += [_line(["---"] * 4)]
    names = dict.fromkeys(name for servers in results.loads.values() for name in servers)
    for name in names:
        audio = _growth(results, "audio 10 to 50", name, 60)
        video = _growth(results, "video 1 to 200", name, 201)
        first = next(servers[name] for servers in results.loads.values() if name in servers)
        idle = median(first, "server", "proportional_before") / 1e6
        lines.append(_line([name, f"{idle:.0f}", _count(audio), _count(video)]))
    return lines


def _growth(results: Results, row: str, name: str, participants: int) -> float | None:
    reports = results.loads.get(row, {}).get(name)
    if not reports:
        return None
    before, after = (median(reports, "server", f"proportional_{when}") for when in ("before", "after"))
    return (after - before) / participants / 1e3


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
