"""What a request may cost: the size of its body and the time until its answer begins."""

import asyncio
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auralink.kit.errors import AuraError, InvalidInput, PayloadTooLarge, Timeout
from auralink.kit.http.problem import problem


class BodyTooLarge(PayloadTooLarge):
    code = "body_too_large"


class RequestLimits:
    """`paths` maps a path prefix to the limit that holds below it instead of `body_bytes`. Event streams and other long
    answers are not cut off: the time runs until the answer begins."""

    def __init__(self, app: ASGIApp, body_bytes: int, seconds: float, paths: Mapping[str, int]) -> None:
        self._app = app
        self._body_bytes = body_bytes
        self._seconds = seconds
        self._paths = sorted(paths.items(), key=lambda item: -len(item[0]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit_for(scope["path"])
        try:
            _check_announced(Headers(scope=scope), limit)
        except AuraError as error:
            await problem(error, scope["request_id"])(scope, receive, send)
            return
        await self._run(scope, _Counted(receive, limit), send)

    async def _run(self, scope: Scope, receive: "_Counted", send: Send) -> None:
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            if receive.exceeded and not begun:
                return  # whatever the application makes of half a body, the caller is told of the limit below
            begun = True
            deadline.reschedule(None)
            await send(message)

        error: AuraError
        try:
            async with asyncio.timeout(self._seconds) as deadline:
                await self._app(scope, receive, watched)
        except TimeoutError:
            if begun or not deadline.expired():
                raise
            error = Timeout(f"There was no answer within {self._seconds:g} s.")
        except Exception:
            if begun or not receive.exceeded:
                raise
            error = receive.error
        else:
            if begun or not receive.exceeded:
                return
            error = receive.error
        await problem(error, scope["request_id"])(scope, receive, send)

    def _limit_for(self, path: str) -> int:
        return next((limit for prefix, limit in self._paths if path.startswith(prefix)), self._body_bytes)


def _check_announced(headers: Headers, limit: int) -> None:
    announced = headers.get("content-length")
    if announced is None:
        return
    if not announced.isascii() or not announced.isdigit():
        raise InvalidInput("Content-Length is not a number.")
    if int(announced) > limit:
        raise BodyTooLarge(f"At most {limit} bytes are accepted here.")


class _Counted:
    """Passes the body on while it is within the limit, announced or not."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit
        self._limit = limit
        self.exceeded = False

    @property
    def error(self) -> BodyTooLarge:
        return BodyTooLarge(f"At most {self._limit} bytes are accepted here.")

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self.exceeded = True
                raise self.error
        return message
