"""`auralink webhooks replay`: asks the media server to send accepted webhooks again."""

from datetime import datetime, timedelta

import httpx
from livekit.api import AccessToken, VideoGrants

from auralink.app.settings import AppSettings
from auralink.kit.livekit import LiveKitSettings

_TOKEN_LIFE = timedelta(minutes=1)
_TIMEOUT_S = 30.0


class ReplayFailed(Exception):
    """Nothing is sent again. The message says why."""


def replay(livekit: LiveKitSettings, settings: AppSettings, since: datetime, until: datetime | None, room: str) -> int:
    """How many events are sent again, over all receivers; times without a zone are local. Raises ReplayFailed."""
    url = (livekit.livekit_url or f"ws://localhost:{settings.media_port}").replace("ws", "http", 1).rstrip("/")
    wanted = {"since": int(since.timestamp()), "until": until and int(until.timestamp()), "room": room}
    headers = {"Authorization": f"Bearer {_token(livekit)}"}
    try:
        answer = httpx.post(f"{url}/webhooks/replay", json=wanted, headers=headers, timeout=_TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ReplayFailed(f"The media server at {url} does not answer: {error}") from error
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise ReplayFailed(f"The server at {url} keeps no webhooks; is it a LiveKit server?")
    if answer.status_code != httpx.codes.OK:
        raise ReplayFailed(f"The media server at {url} refuses: {_reason(answer)}")
    return int(answer.json()["events"])


def _token(livekit: LiveKitSettings) -> str:
    key, secret = livekit.livekit_api_key.get_secret_value(), livekit.livekit_api_secret.get_secret_value()
    grants = VideoGrants(room_create=True, room_list=True)
    return AccessToken(key, secret).with_grants(grants).with_ttl(_TOKEN_LIFE).to_jwt()


def _reason(answer: httpx.Response) -> str:
    """Of a problem document its detail, else the status."""
    try:
        problem = answer.json()
        return str(problem.get("detail") or problem["title"])
    except (ValueError, KeyError, AttributeError):
        return f"status {answer.status_code}"
