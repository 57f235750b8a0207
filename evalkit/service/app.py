"""The service's addresses: what each takes and answers."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from fastapi import FastAPI, File, Form, Query, Request, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from evalkit.daily.compare_page import LANGUAGES
from evalkit.daily.permitted import permitted_plan
from evalkit.daily.settings import with_scale
from evalkit.errors import EvalkitError, SettingError
from evalkit.images.encode import FORMATS
from evalkit.restorers import Plan, parse_condition, restorers
from evalkit.restorers.engines.torch import pick_device
from evalkit.service.answers import Advice, JobState, picture_of, state_of, zip_of
from evalkit.service.bounded import Bounded
from evalkit.service.desk import BusyError, Desk, Job
from evalkit.service.looks import Looks
from evalkit.service.offers import facts_of, offered
from evalkit.service.page import docs_page, page
from evalkit.service.refusals import (
    EVERYWHERE,
    MADE,
    SENT,
    answer_errors,
    lacking,
    read_settings,
    refuse_places,
    refuse_unknown,
)

TIFF = (".tif", ".tiff")

UPSCALE = ("file", "condition", "scale", "params", "format", "async")
"""The fields of a picture to be restored."""

Side: TypeAlias = Annotated[int, Query(ge=1, le=2**16, description="px")]


class Config(BaseModel):
    """What a request gets that does not say otherwise."""

    model_config = {"extra": "forbid"}

    condition: str = "auto"
    device: str = "auto"


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
        redirect_slashes=False,
        lifespan=closing,
        responses=dict(EVERYWHERE),
    )
    limits, looks = desk.limits, Looks(desk)
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
            **lacking(409, "weights that are not here, or a notice not accepted"),
            **lacking(499, "who asked has gone"),
            **SENT,
            **MADE,
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
        refuse_unknown(await request.form(), UPSCALE)
        suffix = f".{format}"
        if suffix not in FORMATS and suffix not in TIFF:
            raise SettingError(f"format: expected one of {_formats()}; found {format}")
        plan = await run_in_threadpool(planned, condition, scale, params)
        name = Path((file.filename or "").replace("\\", "/"))
        job = desk.new_job(plan, suffix, name.stem or "picture")
        await run_in_threadpool(_keep, file, job.source)
        try:
            desk.submit(job)
        except BusyError:
            desk.forget(job)
            raise
        if is_async or request.query_params.get("async") in ("1", "true"):
            return JSONResponse(state_of(job).model_dump(), 202)
        ended = asyncio.wrap_future(job.ended)
        while not ended.done():
            await asyncio.wait([ended], timeout=1)
            if not ended.done() and await request.is_disconnected():
                desk.cancel(job)
        return picture_of(job, desk, is_kept=False)

    @app.post("/api/route", responses={**SENT, **MADE})
    def route(
        file: Annotated[UploadFile, File(description="the picture")],
    ) -> Advice:
        """Which restorer suits a picture, and why; nothing of it is kept."""
        with looks.place() as kept:
            _keep(file, kept)
            said = looks.advise(kept)
        words = {language: said.words(language) for language in LANGUAGES}
        return Advice(**said._asdict(), words=words)

    no_job = lacking(404, "no such job, or it was deleted")

    @app.get("/api/jobs/{name}", responses=no_job)
    def state(name: str) -> JobState:
        """How far a job is."""
        return state_of(_job(desk, name))

    @app.get(
        "/api/jobs/{name}/picture",
        response_class=Response,
        responses={
            200: {"content": {"image/png": {}}, "description": "the picture"},
            **no_job,
            **lacking(409, "it has not ended"),
            **lacking(499, "it was cancelled"),
            **MADE,
        },
    )
    def result(name: str) -> Response:
        """The picture that a job has made; 409 before its end."""
        job = _job(desk, name)
        if not job.ended.done():
            raise HTTPException(409, f"the job is {job.state}: ask again later")
        return picture_of(job, desk, is_kept=True)

    @app.get(
        "/api/zip",
        response_class=Response,
        responses={
            200: {"content": {"application/zip": {}}, "description": "the pictures"},
            **no_job,
            **lacking(409, "one of them has made no picture"),
        },
    )
    def zip_results(job: Annotated[list[str], Query(min_length=1)]) -> Response:
        """The pictures of several jobs as one ZIP, by the names they were sent by."""
        jobs = [_job(desk, name) for name in dict.fromkeys(job)]
        for each in jobs:
            if each.state != "done":
                raise HTTPException(409, f"{each.id} is {each.state}")
        return zip_of(jobs, desk)

    @app.delete("/api/jobs/{name}", responses=no_job)
    def cancel(name: str) -> JobState:
        """Stop a job, and delete what it has made."""
        job = _job(desk, name)
        if job.ended.done():
            desk.forget(job)
        else:
            desk.cancel(job)
        return state_of(job)

    @app.get("/api/restorers")
    def list_restorers() -> list[dict[str, Any]]:
        """The restorers, their settings, and what kept one from being used at first."""
        return [facts_of(spec.name) for spec in offered()]

    @app.get("/api/fit")
    def fit(width: Side, height: Side, memory: str | None = None) -> list[str]:
        """What fits a memory (8GiB; else this device's), and how long it takes."""
        from evalkit.daily.fit import Fit, fit_size, parse_memory

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
                pick_device(usual.device)  # also for a restorer that has none
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
    def docs(request: Request) -> HTMLResponse:
        query = request.url.query
        return docs_page(app.openapi(), f"?{query}" if query else "")

    @app.get("/", include_in_schema=False)
    def show_page() -> HTMLResponse:
        return page(parse_condition(usual.condition))

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


def _formats() -> str:
    return ", ".join(sorted({suffix[1:] for suffix in FORMATS} | {"tif"}))
