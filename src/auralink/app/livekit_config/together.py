"""Keys that mean something only beside others: ports, addresses, TURN servers, key pairs."""

import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from auralink.app.livekit_config.outcomes import (
    Applied,
    BadValue,
    NotApplied,
    Outcome,
    boolean,
    integer,
    pairs,
    text,
    texts,
)
from auralink.media.ice_servers import DEFAULT_LIFE_S, TurnServer

Config = Mapping[str, object]
"""The file's keys, by their whole path."""

_EVERYWHERE = "0.0.0.0"  # noqa: S104 (as LiveKit without bind_addresses)
_FIRST_PORT = 50_000
"""LiveKit's, when the file names no UDP port."""
_MOST_SHARDS = 64


def bind_addresses(config: Config) -> Outcome:
    value = config.get("bind_addresses")
    if value is None:
        return Applied({"AURALINK_MEDIA_HOST": _EVERYWHERE}, "not named: every interface, as LiveKit")
    addresses = [address or _EVERYWHERE for address in texts(value)]
    if not addresses:
        raise BadValue("wants at least one address")
    others = f"; of several only the first: {addresses[0]}" if len(addresses) > 1 else ""
    return Applied({"AURALINK_MEDIA_HOST": addresses[0]}, f"signalling and media{others}")


def udp_ports(config: Config) -> Outcome:
    """One socket carries everybody, so a range is used from its beginning, one port for each shard."""
    if "rtc.udp_port" in config:
        first, last = _range(config["rtc.udp_port"])
        shards = min(last - first + 1, os.cpu_count() or 1, _MOST_SHARDS)
        ports = (
            f"port {first}"
            if shards == 1
            else f"ports {first} to {first + shards - 1}, one for each of {shards} shards"
        )
        return Applied({"AURALINK_MEDIA_UDP_PORT": str(first), "AURALINK_MEDIA_SHARDS": str(shards)}, ports)
    first = integer(config.get("rtc.port_range_start", _FIRST_PORT), 1, 65535)
    last = integer(config.get("rtc.port_range_end", max(first, 60_000)), first, 65535)
    return Applied({"AURALINK_MEDIA_UDP_PORT": str(first)}, f"of {first}-{last} only port {first}: everybody shares it")


def _range(value: object) -> tuple[int, int]:
    if isinstance(value, int) and not isinstance(value, bool):
        first = last = value
    elif isinstance(value, Mapping):
        first = integer(value.get("start", 0), 1, 65535)
        last = integer(value.get("end") or first, first, 65535)
    else:
        head, _, tail = text(value).partition("-")
        if not head.strip().isdigit() or (tail and not tail.strip().isdigit()):
            raise BadValue("wants a port, or a range such as 7882-7892")
        first, last = int(head), int(tail or head)
    if not 1 <= first <= last <= 65535:
        raise BadValue("wants a port, or a range such as 7882-7892")
    return first, last


def external_address(config: Config) -> Outcome:
    """use_external_ip goes before node_ip, as in LiveKit."""
    if boolean(config.get("rtc.use_external_ip", False)):
        return Applied({"AURALINK_MEDIA_EXTERNAL_IP": "true"}, "asked of the STUN servers; goes before node_ip")
    if "rtc.node_ip" not in config:
        return Applied(text="off: clients are told where media listens")
    value = config["rtc.node_ip"]
    found = [value.get("ipv4"), value.get("ipv6")] if isinstance(value, Mapping) else text(value).split(",")
    addresses = [text(address).strip() for address in found if address]
    return Applied({"AURALINK_MEDIA_ADDRESSES": json.dumps(addresses)}, f"clients are told {', '.join(addresses)}")


def turn_servers(config: Config, folder: Path) -> Outcome:
    value = config.get("rtc.turn_servers")
    if not isinstance(value, list):
        raise BadValue("wants a list of servers")
    servers = [_turn_server(entry, folder) for entry in value]
    return Applied({"AURALINK_MEDIA_TURN_SERVERS": json.dumps(servers)}, f"{len(servers)} told to clients")


def _turn_server(entry: object, folder: Path) -> dict[str, object]:
    if not isinstance(entry, Mapping):
        raise BadValue("wants a list of servers")
    plain = {str(key): value for key, value in entry.items() if value not in ("", None)}
    file = plain.pop("secret_file", None)
    if file and "secret" not in plain:
        plain["secret"] = _content(folder, text(file)).strip()
    plain["protocol"] = plain.get("protocol", "tcp")
    plain["ttl"] = plain.get("ttl") or DEFAULT_LIFE_S
    try:
        TurnServer.model_validate(plain)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "entry"
        raise BadValue(f"{where}: {problem['msg']}") from None
    return plain


def key_pairs(config: Config, folder: Path) -> Outcome:
    """All of them see the same rooms, as in LiveKit; the first, or webhook.api_key's, signs our webhooks."""
    found = {}
    if config.get("key_file"):
        found = _key_file(folder, text(config["key_file"]))
    elif "keys" in config:
        found = pairs(config["keys"])
    if not found:
        return NotApplied("no pairs named: this installation's own pair works, and no other")
    signer = text(config.get("webhook.api_key", next(iter(found))))
    if signer not in found:
        raise BadValue("webhook.api_key is not among the keys")
    others = {key: secret for key, secret in found.items() if key != signer}
    settings = {"AURALINK_LIVEKIT_API_KEY": signer, "AURALINK_LIVEKIT_API_SECRET": found[signer]}
    if others:
        settings["AURALINK_MEDIA_KEYS"] = json.dumps(others)
    return Applied(settings, f"{', '.join(found)}; {signer} signs webhooks")


def _key_file(folder: Path, name: str) -> dict[str, str]:
    path = _path(folder, name)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise BadValue(f"{path} cannot be read: {error.strerror}") from error
    if mode & 0o007:
        raise BadValue(f"{path} can be read by others (mode {mode:o}). Run: chmod 600 {path}")
    try:
        return pairs(yaml.safe_load(_content(folder, name)))
    except yaml.YAMLError as error:
        raise BadValue(f"{path} is not a file of lines such as 'key: secret'") from error


def _content(folder: Path, name: str) -> str:
    path = _path(folder, name)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadValue(f"{path} cannot be read") from error


def _path(folder: Path, name: str) -> Path:
    return folder / Path(os.path.expandvars(name)).expanduser()


Together = Callable[[Config, Path], Outcome]

TOGETHER: Mapping[str, tuple[tuple[str, ...], Together]] = {
    "bind_addresses": (("bind_addresses",), lambda config, _: bind_addresses(config)),
    "rtc.udp_port": (("rtc.udp_port", "rtc.port_range_start", "rtc.port_range_end"), lambda c, _: udp_ports(c)),
    "rtc.node_ip": (("rtc.use_external_ip", "rtc.node_ip"), lambda config, _: external_address(config)),
    "rtc.turn_servers": (("rtc.turn_servers",), turn_servers),
    "keys": (("keys", "key_file", "webhook.api_key"), key_pairs),
}
"""By the key shown when the file names none of them: the keys each takes in."""
ALWAYS = frozenset({"bind_addresses", "rtc.udp_port", "keys"})
"""Told even when the file does not name them, as LiveKit's default differs from ours."""
