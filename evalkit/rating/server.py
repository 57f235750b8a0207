"""The rating page: one secret link per subject, and nothing else."""

import json
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from evalkit.errors import EvalkitError, UnknownNameError
from evalkit.rating._database import RatingsError
from evalkit.rating.session import Session
from evalkit.rating.store import Store
from evalkit.texts import text, texts_of
from evalkit.viewer import with_viewer

FOLDER = Path(__file__).parent

FILES = {
    "page.html": "text/html",
    "page.js": "text/javascript",
    "messages.json": "application/json",
    "widget.js": "text/javascript",
    "widget.css": "text/css",
}
"""The files of the page, beside its texts; ``page.html`` is at the root."""

Params: TypeAlias = Mapping[str, str]
Answer: TypeAlias = Callable[[Session, Params, bytes], Response]

MAX_EVENT_BYTES = 16_384

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def rating_app(
    store: Store, stimuli: Path, published: Mapping[str, float | str] | None = None
) -> Starlette:
    """Make the ASGI application that serves sessions to whoever has a link.

    Every address begins with ``/r/<secret>/``, as `Store.link` made it. Whatever is
    wrong with an address, the answer is the same 404. For the arguments see `Session`.
    """

    def route(path: str, answer: Answer, method: str = "GET") -> Route:
        def respond(request: Request, body: bytes) -> Response:
            try:
                subject = store.subject_of(request.path_params["secret"])
                if subject is None:
                    return _refusal(404, request)
                session = Session(store, subject, stimuli, published)
                return answer(session, request.path_params, body)
            except UnknownNameError:
                return _refusal(404, request)
            except RatingsError as error:
                print(f"evalkit: {error}", file=sys.stderr)
                return _refusal(503, request)
            except (EvalkitError, ValueError, RecursionError):
                return _refusal(400, request)

        async def endpoint(request: Request) -> Response:
            body = b""
            async for part in request.stream():
                body += part
                if len(body) > MAX_EVENT_BYTES:
                    return _refusal(413, request)
            return await run_in_threadpool(respond, request, body)

        return Route("/r/{secret}/" + path, endpoint, methods=[method])

    return Starlette(
        routes=[
            route("view", lambda session, _, __: _json(session.view())),
            route("event", _event, "POST"),
            route("stimulus/{name}", _stimulus),
            route("labels.json", lambda *_: _json(dict(texts_of("rating")))),
            route("{file}", _file),
            route("", _file),
        ],
        exception_handlers={HTTPException: _answer_http_error},
    )


def serve(app: Starlette, listener: socket.socket) -> None:
    """Serve on a bound socket until interrupted; nothing is logged but errors."""
    import uvicorn

    # an access log would hold the secrets; a subject may look at a picture for long
    config = uvicorn.Config(
        app, log_level="error", access_log=False, timeout_keep_alive=300
    )
    uvicorn.Server(config).run(sockets=[listener])


def _event(session: Session, _: Params, body: bytes) -> Response:
    return _json(session.handle(json.loads(body)))


def _stimulus(session: Session, params: Params, _: bytes) -> Response:
    webp = session.stimulus(params["name"])
    return Response(webp, media_type="image/webp", headers=HEADERS)


def _file(_: Session, params: Params, __: bytes) -> Response:
    name = params.get("file", "page.html")
    if name not in FILES:
        raise UnknownNameError("file", name, FILES)
    content = (FOLDER / name).read_text(encoding="utf-8")
    if name == "widget.js":
        content = with_viewer(content)
    return Response(content, media_type=FILES[name], headers=HEADERS)


def _json(view: dict[str, Any]) -> Response:
    return JSONResponse(view, headers=HEADERS)


def _refusal(status: int, request: Request) -> Response:
    """A sentence, in Chinese to a browser that asks for it first."""
    languages = request.headers.get("accept-language", "")
    why = "store" if status >= 500 else "link" if status == 404 else "event"
    sentence = text(
        f"rating.refused.{why}", "zh" if languages.startswith("zh") else "en"
    )
    return Response(f"{sentence}\n", status, media_type="text/plain", headers=HEADERS)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _refusal(status, request)
