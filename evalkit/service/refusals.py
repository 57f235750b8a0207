"""Why a request is refused, and with which status."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from evalkit.errors import (
    EvalkitError,
    LicenceError,
    SettingError,
    UnknownNameError,
    WeightsError,
)
from evalkit.service.desk import BusyError
from evalkit.service.looks import LookError

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

STATUS: tuple[tuple[type[Exception], int], ...] = (
    (BusyError, 429),
    (LicenceError, 409),
    (WeightsError, 409),
    (UnknownNameError, 422),
    (SettingError, 422),
    (EvalkitError, 422),
)
"""Of errors; the first that fits."""

OUTCOMES = {"oom": 507, "timeout": 504, "crash": 500, "interrupted": 500}
"""Statuses of how work on a picture ended; else the picture was at fault: 422."""

RETRY_S = 5


class Refusal(BaseModel):
    """Why there is no other answer."""

    error: str = Field(description="what was expected, found, and can be done")


EVERYWHERE: Mapping[int | str, dict[str, Any]] = {
    401: {"model": Refusal, "description": "a token is expected"},
    403: {"model": Refusal, "description": "a page of another site asks"},
    422: {"model": Refusal, "description": "something that cannot be used"},
}
"""What any address may answer, for its documentation."""

MADE: Mapping[int | str, dict[str, Any]] = {
    500: {"model": Refusal, "description": "the process that worked on it has ended"},
    504: {"model": Refusal, "description": "it took too long"},
    507: {"model": Refusal, "description": "too little memory"},
}
"""What the work on a picture may end in."""

SENT: Mapping[int | str, dict[str, Any]] = {
    408: {"model": Refusal, "description": "the upload took too long"},
    413: {"model": Refusal, "description": "it is too large"},
    429: {"model": Refusal, "description": "the queue is full; see Retry-After"},
}
"""What the sending of a picture may end in."""


def lacking(status: int, why: str) -> dict[int | str, dict[str, Any]]:
    """A refusal with a status, for the documentation of an address."""
    return {status: {"model": Refusal, "description": why}}


def read_settings(params: str) -> dict[str, Any]:
    """The settings of a restorer that a request sends as JSON.

    Raises
    ------
    SettingError
        Something else.

    """
    try:
        settings = json.loads(params)
    except (ValueError, RecursionError) as error:
        raise SettingError(f"params: expected JSON, found none: {error}") from error
    if not isinstance(settings, dict) or not isinstance(settings.get("name"), str):
        raise SettingError(
            'params: expected an object with the restorer\'s "name", as '
            "restorer.parameters has it"
        )
    return settings


def refuse_unknown(fields: Iterable[str], known: Sequence[str]) -> None:
    """Refuse a field that is none: what it was to change would stay as it is.

    Raises
    ------
    UnknownNameError
        There is one.

    """
    for name in fields:
        if name not in known:
            raise UnknownNameError("field", name, known)


def refuse_places(settings: Mapping[str, Any]) -> None:
    """Refuse files and programs of this computer: who asks is not who owns it.

    Raises
    ------
    SettingError
        A setting that names one.

    """
    for name, value in settings.items():
        names = name in ("name", "faces", "background", "weights")
        if names and isinstance(value, str) and re.search(r"[:/\\]|weights", value):
            raise SettingError(
                f"{name}: the service takes restorers that it offers (/api/restorers), "
                f"no file and no program; found {value}"
            )


def answer_errors(app: FastAPI) -> None:
    """Answer what goes wrong with a line of JSON."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(EvalkitError, _evalkit_error)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = HEADERS | dict(error.headers or {})  # which methods an address has, say
    return JSONResponse({"error": error.detail}, error.status_code, headers)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
    return JSONResponse({"error": "; ".join(lines)}, 422, HEADERS)


async def _evalkit_error(_: Request, error: Exception) -> Response:
    status = next(code for kind, code in STATUS if isinstance(error, kind))
    if isinstance(error, LookError):
        status = OUTCOMES.get(error.outcome, 500)
    retry = {"Retry-After": str(RETRY_S)} if status == 429 else {}
    return JSONResponse({"error": str(error)}, status, HEADERS | retry)
