"""The rating page: one secret link per subject, one for the owner, nothing else."""

import asyncio
import json
import re
import secrets
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
from starlette.routing import Mount, Route

from evalkit.errors import EvalkitError, UnknownNameError
from evalkit.rating._database import RatingsError
from evalkit.rating.links import language_of, note_visit
from evalkit.rating.owner import owner_page
from evalkit.rating.session import Session
from evalkit.rating.store import Store
from evalkit.texts import Language, text, texts_of
from evalkit.viewer import with_viewer

FOLDER = Path(__file__).parent

FILES = {
    "page.js": "text/javascript",
    "messages.json": "application/json",
    "widget.js": "text/javascript",
    "widget.css": "text/css",
}
"""The files of the page, beside its texts and ``page.html``, which is at the root."""

TAGS: dict[Language, str] = {"en": "en", "zh": "zh-Hans"}
"""The tag in HTML of each language."""

Params: TypeAlias = Mapping[str, str]
Answer: TypeAlias = Callable[[Session, Params, bytes], Response]
Respond: TypeAlias = Callable[[Request, bytes], Response]

MAX_EVENT_BYTES = 16_384

PATIENCE_S = 20.0
"""How long the head of a request, and then its body, may be on the way."""

FAREWELL_S = 5
"""How long, once it is interrupted, a request that is at work may go on."""

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
    store: Store,
    stimuli: Path,
    published: Mapping[str, float | str] | None = None,
    *,
    n_planned: int | None = None,
    to_look: Callable[[], int | None] = lambda: None,
    prefix: str = "",
) -> Starlette:
    """Make the ASGI application that serves sessions to whoever has a link.

    Every address begins with ``/r/<secret>/``, as `Store.link` made it, or is the
    owner's page, ``/o/<secret>/`` by the run's secret ``owner``. Whatever is wrong with
    an address, the answer is the same 404. For the first arguments see `Session`.

    Parameters
    ----------
    n_planned
        How many complete sessions the plan asks for; None for all that there are.
    to_look
        As `evalkit.rating.owner.summary` has it, at any time.
    prefix
        ``/path`` of a public address; a proxy may leave it before a request's address
        or take it off.

    """

    def of_session(answer: Answer) -> Respond:
        def respond(request: Request, body: bytes) -> Response:
            subject = store.subject_of(request.path_params["secret"])
            if subject is None:
                return _refusal(404, request)
            params = {**request.path_params, "language": _preferred(request)}
            params["subject"] = subject
            session = Session(store, subject, stimuli, published)
            return answer(session, params, body)

        return respond

    def show_view(session: Session, params: Params, _: bytes) -> Response:
        note_visit(store, params["subject"], _language(params))
        return _json(session.view())

    def show_page(_: Session, params: Params, __: bytes) -> Response:
        language = language_of(store, params["subject"], _language(params))
        html = page_file("page.html")
        html = html.replace('lang="en"', f'lang="{TAGS[language]}"', 1)
        return Response(html, media_type="text/html", headers=HEADERS)

    def show_owner(request: Request, _: bytes) -> Response:
        secret = request.path_params["secret"].encode()
        if not secrets.compare_digest(secret, store.secret("owner").encode()):
            return _refusal(404, request)
        html = owner_page(store, n_planned, _preferred(request), to_look())
        return Response(html, media_type="text/html", headers=HEADERS)

    routes = [
        _route("/r/{secret}/view", of_session(show_view)),
        _route("/r/{secret}/event", of_session(_event), "POST"),
        _route("/r/{secret}/stimulus/{name}", of_session(_stimulus)),
        _route(
            "/r/{secret}/labels.json",
            of_session(lambda *_: _json(dict(texts_of("rating")))),
        ),
        _route("/r/{secret}/{file}", of_session(_file)),
        _route("/r/{secret}/", of_session(show_page)),
        _route("/r/{secret}", of_session(_add_slash)),
        _route("/o/{secret}/", show_owner),
    ]
    app = Starlette(
        routes=[*routes, Mount(prefix, routes=routes)] if prefix else routes,
        exception_handlers={HTTPException: _answer_http_error},
    )
    # it would name the scheme and host of this side of a proxy: http, with the secret
    app.router.redirect_slashes = False
    return app


