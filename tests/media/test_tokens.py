"""Tokens that are signed well and odd all the same are refused, not stumbled over."""

from typing import Any

import pytest
from tests.media.scripted import KEY, Server

from auralink.media.tokens import TokenRefused


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 10**18},
        {"exp": "soon"},
        {"video": "everything"},
        {"video": {"canPublishSources": 7}},
        {"attributes": ["a"]},
        {"attributes": {"a": 1}},
        {"kind": "ghost"},
        {"roomConfig": {"maxParticipants": "many"}},
    ],
    ids="-".join,
)
def test_odd_claims_are_refused(claims: dict[str, Any]) -> None:
    keys = Server().keys
    token = keys.sign(KEY, {"sub": "ann", "exp": 4_000_000_000, "video": {"roomJoin": True, "room": "r"}} | claims)
    with pytest.raises(TokenRefused):
        keys.verify(token)
