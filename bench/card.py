"""A network card for the servers: a TUN device in a network namespace of this run, whose other end the generator is."""

import ctypes
import os
import subprocess

DEVICE = "card0"
ADDRESS = "10.77.0.1"
"""The card's own; the generator gives its clients the others of the network (crates/loadgen/src/link.rs)."""
PREFIX_LENGTH = 16
QUEUE = 10_000
"""Packets the device holds until the generator reads them, which it does every 0.1 ms or so."""
NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of unshare(2)."""


class CardError(RuntimeError):
    """The kernel refused the namespace or the device."""


def plug_in() -> None:
    """Move this process, and those it starts from now on, to a network of their own: loopback and a card.

    It is gone when the last of these processes is. Raises CardError."""
    try:
        _leave_network()
        _ip("link", "set", "lo", "up")
        _ip("tuntap", "add", "dev", DEVICE, "mode", "tun", "vnet_hdr")
        # Before anybody is at the other end, whose ring has this length.
        _ip("link", "set", DEVICE, "txqueuelen", str(QUEUE))
        # Servers would talk of themselves to groups nobody is in.
        _ip("link", "set", DEVICE, "addrgenmode", "none")
        _ip("addr", "add", f"{ADDRESS}/{PREFIX_LENGTH}", "dev", DEVICE)
        _ip("link", "set", DEVICE, "up")
    except OSError as error:
        raise CardError(f"needs root and /dev/net/tun: {error}") from error


def options(*, segments: bool) -> list[str]:
    """What the generator needs to be the other end."""
    return ["--card", DEVICE, "--uso", str(segments).lower()]


def _leave_network() -> None:
    # os.unshare came with Python 3.12.
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_NETWORK) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"no network namespace: {os.strerror(number)}")


def _ip(*words: str) -> None:
    command = ["ip", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")
