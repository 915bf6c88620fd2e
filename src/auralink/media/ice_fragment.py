"""The little SDP that WHIP and WHEP need outside the engine: fragments that trickle or restart ICE (RFC 8840), and an
answer as a player reads it. Pure functions over text; what the engine answers has been validated by it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from auralink.kit.errors import AuraError

MAX_FRAGMENT_BYTES = 65_536
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_EOL = "\r\n"

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
_DIRECTIONS: tuple[Direction, ...] = ("sendrecv", "sendonly", "recvonly", "inactive")


class DescriptionRefused(AuraError):
    code = "description_refused"
    status = 400
    title = "The session description cannot be used"
    twirp = "invalid_argument"


@dataclass(frozen=True)
class Section:
    kind: str
    """`audio`, `video` or `application`."""
    mid: str
    direction: Direction

    @property
    def is_media(self) -> bool:
        return self.kind in ("audio", "video")

    @property
    def sends(self) -> bool:
        return self.is_media and self.direction in ("sendrecv", "sendonly")

    @property
    def receives(self) -> bool:
        return self.is_media and self.direction in ("sendrecv", "recvonly")


@dataclass(frozen=True)
class Fragment:
    ufrag: str
    password: str
    mids: tuple[str, ...]
    candidates: tuple[str, ...]


def sections(sdp: str) -> list[Section]:
    """The m-lines of an offer in order. Raises DescriptionRefused for what is no session description at all."""
    session, *media = _blocks(sdp)
    if not session or session[0] != "v=0" or not media:
        raise DescriptionRefused("The body is not an SDP offer.")
    return [Section(_kind(block), _value(block, "mid") or "", _direction(block)) for block in media]


def parse_fragment(text: str) -> Fragment:
    """Raises DescriptionRefused."""
    lines = _lines(text)
    ufrag, password = _value(lines, "ice-ufrag") or "", _value(lines, "ice-pwd") or ""
    if (ufrag and not _UFRAG.fullmatch(ufrag)) or (password and not _PASSWORD.fullmatch(password)):
        raise DescriptionRefused("The fragment's ICE credentials are malformed.")
    if not any(line.startswith("a=") for line in lines):
        raise DescriptionRefused("The body is not an SDP fragment.")
    mids = tuple(_values(lines, "mid"))
    return Fragment(ufrag, password, mids, tuple(_values(lines, "candidate")))


def credentials(sdp: str) -> tuple[str, str]:
    """(ufrag, password) of the description; all its sections share them (BUNDLE)."""
    lines = _lines(sdp)
    return _value(lines, "ice-ufrag") or "", _value(lines, "ice-pwd") or ""


def with_credentials(offer: str, fragment: Fragment) -> str:
    """The offer after an ICE restart: new credentials, and no candidates of the old ones."""
    kept = (line for line in _lines(offer) if not line.startswith(("a=candidate:", "a=end-of-candidates")))
    renewed = (
        _with_value(_with_value(line, "ice-ufrag", fragment.ufrag), "ice-pwd", fragment.password) for line in kept
    )
    return _text(renewed)


def fragment_of(answer: str) -> str:
    """Our end of the transport: what the answer's first section in use says of ICE."""
    session, *media = _blocks(answer)
    group = _value(session, "group") or ""
    tag = group.removeprefix("BUNDLE").split()[:1]
    block = next((b for b in media if [_value(b, "mid")] == tag), media[0])
    wanted = ("a=mid:", "a=ice-ufrag:", "a=ice-pwd:", "a=candidate:", "a=end-of-candidates")
    head = [line for line in session if line.startswith(("a=ice-lite", "a=ice-options:", "a=group:"))]
    return _text([*head, block[0], *(line for line in block[1:] if line.startswith(wanted))])


def for_player(answer: str, offered: list[Section], stream: str) -> str:
    """The answer for somebody who will not negotiate again: each section it receives in may carry a track at any time,
    and all tracks belong to one media stream, which players show as one."""
    session, *media = _blocks(answer)
    lines = list(session)
    for section, block in zip(offered, media, strict=False):
        refused = block[0].split()[1:2] == ["0"]
        lines += block if refused or not section.receives else _open(block, section, stream)
    return _text(lines)


def _open(block: list[str], section: Section, stream: str) -> list[str]:
    track = f"{section.kind}-{section.mid}"
    kept = [line for line in block if not line.startswith("a=msid:") and not _is_ssrc_msid(line)]
    replaced = ["a=sendonly" if line == "a=inactive" else line for line in kept]
    return [*replaced, f"a=msid:{stream} {track}"]


def _is_ssrc_msid(line: str) -> bool:
    return line.startswith("a=ssrc:") and line.partition(" ")[2].startswith("msid:")


def _lines(text: str) -> list[str]:
    return [line for line in text.replace("\r\n", "\n").split("\n") if line]


def _text(lines: "Iterator[str] | list[str]") -> str:
    return _EOL.join(lines) + _EOL


def _blocks(sdp: str) -> list[list[str]]:
    """The session's lines, then each section's."""
    blocks: list[list[str]] = [[]]
    for line in _lines(sdp):
        if line.startswith("m="):
            blocks.append([])
        blocks[-1].append(line)
    return blocks


def _kind(block: list[str]) -> str:
    return block[0].removeprefix("m=").split(" ")[0]


def _direction(block: list[str]) -> Direction:
    for direction in _DIRECTIONS:
        if f"a={direction}" in block:
            return direction
    return "sendrecv"  # RFC 8866 section 6.7


def _values(lines: list[str], name: str) -> Iterator[str]:
    prefix = f"a={name}:"
    return (line.removeprefix(prefix).strip() for line in lines if line.startswith(prefix))


def _value(lines: list[str], name: str) -> str | None:
    return next(_values(lines, name), None)


def _with_value(line: str, name: str, value: str) -> str:
    prefix = f"a={name}:"
    return prefix + value if line.startswith(prefix) else line
