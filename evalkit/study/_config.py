"""study.yaml: what a study compares, checked and resolved."""

import hashlib
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from evalkit._schema import problems, shown
from evalkit.errors import EvalkitError, StudyError, did_you_mean
from evalkit.imagesets import imagesets
from evalkit.paths import SHIPPED, atomic_path
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
    subjects: StrictInt = Field(default=3, ge=1, le=10_000)
    minutes: StrictFloat = Field(default=15.0, gt=0, le=600, allow_inf_nan=False)


def _name_condition(condition: Any) -> str:
    """A condition's name; a `ValueError` says what is wrong with it."""
    try:
        if isinstance(condition, str):
            settings = parse_condition(condition)
            return condition_name(settings.pop("name"), **settings)
        is_mapping = isinstance(condition, dict) and "name" not in condition
        if (
            is_mapping
            and isinstance(condition.get("restorer"), str)
            and all(isinstance(key, str) for key in condition)
        ):
            settings = {k: v for k, v in condition.items() if k != "restorer"}
            return condition_name(condition["restorer"], **settings)
    except EvalkitError as error:
        raise ValueError(str(error)) from error
    raise ValueError(
        "must be a condition's name or {restorer: ..., setting: ...}; found "
        f"{shown(condition)}"
    )


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
    conditions: list[Annotated[str, BeforeValidator(_name_condition)]] = Field(
        min_length=1
    )
    repeats: Annotated[StrictInt, Field(ge=1, le=10_000)] | Literal["auto"] = "auto"
    experiments: list[Experiment] | Literal["auto"] = "auto"
    seed: StrictInt = Field(default=0, ge=0, lt=2**63)
    rating: Rating = Rating()
    accept: list[Literal["gpen"]] = []

    @field_validator("conditions")
    @classmethod
    def _check_conditions(cls, conditions: list[str]) -> list[str]:
        repeated = sorted({name for name in conditions if conditions.count(name) > 1})
        if repeated:
            raise ValueError(f"given twice: {', '.join(repeated)}")
        return conditions

    @field_validator("rating")
    @classmethod
    def _check_rated(cls, rating: Rating, info: ValidationInfo) -> Rating:
        known = info.data.get("conditions", rating.conditions)
        unknown = sorted(set(rating.conditions) - set(known))
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
            f"expected a study file at {path}: {error.strerror}; one to begin with is "
            f"{SHIPPED / 'study.yaml'}"
        ) from error
    except yaml.YAMLError as error:
        raise StudyError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise StudyError(f"{path}: expected keys and values, found {shown(content)}")
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        told = "; ".join(problems(error, content, Study))
        raise StudyError(f"{path}: {told}") from error


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
                f"found {chosen!r}{did_you_mean(chosen, ['auto', *imagesets()])}"
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
