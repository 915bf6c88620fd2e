"""`make bench`: builds the generator, loads the servers, prints the table and writes it to bench/results/."""

import argparse
import json
import os
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

from bench import card, generator, loopback, machine, servers, table
from bench.measure import Bench, Effort, Starter
from bench.network import NETWORKS, Network
from bench.rows import GROUPS, ROWS, Row
from bench.servers import ServerError

RESULTS = Path(__file__).resolve().parent / "results"


def main() -> int:
    arguments = _arguments()
    here = machine.describe()
    chosen = _rows(arguments)
    _say("building the generator")
    binary = generator.build()
    network = NETWORKS[arguments.network]
    effort = Effort.long() if arguments.long else Effort.short()
    bench = Bench(binary, _servers(arguments, network), effort, network, _say)
    bench.results.steered = arguments.steered
    begun = time.monotonic()
    try:
        if not network.is_loopback:
            card.plug_in()
        with loopback.delivered_on(generator.GENERATOR_CORE) if arguments.steered else nullcontext():
            _measure(bench, chosen, joins=not arguments.no_joins)
    except (ServerError, loopback.SteeringError, card.CardError) as error:
        _say(f"stopped: {error}")
        return 1
    text = table.markdown(here, bench.results, chosen, (time.monotonic() - begun) / 60)
    print(text)
    if not arguments.no_save:
        _save(here, bench, text)
    return 1 if bench.results.failures else 0


def _measure(bench: Bench, rows: list[Row], *, joins: bool) -> None:
    for row in rows:
        bench.load(row)
    if joins:
        bench.joins()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--long", action="store_true", help="three repeats, longer windows")
    parser.add_argument("--row", default="", help="only rows whose name contains this")
    parser.add_argument("--group", choices=(*GROUPS, "all"), default="main", help="which kind of rows (default main)")
    parser.add_argument("--no-joins", action="store_true", help="leave out the join times")
    parser.add_argument(
        "--network",
        choices=NETWORKS,
        default="loopback",
        help="what is between server and clients: loopback, a network card (a TUN device; needs root) or a plain card, "
        "which leaves segmentation to the kernel (default loopback)",
    )
    parser.add_argument(
        "--steered",
        action="store_true",
        help="the kernel delivers packets on the generator's core, as behind a network card (RPS; needs root)",
    )
    parser.add_argument("--no-save", action="store_true", help="print only")
    parser.add_argument("--peer", default=os.environ.get("PEER", ""), help="a livekit-server binary to compare with")
    parser.add_argument("--only-peer", action="store_true", help="leave AuraLink out")
    arguments = parser.parse_args()
    if arguments.steered and arguments.network != "loopback":
        parser.error("--steered is about loopback")
    return arguments


def _rows(arguments: argparse.Namespace) -> list[Row]:
    groups = GROUPS if arguments.group == "all" else (arguments.group,)
    named = [row for row in ROWS if row.group in groups and arguments.row in row.name]
    return [row for row in named if arguments.long or not row.long_only]


def _servers(arguments: argparse.Namespace, network: Network) -> dict[str, Starter]:
    chosen: dict[str, Starter] = {} if arguments.only_peer else {table.OURS: lambda: servers.auralink(network.address)}
    if arguments.peer:
        binary = Path(arguments.peer).resolve(strict=True)
        chosen[table.PEER] = lambda: servers.livekit(binary, network.address)
    return chosen


def _save(here: machine.Machine, bench: Bench, text: str) -> None:
    RESULTS.mkdir(exist_ok=True)
    name = f"{here.date[:10]}-{here.commit}" + ("-steered" if bench.results.steered else "")
    if bench.results.network != "loopback":
        name += f"-{bench.results.network}"
    whole = {"machine": here.as_dict(), **asdict(bench.results)}
    (RESULTS / f"{name}.json").write_text(json.dumps(whole, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text(text)
    _say(f"written to {RESULTS / name}.md and .json")


def _say(text: str) -> None:
    print(f"[bench] {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
