"""study.yaml: what a study compares, checked and resolved."""

import hashlib
import re
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from evalkit.errors import EvalkitError, StudyError
from evalkit.imagesets import imagesets
from evalkit.paths import atomic_path
from evalkit.restorers import condition_name, parse_condition

Experiment = Literal[
    "batch",
    "size",
    "tile",
    "precision",
    "scale",
    "background",
    "cpu",
    "rotating",
    "stability",
    "budget",
    "concurrency",
    "backends",
]
"""What can be measured beyond the cost of one picture."""


class Rating(BaseModel):
    """What the rating sessions are planned for.

    Attributes
    ----------
    conditions
        Of the study's, those that people rate; all of them when empty.
    mode
        ``acr`` (1 to 5), ``ab`` (which of two) or ``both``.
    subjects
        Sessions planned from the start; more can be added.
    minutes
        That a session may take.

    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    conditions: list[str] = []
    mode: Literal["acr", "ab", "both"] = "acr"
    subjects: int = Field(default=3, ge=1, le=10_000)
    minutes: float = Field(default=15.0, gt=0, le=600)


class Study(BaseModel):
    """One study.

    Attributes
    ----------
    name
        Of the run folder: lower case letters, digits, hyphens.
    images
        ``auto``, the name of an image set, or a folder.
    conditions
        Names of conditions, as `condition_name` writes them.
    repeats
        Timed runs of each cell; ``auto`` is 50 where there is CUDA, 3 elsewhere.
    experiments
        Beyond the cost of one picture: names of `Experiment`; ``auto`` is
        ``stability`` where there is CUDA, none elsewhere.
    seed
        Of every order that is shuffled.
    rating
        See `Rating`.
    accept
        Licence notices that the reader acknowledges.

    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    images: str = "auto"
    conditions: list[str] = Field(min_length=1)
    repeats: int | Literal["auto"] = "auto"
    experiments: list[Experiment] | Literal["auto"] = "auto"
    seed: int = Field(default=0, ge=0)
    rating: Rating = Rating()
    accept: list[Literal["gpen"]] = []

    @field_validator("repeats")
    @classmethod
    def _check_repeats(cls, repeats: int | str) -> int | str:
        if isinstance(repeats, int) and not 1 <= repeats <= 10_000:
            raise ValueError("expected auto or 1 to 10000")
        return repeats

    @field_validator("conditions", mode="before")
    @classmethod
    def _name_conditions(cls, conditions: Any) -> Any:
        if not isinstance(conditions, list):
            return conditions
        names = []
        for condition in conditions:
            if isinstance(condition, dict) and "restorer" in condition:
                settings = {k: v for k, v in condition.items() if k != "restorer"}
            elif isinstance(condition, str):
                settings = parse_condition(condition)
                condition = {"restorer": settings.pop("name")}
            else:
                raise ValueError(
                    "expected a condition's name or {restorer: ..., setting: ...}, "
                    f"got {condition!r}"
                )
            names.append(condition_name(condition["restorer"], **settings))
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"conditions given twice: {', '.join(repeated)}")
        return names

    @field_validator("rating")
    @classmethod
    def _check_rated(cls, rating: Rating, info: ValidationInfo) -> Rating:
        unknown = sorted(set(rating.conditions) - set(info.data.get("conditions", [])))
        if unknown:
            raise ValueError(f"conditions that are not the study's: {unknown}")
        return rating


def read_study(path: Path) -> Study:
    """Read and check a study file.

    Raises
    ------
    StudyError
        No such file, no YAML mapping, an unknown key, a value of the wrong kind,
        an unknown restorer or setting: with the key, what was expected and found.

    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(
            f"expected a study file at {path}: {error.strerror}"
        ) from error
    except yaml.YAMLError as error:
        raise StudyError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise StudyError(f"{path}: expected keys and values, got {content!r}")
    try:
        return Study(**content)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            f" (found {problem['input']!r})"
            for problem in error.errors()
        ]
        known = ", ".join(Study.model_fields)
        raise StudyError(
            f"{path}: {'; '.join(problems)}. Known keys: {known}"
        ) from error
    except EvalkitError as error:
        raise StudyError(f"{path}: conditions: {error}") from error


def resolve_study(study: Study, *, images: str | None, has_cuda: bool) -> Study:
    """Replace every ``auto`` by what it means on this machine.

    Parameters
    ----------
    study
        As read.
    images
        A folder or a set that takes the place of the study's; a folder's name is
        added to the study's.
    has_cuda
        Whether PyTorch can use a CUDA device.

    Raises
    ------
    StudyError
        Images that are neither a set nor a folder.

    """
    name, chosen = study.name, images or study.images
    if chosen == "auto":
        chosen = "article" if has_cuda else "quick"
    elif chosen not in imagesets():
        folder = Path(chosen).expanduser().resolve()
        if not folder.is_dir():
            raise StudyError(
                f"images: expected auto, a set ({', '.join(imagesets())}) or a folder; "
                f"found {chosen!r}"
            )
        chosen = str(folder)
        if images:
            name = f"{name}-{_name_of(folder)}"
    repeats = study.repeats
    if repeats == "auto":
        repeats = 50 if has_cuda else 3
    experiments = study.experiments
    if experiments == "auto":
        experiments = ["stability"] if has_cuda else []
    found = {"name": name, "images": chosen, "repeats": repeats}
    return study.model_copy(update={**found, "experiments": experiments})


def _name_of(folder: Path) -> str:
    """Letters, digits and hyphens; of a name without any, a digest of the path."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-")
    return name or hashlib.sha256(str(folder).encode()).hexdigest()[:8]


def write_study(study: Study, path: Path) -> None:
    """Write a study atomically, and only when it differs from what is there."""
    text = yaml.safe_dump(study.model_dump(), sort_keys=False, allow_unicode=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