def _route(path: str, respond: Respond, method: str = "GET") -> Route:
    """A route whose body is read, within bounds, before a thread answers it."""

    def checked(request: Request, body: bytes) -> Response:
        try:
            return respond(request, body)
        except UnknownNameError:
            return _refusal(404, request)
        except RatingsError as error:
            print(f"evalkit: {error}", file=sys.stderr)
            return _refusal(503, request)
        except (EvalkitError, ValueError, RecursionError):
            return _refusal(400, request)

    async def endpoint(request: Request) -> Response:
        body = b""
        try:
            async with asyncio.timeout(PATIENCE_S):
                async for part in request.stream():
                    body += part
                    if len(body) > MAX_EVENT_BYTES:
                        return _refusal(413, request)
        except TimeoutError:
            return _refusal(408, request)
        return await run_in_threadpool(checked, request, body)

    return Route(path, endpoint, methods=[method])


def serve(
    app: Starlette,
    listener: socket.socket,
    certificate: tuple[Path, Path] | None = None,
) -> None:
    """Serve on a bound socket until interrupted; nothing is logged but errors.

    Parameters
    ----------
    app
        As `rating_app` makes it.
    listener
        Is closed at the end.
    certificate
        The files of a certificate and its key, to speak HTTPS.

    """
    import uvicorn

    from evalkit.rating._impatient import ImpatientProtocol

    file, key = certificate or (None, None)
    # an access log would hold the secrets; a subject may look at a picture for long
    config = uvicorn.Config(
        app,
        http=ImpatientProtocol,
        log_level="error",
        access_log=False,
        timeout_keep_alive=300,
        timeout_graceful_shutdown=FAREWELL_S,
        ssl_certfile=file,
        ssl_keyfile=key,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _event(session: Session, _: Params, body: bytes) -> Response:
    return _json(session.handle(json.loads(body)))


def _stimulus(session: Session, params: Params, _: bytes) -> Response:
    webp = session.stimulus(params["name"])
    return Response(webp, media_type="image/webp", headers=HEADERS)


def page_file(name: str) -> str:
    """The text of one of the page's files; the viewer is in that of the widget."""
    content = (FOLDER / name).read_text(encoding="utf-8")
    return with_viewer(content) if name == "widget.js" else content


def _add_slash(_: Session, params: Params, __: bytes) -> Response:
    """Send to the page, relative to where the link was asked for."""
    headers = {**HEADERS, "Location": f"{params['secret']}/"}
    return Response(status_code=307, headers=headers)


def _file(_: Session, params: Params, __: bytes) -> Response:
    name = params["file"]
    if name not in FILES:
        raise UnknownNameError("file", name, FILES)
    return Response(page_file(name), media_type=FILES[name], headers=HEADERS)


def _preferred(request: Request) -> Language:
    """The first language of ours that a browser names; English where it names none."""
    languages = request.headers.get("accept-language", "")
    # browsers name them in the order of their weights
    first = re.search(r"\b(en|zh)\b", languages.lower())
    return "zh" if first and first[1] == "zh" else "en"


def _language(params: Params) -> Language:
    return "zh" if params["language"] == "zh" else "en"


def _json(view: dict[str, Any]) -> Response:
    return JSONResponse(view, headers=HEADERS)


def _refusal(status: int, request: Request) -> Response:
    """A sentence, in the language of ours that the browser prefers."""
    why = "store" if status >= 500 else "link" if status == 404 else "event"
    sentence = text(f"rating.refused.{why}", _preferred(request))
    return Response(f"{sentence}\n", status, media_type="text/plain", headers=HEADERS)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _refusal(status, request)
