"""Connections that send no request, or half of one, are closed."""

import asyncio
from typing import TYPE_CHECKING

import uvicorn.protocols.http.auto as uvicorn_http

CHECK_S = 15.0
"""After so long without the head of a request, a connection is closed at the next
check."""

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as Protocol
else:
    Protocol = uvicorn_http.AutoHTTPProtocol


class ImpatientProtocol(Protocol):
    """uvicorn's HTTP, which by itself waits for the head of a request for ever."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to check; called by asyncio."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._was_waiting = False
        self._check = self.loop.call_later(CHECK_S, self._check_head)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the checks; called by asyncio."""
        self._check.cancel()
        super().connection_lost(exc)

    def _check_head(self) -> None:
        """Close what has waited for a head at two checks; idle ones have a timer."""
        is_answered = self.cycle is None or self.cycle.response_complete
        is_waiting = is_answered and self.timeout_keep_alive_task is None
        if is_waiting and self._was_waiting:
            self.transport.close()
            return
        self._was_waiting = is_waiting
        self._check = self.loop.call_later(CHECK_S, self._check_head)
