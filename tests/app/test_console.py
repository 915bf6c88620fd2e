"""The console's files, its one page for every address of its own, and a policy that lets in nothing foreign."""

from pathlib import Path

import httpx
import pytest
from starlette.exceptions import HTTPException

from auralink.app.console import Console


@pytest.fixture
def build(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<title>AuraLink</title>")
    (tmp_path / "assets" / "app-1a2b.js").write_text("run()")
    (tmp_path.parent / "outside.txt").write_text("not ours to give")
    return tmp_path


def client_of(build: Path) -> httpx.AsyncClient:
    console = Console(build, lambda host: (f"ws://{host}:7880", f"http://{host}:7880"))
    transport = httpx.ASGITransport(console, raise_app_exceptions=True)
    return httpx.AsyncClient(transport=transport, base_url="http://aura.test:8080")


@pytest.mark.parametrize("path", ["/", "/index.html", "/rooms", "/rooms/room_01/call", "/invite/abc"])
async def test_every_address_of_the_console_is_its_page(build: Path, path: str) -> None:
    async with client_of(build) as client:
        answer = await client.get(path)
    assert (answer.status_code, answer.text) == (200, "<title>AuraLink</title>")
    assert answer.headers["cache-control"] == "no-cache"


async def test_asset_is_kept_by_browsers_for_its_name_holds_its_digest(build: Path) -> None:
    async with client_of(build) as client:
        answer = await client.get("/assets/app-1a2b.js")
    assert answer.text == "run()"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("path", ["/assets/gone.js", "/favicon.ico", "/api/v1/nothing", "/api"])
async def test_missing_file_or_route_is_not_the_page(build: Path, path: str) -> None:
    async with client_of(build) as client:
        with pytest.raises(HTTPException, match="404"):
            await client.get(path)


@pytest.mark.parametrize("path", ["/../outside.txt", "/assets/../../outside.txt", "/%2e%2e/outside.txt"])
async def test_nothing_outside_the_build_is_given(build: Path, path: str) -> None:
    async with client_of(build) as client:
        request = client.build_request("GET", "/")
        request.url = request.url.copy_with(raw_path=path.encode())
        try:
            given = (await client.send(request)).text
        except HTTPException as refusal:
            given = refusal.detail
    assert "not ours" not in given


async def test_policy_allows_our_files_and_the_media_server_of_the_same_host_only(build: Path) -> None:
    async with client_of(build) as client:
        policy = (await client.get("/")).headers["content-security-policy"]
        directives = dict(directive.split(" ", 1) for directive in policy.split("; "))
        assert directives["connect-src"] == "'self' ws://aura.test:7880 http://aura.test:7880"
        assert (directives["default-src"], directives["script-src"]) == ("'none'", "'self'")
        assert "unsafe" not in policy
        for host in ("evil.test; script-src *", "a b", "x\u00e4.test", "user@host", "<b>"):
            odd = (await client.get("/", headers=[(b"host", host.encode())])).headers["content-security-policy"]
            assert "connect-src 'self';" in odd, "a host that is none does not get into the policy"


async def test_console_that_is_not_built_says_so(tmp_path: Path) -> None:
    async with client_of(tmp_path / "missing") as client:
        answer = await client.get("/")
    assert answer.status_code == 503
    assert "make up" in answer.text
