"""Accounts through the API: signing up, in and out, refreshing."""

import httpx

from auralink.app.testing import PASSWORD, Gateway

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
