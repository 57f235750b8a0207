"""What is asked of every request before anything reads it."""

import asyncio
import secrets
from urllib.parse import urlsplit

from starlette.datastructures import Headers, QueryParams
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BESIDE_MIB = 1
"""What a form holds beside its picture."""


class Bounded:
    """Lets in who may, and no more bytes than may, in no more time than they may take.

    A page of another site cannot send forms here: a browser tells where they are from.
    """

    def __init__(
        self, app: ASGIApp, *, token: str | None, upload_mib: float, upload_s: float
    ) -> None:
        self._app, self._token = app, token
        self._most_bytes = int((upload_mib + BESIDE_MIB) * 2**20)
        self._upload_s = upload_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on; see ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if refusal := self._refusal(scope):
            await refusal(scope, receive, send)
            return
        n_bytes, until = 0, asyncio.get_running_loop().time() + self._upload_s
        is_whole = False

        async def counted() -> Message:
            nonlocal n_bytes, is_whole
            if is_whole:  # what comes now is that the client has left
                return await receive()
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(408, "the upload took too long") from error
            n_bytes += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            if n_bytes > self._most_bytes:
                raise HTTPException(413, self._too_large)
            return message

        await self._app(scope, counted, send)

    @property
    def _too_large(self) -> str:
        return f"expected at most {self._most_bytes / 2**20:g} MiB, found more"

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._token is None:  # a name that leads here may be another site's
            name = urlsplit(f"//{host}").hostname
            if name not in ("localhost", "127.0.0.1", "::1"):
                return _refused(403, f"expected localhost as host, found {name}")
        elif scope["path"] != "/healthz":
            given = headers.get("authorization", "").removeprefix("Bearer ")
            given = given or QueryParams(scope["query_string"]).get("token", "")
            if not secrets.compare_digest(given.encode(), self._token.encode()):
                return _refused(401, "expected the header Authorization: Bearer TOKEN")
        if origin and urlsplit(origin).netloc != host:
            return _refused(403, "a page of another site may not ask here")
        size = headers.get("content-length", "0")
        if not size.isdecimal() or int(size) > self._most_bytes:
            return _refused(413, self._too_large)
        return None


def _refused(status: int, why: str) -> JSONResponse:
    return JSONResponse({"error": why}, status)
