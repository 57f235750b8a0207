"""What the service answers about jobs, and what they have made."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from fastapi.responses import (
    FileResponse,
    JSONResponse,
    Response,
    StreamingResponse,
)
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask

from evalkit.comparisons.reasons import in_language
from evalkit.daily.compare_page import LANGUAGES
from evalkit.daily.names import Names
from evalkit.daily.worker import caution
from evalkit.daily.zipped import zipped
from evalkit.restorers import condition_name
from evalkit.service.desk import Desk, Job
from evalkit.service.refusals import HEADERS, OUTCOMES
from evalkit.texts import Language


class JobState(BaseModel):
    """How far a job is."""

    id: str
    state: str
    part: float = Field(description="the share that is done, of tiles or faces")
    error: str | None = None
    result: str | None = Field(None, description="the address of the picture")
    notes: dict[Language, list[str]] = Field(
        description="what the restorer said of it, by language"
    )


class Advice(BaseModel):
    """What the router says of a picture."""

    chosen: str = Field(description="the restorer that suits it")
    used: str = Field(description="the one that auto uses here in its place")
    reasons: list[str] = Field(description="as evalkit route says them")
    width: int
    height: int
    words: dict[Language, str] = Field(description="a sentence or two, by language")


def state_of(job: Job) -> JobState:
    """How far a job is."""
    state = job.state
    is_done = state == "done"
    notes: list[str] = job.facts["notes"] if is_done else []
    return JobState(
        id=job.id,
        state=state,
        part=1.0 if is_done else job.part,
        error=job.error,
        result=f"/api/jobs/{job.id}/picture" if is_done else None,
        notes={each: [in_language(n, each) for n in notes] for each in LANGUAGES},
    )


def picture_of(job: Job, desk: Desk, *, is_kept: bool) -> Response:
    """The picture, with what made it and what that cost in the headers."""
    forget = None if is_kept else BackgroundTask(desk.forget, job)
    if job.state != "done":
        status = OUTCOMES.get(str(job.facts.get("outcome")), 422)
        status = 499 if job.state == "cancelled" else status
        body = {"error": job.error or job.state}
        return JSONResponse(body, status, HEADERS, background=forget)
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
        filename=f"evalkit-{_now()}{job.target.suffix}",
        background=forget,
    )


def zip_of(jobs: Sequence[Job], desk: Desk) -> Response:
    """The pictures of several jobs that are done, as one file."""
    disposition = f'attachment; filename="evalkit-{_now()}.zip"'
    return StreamingResponse(
        zipped(_names(jobs, desk)),
        headers=HEADERS | {"Content-Disposition": disposition},
        media_type="application/zip",
    )


def _names(jobs: Sequence[Job], desk: Desk) -> dict[str, Path]:
    """What jobs have made, by names of which no two are alike."""
    names: dict[str, Names] = {}
    files = {}
    for job in jobs:
        suffix = job.target.suffix
        of_suffix = names.setdefault(suffix, Names(desk.folder, "{stem}", suffix))
        name = of_suffix.next(Path(), job.stem, job.plan.spec.name)
        files[name.as_posix()] = job.target
    return files


def _now() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
