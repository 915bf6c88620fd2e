"""Tokens that were revoked when their holder was removed."""

import pytest
from tests.media.scripted import Server

from auralink.media.revocations import Revocations, TokenRevoked


def test_a_token_from_before_the_removal_is_refused_and_a_newer_one_is_not() -> None:
    server = Server()
    server.rooms.revocations.revoke("", "lobby", "ann", 1_000)
    with pytest.raises(TokenRevoked):
        server.join("ann", nbf=999)
    with pytest.raises(TokenRevoked):
        server.join("ann", iat=999)
    with pytest.raises(TokenRevoked):
        server.join("ann")  # says nothing about its age
    server.join("ann", nbf=1_000)
    server.join("bob", nbf=1)


def test_a_revocation_is_of_one_room_of_one_tenant() -> None:
    server = Server()
    server.rooms.revocations.revoke("another", "lobby", "ann", 1_000)
    server.rooms.revocations.revoke("", "elsewhere", "ann", 1_000)
    server.join("ann", nbf=1)


def test_a_later_removal_never_makes_old_tokens_good_again() -> None:
    server = Server()
    server.rooms.revocations.revoke("", "lobby", "ann", 1_000)
    server.rooms.revocations.revoke("", "lobby", "ann", 500)
    with pytest.raises(TokenRevoked):
        server.join("ann", nbf=700)


def test_the_oldest_removal_is_forgotten_when_there_are_too_many() -> None:
    few = Revocations(kept=2)
    server = Server()
    for identity in ("ann", "bob", "cyd"):
        few.revoke("", "lobby", identity, 1_000)
    few.check(server.keys.verify(server.token("ann", nbf=1)))
    for identity in ("bob", "cyd"):
        with pytest.raises(TokenRevoked):
            few.check(server.keys.verify(server.token(identity, nbf=1)))
