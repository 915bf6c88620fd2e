"""Accounts through the API: signing up, in and out, refreshing."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import argon2
import httpx
import pytest
from sqlalchemy import text

from auralink.app.testing import PASSWORD, Gateway, MakeGateway, MakePerson
from auralink.kit.auth import Principal

ANN = {"email": "ann@example.org", "password": PASSWORD, "name": "Ann Ray"}


async def sign_up(client: httpx.AsyncClient, **changes: str) -> httpx.Response:
    return await client.post("/api/v1/auth/signup", json=ANN | changes)


async def log_in(client: httpx.AsyncClient, email: str = ANN["email"], password: str = PASSWORD) -> httpx.Response:
    return await client.post("/api/v1/auth/login", json={"email": email, "password": password})


async def refresh(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/api/v1/auth/refresh", json={"refresh_token": token})


async def test_signing_up_answers_with_tokens_and_the_account(gateway: Gateway) -> None:
    async with gateway.client() as client:
        answer = await sign_up(client)
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert body["access_token"]
    assert body["refresh_token"]
    assert body["expires_in"] == 600
    assert {name: body["user"][name] for name in ("email", "name", "aura_id", "instance_role")} == {
        "email": "ann@example.org",
        "name": "Ann Ray",
        "aura_id": "ann-ray.aura",
        "instance_role": "owner",
    }
    assert body["user"]["id"].startswith("usr_")
    assert answer.headers["cache-control"] == "no-store"


async def test_the_first_account_owns_the_instance_and_later_ones_do_not(gateway: Gateway) -> None:
    async with gateway.client() as client:
        roles = [(await sign_up(client, email=f"p{n}@example.org")).json()["user"]["instance_role"] for n in range(3)]
    assert roles == ["owner", "user", "user"]


async def test_of_many_first_accounts_at_once_one_owns_the_instance(gateway: Gateway) -> None:
    async with gateway.client() as client:
        answers = await asyncio.gather(*(sign_up(client, email=f"p{n}@example.org") for n in range(8)))
    users = [answer.json()["user"] for answer in answers]
    assert [user["instance_role"] for user in users].count("owner") == 1
    assert len({user["aura_id"] for user in users}) == 8


async def test_of_many_sign_ups_with_one_address_one_gets_it(gateway: Gateway) -> None:
    async with gateway.client() as client:
        answers = await asyncio.gather(*(sign_up(client) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]


async def test_a_taken_address_is_refused_in_every_spelling(gateway: Gateway) -> None:
    async with gateway.client() as client:
        await sign_up(client)
        again = await sign_up(client, email="ANN@Example.org", password="entirely different words")
    assert again.status_code == 409
    assert again.json()["code"] == "signup_refused"


async def test_a_weak_password_is_refused_with_its_field(gateway: Gateway) -> None:
    async with gateway.client() as client:
        answer = await sign_up(client, password="password1234")
    assert answer.status_code == 422
    assert answer.json()["code"] == "weak_password"
    assert answer.json()["fields"][0]["field"] == "password"
    assert "password1234" not in answer.text


@pytest.mark.parametrize(
    "changes",
    [
        {"email": 7},
        {"email": "ann"},
        {"name": ""},
        {"name": "x" * 101},
        {"name": "Ann\x00Ray"},
        {"name": "Ann\r\nSet-Cookie: a=b"},
        {"name": "\u202eyaR nnA"},
        {"name": ["Ann"]},
        {"name": "\ud800"},
        {"password": "x" * 1025},
        {"password": None},
        {"email": "ann@example.org'; drop table users; --"},
        {"unknown": "field"},
    ],
)
async def test_bad_input_is_refused_field_by_field(gateway: Gateway, changes: dict[str, Any]) -> None:
    async with gateway.client() as client:
        content = json.dumps(ANN | changes)  # escapes what UTF-8 cannot carry, as an attacker would
        answer = await client.post("/api/v1/auth/signup", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["fields"]


async def test_text_that_is_not_json_and_bodies_beyond_the_limit_are_refused(gateway: Gateway) -> None:
    async with gateway.client() as client:
        broken = await client.post("/api/v1/auth/login", content=b"{", headers={"content-type": "application/json"})
        huge = await client.post("/api/v1/auth/login", json=ANN | {"name": "x" * 2_000_000})
    assert broken.status_code == 422
    assert huge.status_code == 413
    assert huge.json()["code"] == "body_too_large"


async def test_signing_in_does_not_tell_whether_an_account_exists(gateway: Gateway) -> None:
    async with gateway.client() as client:
        await sign_up(client)
        wrong = await log_in(client, password="not the right one")
        unknown = await log_in(client, email="nobody@example.org")
        no_address = await log_in(client, email="not an address")
    answers = [{k: v for k, v in a.json().items() if k != "request_id"} for a in (wrong, unknown, no_address)]
    assert wrong.status_code == unknown.status_code == no_address.status_code == 401
    assert answers[0] == answers[1] == answers[2]
    assert answers[0]["code"] == "invalid_credentials"


async def test_an_unknown_account_costs_the_same_password_work(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    real = argon2.PasswordHasher.verify

    def counting(self: argon2.PasswordHasher, encoded: str, password: str) -> bool:
        verified.append(encoded.rpartition("$")[0].rpartition("$")[0])
        return real(self, encoded, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counting)
    async with gateway.client() as client:
        await sign_up(client)
        await log_in(client, password="not the right one")
        await log_in(client, email="nobody@example.org")
    assert len(verified) == 2
    assert verified[0] == verified[1]  # algorithm, version and cost parameters


async def test_signing_in_works_in_every_spelling_of_the_address(gateway: Gateway) -> None:
    async with gateway.client() as client:
        made = await sign_up(client)
        back = await log_in(client, email="ANN@example.ORG")
    assert back.status_code == 200
    assert back.json()["user"] == made.json()["user"]


async def test_guessing_at_one_account_is_limited_from_all_addresses_together(gateway: Gateway) -> None:
    statuses = []
    for n in range(12):
        async with gateway.client(address=f"203.0.113.{n}") as client:
            answer = await log_in(client, password="a guess of mine")
            statuses.append(answer.status_code)
    assert statuses == [401] * 10 + [429] * 2
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["code"] == "rate_limited"


async def test_guessing_from_one_address_is_limited_over_all_accounts_together(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(login_limit_per_address="3/minute", signup_limit_per_address="2/minute")
    async with gateway.client() as client:
        statuses = [(await log_in(client, email=f"p{n}@example.org")).status_code for n in range(5)]
        sign_ups = [(await sign_up(client, email=f"p{n}@example.org")).status_code for n in range(3)]
    assert statuses == [401, 401, 401, 429, 429]
    assert sign_ups == [201, 201, 429]


async def test_a_refresh_token_is_good_for_one_exchange(gateway: Gateway) -> None:
    async with gateway.client() as client:
        first = (await sign_up(client)).json()["refresh_token"]
        second = (await refresh(client, first)).json()["refresh_token"]
        third = await refresh(client, second)
    assert third.status_code == 200
    assert len({first, second, third.json()["refresh_token"]}) == 3


async def test_a_replayed_refresh_token_ends_the_whole_session(gateway: Gateway) -> None:
    async with gateway.client() as client:
        stolen = (await sign_up(client)).json()["refresh_token"]
        kept = (await refresh(client, stolen)).json()
        await gateway.clock.advance(6)
        replay = await refresh(client, stolen)
        assert replay.status_code == 401
        assert replay.json()["code"] == "session_ended"
        assert (await refresh(client, kept["refresh_token"])).status_code == 401
        me = await client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {kept['access_token']}"})
        assert me.status_code == 401
        assert (await log_in(client)).status_code == 200  # the account itself is not locked


async def test_a_replay_is_told_in_the_events(gateway: Gateway) -> None:
    async with gateway.client() as client:
        stolen = (await sign_up(client)).json()["refresh_token"]
        await refresh(client, stolen)
        await gateway.clock.advance(6)
        await refresh(client, stolen)
        token = (await log_in(client)).json()["access_token"]
        events = (await client.get("/api/v1/events", headers={"Authorization": f"Bearer {token}"})).json()["items"]
    assert [event["type"] for event in events] == ["organization.created", "account.opened", "session.replayed"]


async def test_of_parallel_exchanges_one_gets_tokens_and_none_ends_the_session(gateway: Gateway) -> None:
    async with gateway.client() as client:
        token = (await sign_up(client)).json()["refresh_token"]
        answers = await asyncio.gather(*(refresh(client, token) for _ in range(8)))
        winners = [answer for answer in answers if answer.status_code == 200]
        losers = [answer for answer in answers if answer.status_code != 200]
        assert len(winners) == 1
        assert {answer.json()["code"] for answer in losers} == {"refresh_superseded"}
        assert not any("token" in answer.json() for answer in losers)
        assert (await refresh(client, winners[0].json()["refresh_token"])).status_code == 200


async def test_the_grace_for_parallel_exchanges_ends_with_the_successors_use(gateway: Gateway) -> None:
    async with gateway.client() as client:
        stolen = (await sign_up(client)).json()["refresh_token"]
        second = (await refresh(client, stolen)).json()["refresh_token"]
        third = (await refresh(client, second)).json()["refresh_token"]
        assert (await refresh(client, stolen)).json()["code"] == "session_ended"
        assert (await refresh(client, third)).status_code == 401


async def test_a_session_without_use_expires(gateway: Gateway) -> None:
    async with gateway.client() as client:
        token = (await sign_up(client)).json()["refresh_token"]
        await gateway.clock.advance(31 * 24 * 3600)
        assert (await refresh(client, token)).status_code == 401


@pytest.mark.parametrize("token", ["nonsense", "alr_" + "A" * 43, "\x00", "é"])
async def test_an_unknown_refresh_token_is_refused(gateway: Gateway, token: str) -> None:
    async with gateway.client() as client:
        answer = await refresh(client, token)
    assert answer.status_code == 401
    assert answer.json()["code"] == "session_ended"


async def test_signing_out_ends_the_session_at_once(person: MakePerson) -> None:
    ann = await person("Ann")
    gone = await ann.client.post("/api/v1/auth/logout", json={"refresh_token": ann.refresh_token})
    assert gone.status_code == 204
    assert (await ann.client.get("/api/v1/users/me")).status_code == 401
    assert (await refresh(ann.client, ann.refresh_token)).status_code == 401


async def test_signing_out_by_the_access_token_alone_works_too(person: MakePerson) -> None:
    ann = await person("Ann")
    assert (await ann.client.post("/api/v1/auth/logout")).status_code == 204
    assert (await refresh(ann.client, ann.refresh_token)).status_code == 401


async def test_signing_out_elsewhere_leaves_other_sessions_alone(person: MakePerson) -> None:
    ann = await person("Ann")
    other = (await log_in(ann.client, email=ann.account["user"]["email"])).json()
    await ann.client.post("/api/v1/auth/logout", json={"refresh_token": other["refresh_token"]})
    assert (await ann.client.get("/api/v1/users/me")).status_code == 200


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer nonsense", "Bearer a.b.c", "Bearer " + "x" * 5000]
)
async def test_every_route_of_an_account_asks_for_a_valid_token(gateway: Gateway, header: str | None) -> None:
    room = "room_00000000000000000000000000"
    routes = [
        ("GET", "/users/me"), ("PATCH", "/users/me"), ("GET", "/organizations"), ("GET", "/rooms"), ("POST", "/rooms"),
        ("GET", f"/rooms/{room}"), ("PATCH", f"/rooms/{room}"), ("DELETE", f"/rooms/{room}"),
        ("POST", f"/rooms/{room}/token"), ("GET", f"/rooms/{room}/participants"), ("GET", "/events"),
        ("GET", "/events/stream"), ("POST", f"/rooms/{room}/invites"), ("POST", "/auth/invitations"),
    ]  # fmt: skip
    headers = {} if header is None else {"Authorization": header}
    async with gateway.client() as client:
        for method, path in routes:
            answer = await client.request(method, f"/api/v1{path}", headers=headers, json={})
            assert answer.status_code == 401, (method, path, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_an_expired_token_is_refused(gateway: Gateway, person: MakePerson) -> None:
    ann = await person("Ann")
    await gateway.clock.advance(606)
    answer = await ann.client.get("/api/v1/users/me")
    assert answer.status_code == 401
    assert answer.json()["code"] == "invalid_token"


async def test_a_join_token_is_no_access_token(person: MakePerson) -> None:
    ann = await person("Ann")
    room = await ann.create_room()
    joined = (await ann.client.post(f"/api/v1/rooms/{room['id']}/token")).json()
    answer = await ann.client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {joined['token']}"})
    assert answer.status_code == 401


async def test_closed_sign_up_takes_nobody(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(signup="closed")
    async with gateway.client() as client:
        answer = await sign_up(client)
        assert (await client.get("/api/v1/auth/signup")).json() == {"mode": "closed"}
    assert answer.status_code == 403
    assert answer.json()["code"] == "signup_closed"


async def test_an_instance_others_can_reach_takes_nobody_without_an_invitation(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(only_loopback=False, owner_invitation="the-code-of-the-owner-0123456789")
    async with gateway.client() as client:
        assert (await sign_up(client)).json()["code"] == "invitation_refused"
        assert (await sign_up(client, invitation="a guess")).json()["code"] == "invitation_refused"
        owner = await sign_up(client, invitation="the-code-of-the-owner-0123456789")
        assert owner.json()["user"]["instance_role"] == "owner"
        again = await sign_up(client, email="bob@example.org", invitation="the-code-of-the-owner-0123456789")
        assert again.json()["code"] == "invitation_refused"

        headers = {"Authorization": f"Bearer {owner.json()['access_token']}"}
        code = (await client.post("/api/v1/auth/invitations", json={}, headers=headers)).json()["code"]
        guests = await asyncio.gather(*(sign_up(client, email=f"p{n}@example.org", invitation=code) for n in range(4)))
        assert sorted(guest.status_code for guest in guests) == [201, 422, 422, 422]
        bob = next(guest for guest in guests if guest.status_code == 201).json()
        assert bob["user"]["instance_role"] == "user"
        refused = await client.post(
            "/api/v1/auth/invitations", json={}, headers={"Authorization": f"Bearer {bob['access_token']}"}
        )
        assert refused.json()["code"] == "not_instance_owner"


async def test_an_invitation_expires(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(signup="invitation", owner_invitation="the-code-of-the-owner-0123456789")
    async with gateway.client() as client:
        owner = (await sign_up(client, invitation="the-code-of-the-owner-0123456789")).json()
        headers = {"Authorization": f"Bearer {owner['access_token']}"}
        made = await client.post("/api/v1/auth/invitations", json={"expires_in_hours": 1}, headers=headers)
        await gateway.clock.advance(3601)
        late = await sign_up(client, email="bob@example.org", invitation=made.json()["code"])
    assert late.json()["code"] == "invitation_refused"


async def test_profile_changes_hold(person: MakePerson) -> None:
    ann = await person("Ann")
    changed = await ann.client.patch("/api/v1/users/me", json={"name": "Ann Ray", "aura_id": "@Annie.aura"})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["name"], changed.json()["aura_id"]) == ("Ann Ray", "annie.aura")
    assert (await ann.client.get("/api/v1/users/me")).json() == changed.json()


async def test_an_aura_id_that_looks_like_anothers_is_taken(person: MakePerson) -> None:
    ann, bob = await person("Corner Shop"), await person("Bob")
    assert ann.account["user"]["aura_id"] == "corner-shop.aura"
    for lookalike in ("corner-shop", "comer-shop", "c0rner_shop", "CORNER-SHOP"):
        answer = await bob.client.patch("/api/v1/users/me", json={"aura_id": lookalike})
        assert answer.status_code == 409, lookalike
        assert answer.json()["code"] == "aura_id_taken"
    same = await ann.client.patch("/api/v1/users/me", json={"aura_id": "corner-shop"})
    assert same.status_code == 200


@pytest.mark.parametrize(
    "body", [{}, {"aura_id": "admin"}, {"aura_id": "pаypal"}, {"name": "\x07"}, {"email": "x@y.z"}]
)
async def test_a_profile_change_that_breaks_the_rules_is_refused(person: MakePerson, body: dict[str, str]) -> None:
    ann = await person("Ann")
    answer = await ann.client.patch("/api/v1/users/me", json=body)
    assert answer.status_code == 422, answer.text


async def test_the_key_set_is_published(gateway: Gateway) -> None:
    async with gateway.client() as client:
        keys = (await client.get("/api/v1/auth/jwks.json")).json()["keys"]
    assert [key["alg"] for key in keys] == ["EdDSA"]
    assert set(keys[0]) == {"kty", "crv", "x", "kid", "use", "alg"}


async def test_password_hashes_are_renewed_when_the_parameters_change(
    gateway: Gateway, make_gateway: MakeGateway, stored_hash: Callable[[], Awaitable[str]]
) -> None:
    async with gateway.client() as client:
        await sign_up(client)
        before = await stored_hash()
    stronger = await make_gateway(argon2_time_cost=2)
    async with stronger.client() as client:
        assert (await log_in(client)).status_code == 200
        after = await stored_hash()
        assert (await log_in(client)).status_code == 200
    assert "t=1" in before
    assert "t=2" in after
    assert before.startswith("$argon2id$")


@pytest.fixture
def stored_hash(gateway: Gateway) -> Callable[[], Awaitable[str]]:
    async def read() -> str:
        async with gateway.database.transaction(Principal.system()) as tx:
            return str((await tx.session.execute(text("select password_hash from credentials"))).scalar_one())

    return read
