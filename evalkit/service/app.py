"""The service's addresses: what each takes and answers."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from evalkit.daily.permitted import notices_of, permitted_plan
from evalkit.daily.settings import with_scale
from evalkit.daily.worker import caution
from evalkit.errors import EvalkitError, SettingError
from evalkit.images.encode import FORMATS
from evalkit.restorers import Plan, condition_name, parse_condition, restorers
from evalkit.service.bounded import Bounded
from evalkit.service.desk import BusyError, Desk, Job
from evalkit.service.page import docs_page, page
from evalkit.service.refusals import (
    HEADERS,
    answer_errors,
    read_settings,
    refuse_places,
)
from evalkit.weights import notice

OUTCOMES = {"oom": 507, "timeout": 504, "crash": 500, "interrupted": 500}
"""Statuses of how the work on a picture ended; else the picture was at fault: 422."""


class Config(BaseModel):
    """What a request gets that does not say otherwise."""

    model_config = {"extra": "forbid"}

    condition: str = "auto"
    device: str = "auto"


class JobState(BaseModel):
    """How far a job is."""

    id: str
    state: str
    part: float = Field(description="the share that is done, of tiles or faces")
    error: str | None = None
    result: str | None = Field(None, description="the address of the picture")


def service_app(
    desk: Desk, config: Config | None = None, *, token: str | None = None
) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    desk
        Does the work; is closed with the application.
    config
        What requests get that do not say otherwise.
    token
        What every request must bring; None where only this computer can ask.

    """
    usual, lock = config or Config(), threading.Lock()

    @asynccontextmanager
    async def closing(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(desk.close)

    app = FastAPI(
        title="evalkit",
        description="Pictures in, restored pictures out. Details are generated: a "
        "guess, no evidence, and not for identification.",
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        lifespan=closing,
    )
    limits = desk.limits
    app.add_middleware(
        Bounded, token=token, upload_mib=limits.upload_mib, upload_s=limits.upload_s
    )
    answer_errors(app)

    def planned(condition: str | None, scale: float | None, params: str | None) -> Plan:
        if condition and params:
            raise SettingError("expected condition or params, found both")
        settings = read_settings(params) if params else None
        if settings is None:
            settings = parse_condition(condition or usual.condition)
        settings = with_scale(settings, scale)
        refuse_places(settings)
        spec = restorers().get(settings["name"])
        if spec and "device" in spec.all_options:
            settings = {"device": usual.device} | settings
        return permitted_plan(settings)

    @app.post(
        "/api/upscale",
        response_class=Response,
        responses={
            200: {"content": {"image/png": {}}, "description": "the picture"},
            202: {"model": JobState},
            409: {"description": "weights that are not here, or a notice not accepted"},
            422: {"description": "a setting, or a picture, that cannot be used"},
            429: {"description": "the queue is full; Retry-After says when to ask"},
        },
    )
    async def upscale(
        request: Request,
        file: Annotated[UploadFile, File(description="the picture")],
        condition: Annotated[str | None, Form()] = None,
        scale: Annotated[float | None, Form(gt=0, le=16)] = None,
        params: Annotated[str | None, Form(description="JSON")] = None,
        format: Annotated[str, Form(pattern="^[a-z0-9]{2,5}$")] = "png",  # noqa: A002
        is_async: Annotated[bool, Form(alias="async")] = False,
    ) -> Response:
        """Restore a picture.

        ``condition`` is a restorer and its settings, ``name@setting=value,...``;
        ``params`` the same as JSON. ``?async=1`` answers at once with a job.
        """
        suffix = f".{format}"
        if suffix not in FORMATS and suffix != ".tif":
            raise SettingError(f"format: expected one of {_formats()}; found {format}")
        plan = await run_in_threadpool(planned, condition, scale, params)
        job = desk.new_job(plan, suffix)
        await run_in_threadpool(_keep, file, job.source)
        try:
            desk.submit(job)
        except BusyError:
            desk.forget(job)
            raise
        if is_async or request.query_params.get("async") in ("1", "true"):
            return JSONResponse(_state(job).model_dump(), 202)
        ended = asyncio.wrap_future(job.ended)
        while not ended.done():
            await asyncio.wait([ended], timeout=1)
            if not ended.done() and await request.is_disconnected():
                desk.cancel(job)
        return _picture(job, desk, is_kept=False)

    @app.get("/api/jobs/{name}")
    def state(name: str) -> JobState:
        """How far a job is."""
        return _state(_job(desk, name))

    @app.get("/api/jobs/{name}/picture", response_class=Response)
    def result(name: str) -> Response:
        """The picture that a job has made; 409 before its end."""
        job = _job(desk, name)
        if not job.ended.done():
            raise HTTPException(409, f"the job is {job.state}: ask again later")
        return _picture(job, desk, is_kept=True)

    @app.delete("/api/jobs/{name}")
    def cancel(name: str) -> JobState:
        """Stop a job, and delete what it has made."""
        job = _job(desk, name)
        if job.ended.done():
            desk.forget(job)
        else:
            desk.cancel(job)
        return _state(job)

    @app.get("/api/restorers")
    def offered() -> list[dict[str, Any]]:
        """The restorers, their settings, and what kept one from being used at first."""
        return [_facts(name) for name, spec in restorers().items() if not spec.argument]

    @app.get("/api/fit")
    def fit(width: int, height: int, memory: str | None = None) -> list[str]:
        """What fits a memory (8GiB; else this device's), and how long it takes."""
        from evalkit.daily.fit import Fit, fit_size, parse_memory

        if not (0 < width <= 2**16 and 0 < height <= 2**16):
            raise SettingError("expected a width and a height from 1 to 65536")
        memory_mib = parse_memory(memory) if memory else None
        return list(fit_size(Fit(usual.device, memory_mib), (width, height)))

    @app.get("/api/config")
    def configured() -> Config:
        """What a request gets that does not say otherwise."""
        return usual

    @app.put("/api/config")
    def configure(wanted: Config) -> Config:
        """Change it; requests that were sent before end as they began."""
        nonlocal usual
        with lock:
            before, usual = usual, wanted
            try:
                planned(None, None, None)
            except EvalkitError:
                usual = before
                raise
        return usual

    @app.get("/healthz")
    def health() -> dict[str, Any]:
        """Whether it lives, and how much it has to do."""
        return {"status": "ok", **desk.counts}

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return docs_page(app.openapi())

    @app.get("/", include_in_schema=False)
    def show_page() -> HTMLResponse:
        return page()

    return app


def _keep(file: UploadFile, path: Path) -> None:
    with path.open("wb") as target:
        while part := file.file.read(2**20):
            target.write(part)
    if not path.stat().st_size:
        path.unlink()
        raise SettingError("file: expected a picture, found an empty file")


def _job(desk: Desk, name: str) -> Job:
    job = desk.jobs.get(name)
    if job is None:
        raise HTTPException(404, "no such job, or it was deleted")
    return job


def _state(job: Job) -> JobState:
    is_done = job.state == "done"
    return JobState(
        id=job.id,
        state=job.state,
        part=1.0 if is_done else job.part,
        error=job.error,
        result=f"/api/jobs/{job.id}/picture" if is_done else None,
    )


def _picture(job: Job, desk: Desk, *, is_kept: bool) -> Response:
    """The picture, with what made it and what that cost in the headers."""
    forget = None if is_kept else BackgroundTask(desk.forget, job)
    if job.state != "done":
        status = OUTCOMES.get(str(job.facts.get("outcome")), 422)
        status = 499 if job.state == "cancelled" else status
        body = {"error": job.error or job.state}
        return JSONResponse(body, status, HEADERS, background=forget)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    seconds = job.facts["restorer_seconds"]
    timing = f"queue;dur={1000 * job.queue_s:.1f}, model;dur={1000 * seconds:.1f}"
    headers = {
        "Server-Timing": timing,
        "X-Evalkit-Condition": condition_name(**job.plan.parameters),
        "X-Evalkit-Parameters": json.dumps(job.plan.parameters),
        "X-Evalkit-Seconds": f"{seconds:.3f}",
        "X-Evalkit-Notes": json.dumps(job.facts["notes"]),
        "X-Evalkit-Caution": caution(job.plan.spec.name),
    }
    return FileResponse(
        job.target,
        headers=HEADERS | headers,
        filename=f"evalkit-{stamp}{job.target.suffix}",
        background=forget,
    )


@cache
def _facts(name: str) -> dict[str, Any]:
    spec = restorers()[name]
    lacks = None
    try:
        notices = notices_of(permitted_plan({"name": name}))
    except EvalkitError as error:
        lacks, notices = str(error), []
    return {
        "name": name,
        "task": spec.task,
        "licence": spec.licence,
        "redraws_faces": spec.redraws_faces,
        "lacks": lacks,
        "notices": [notice(each).partition(". ")[0] for each in notices],
        "settings": {
            setting: {"default": option.default, "says": option.description}
            | ({"choices": option.choices} if option.choices else {})
            | ({"least": option.low, "most": option.high} if option.high else {})
            for setting, option in spec.all_options.items()
            if setting != "weights"
        },
    }


def _formats() -> str:
    return ", ".join(sorted({suffix[1:] for suffix in FORMATS} | {"tif"}))
