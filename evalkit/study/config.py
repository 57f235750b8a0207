"""study.yaml: what a study compares, checked and resolved."""

import hashlib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticKnownError

from evalkit.errors import EvalkitError, StudyError, did_you_mean
from evalkit.errors.schema import problems, shown
from evalkit.imagesets import imagesets
from evalkit.paths import FORBIDDEN, SHIPPED, atomic_path, runs_dir
from evalkit.restorers import condition_name, parse_condition
from evalkit.study.experiment import asked_for
from evalkit.study.rating_settings import Rating
from evalkit.study.yaml import read_yaml

RESERVED = ("latest", "adhoc")
"""What the newest run is called, and the run of notebooks without a study."""

MAX_NAME = 100
"""Letters of a study's name: a folder's, and in the names of others' files."""

_FOLDERS: dict[tuple[Path, str], str] = {}
"""The folder of pictures by folder of runs and name of the run, for the runs that this
process has yet to begin; ``study.yaml`` has it for those that are there."""


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


def _check_experiment(name: Any) -> Any:
    """The name of an experiment that there is; else pydantic's error of a choice."""
    if name in asked_for():
        return name
    *names, last = map(repr, asked_for())
    expected = f"{', '.join(names)} or {last}"
    raise PydanticKnownError("literal_error", {"expected": expected})


class Study(BaseModel):
    """One study.

    Attributes
    ----------
    name
        The run folder's: at most 100 lower case letters, digits, hyphens; not
        ``latest``, ``adhoc`` or a device of Windows.
    images
        ``auto``, the name of an image set, or a folder.
    recursive
        Whether subfolders of that folder are read, too.
    conditions
        Names of conditions, as `condition_name` writes them.
    repeats
        Timed runs of each cell; ``auto`` is 50 where there is CUDA. Elsewhere it stays:
        7 of a cell that takes under 5 s, 3 of another.
    experiments
        Names of experiments beyond the cost of one picture; ``auto`` is
        ``stability`` where there is CUDA, none elsewhere.
    seed
        The seed of every order that is shuffled.
    rating
        See `Rating`.
    accept
        Licence notices that the reader acknowledges; ``command`` lets the study run
        the programs that it names as ``command:...``.
    claims
        Whether report and answer speak of the claims of a published comparison;
        ``auto`` is yes of a set, no of a folder of the reader's own.

    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    images: str = "auto"
    recursive: bool = Field(default=False, strict=True)
    conditions: list[Annotated[str, BeforeValidator(_name_condition)]] = Field(
        min_length=1
    )
    repeats: Annotated[StrictInt, Field(ge=1, le=10_000)] | Literal["auto"] = "auto"
    experiments: (
        list[Annotated[str, BeforeValidator(_check_experiment)]] | Literal["auto"]
    ) = "auto"
    seed: StrictInt = Field(default=0, ge=0, lt=2**63)
    rating: Rating = Rating()
    accept: list[Literal["gpen", "command"]] = []
    claims: StrictBool | Literal["auto"] = "auto"

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if name in RESERVED or FORBIDDEN.search(name) or len(name) > MAX_NAME:
            raise ValueError(
                f"must be at most {MAX_NAME} letters, digits and hyphens, and none of "
                f"{', '.join(RESERVED)}, con, nul and other names of devices; found "
                f"{shown(name)}"
            )
        return name

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
        conditions = info.data.get("conditions", rating.conditions)
        unknown = sorted(set(rating.conditions) - set(conditions))
        if unknown:
            raise ValueError(f"conditions that are not the study's: {unknown}")
        return rating


DEVICES = {"cpu", "cuda"}
"""The keys of a value that is one where there is CUDA, and another elsewhere."""


def read_study(path: Path, *, has_cuda: bool = False) -> Study:
    """Read and check a study file.

    Parameters
    ----------
    path
        The file; a bare name that is not here is one of those that evalkit brings.
    has_cuda
        Which of two values counts where a key has one for ``cpu`` and one for ``cuda``.

    Raises
    ------
    StudyError
        As `read_yaml`; an unknown key, a value of the wrong kind, an unknown restorer
        or setting: with the key, what was expected and found.

    """
    if not path.exists() and path.name == str(path) and (SHIPPED / path).is_file():
        path = SHIPPED / path
    device = "cuda" if has_cuda else "cpu"
    content = {
        key: value[device] if isinstance(value, dict) and {*value} == DEVICES else value
        for key, value in read_yaml(path).items()
    }
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        message = "; ".join(problems(error, content, Study))
        raise StudyError(f"{path}: {message}") from error


def resolve_study(study: Study, *, images: str | None, has_cuda: bool) -> Study:
    """Replace every ``auto`` by what it means on this machine.

    Parameters
    ----------
    study
        The study as read.
    images
        A folder or a set that takes the place of the study's; a folder's name is
        added to the study's, and a digest of its path where letters of that name are
        lost, or a run of the name holds the pictures of another folder.
    has_cuda
        Whether PyTorch can use a CUDA device.

    Raises
    ------
    StudyError
        Images that are neither a set nor a folder, or a path that is not UTF-8.

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
        _check_text(folder)
        if images:
            name = _name_for(study.name, folder)
    repeats = study.repeats
    if repeats == "auto" and has_cuda:
        repeats = 50
    experiments = study.experiments
    if experiments == "auto":
        experiments = ["stability"] if has_cuda else []
    claims = study.claims
    if claims == "auto":
        claims = chosen in imagesets()
    resolved: dict[str, Any] = {"name": name, "images": chosen, "repeats": repeats}
    resolved |= {"experiments": experiments, "claims": claims}
    return study.model_copy(update=resolved)


def as_letters(name: str) -> str:
    """A folder's name within a study's: small letters, digits, hyphens.

    Examples
    --------
    >>> as_letters("Album of 1962!")
    'album-of-1962'

    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _name_for(name: str, folder: Path) -> str:
    """The name of a study of a folder: ``<name>-<folder>``, with a digest if needed."""
    letters = as_letters(folder.name)
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]
    full_name = f"{name}-{letters}"
    key = (runs_dir(), full_name)
    is_whole = letters and folder.name.isascii() and len(full_name) <= MAX_NAME
    owner = _owner(full_name) or _FOLDERS.get(key, str(folder))
    if is_whole and owner == str(folder):
        _FOLDERS[key] = str(folder)
        return full_name
    room = MAX_NAME - len(digest) - 1
    return f"{full_name[:room].strip('-')}-{digest}"


def check_owner(study: Study) -> None:
    """Refuse to mix the pictures of two folders in one run.

    Raises
    ------
    StudyError
        The run of that name holds pictures of another folder, which is still there.

    """
    owner = Path(_owner(study.name) or study.images)
    if owner != Path(study.images) and owner.is_absolute() and owner.is_dir():
        raise StudyError(
            f"{runs_dir() / study.name} holds the pictures of {owner}, and images is "
            f"{study.images}: give this study another name"
        )


def _owner(name: str) -> str | None:
    """The images of the run of a name, where there is one."""
    file = runs_dir() / name / "study.yaml"
    return str(read_yaml(file).get("images")) if file.is_file() else None


def _check_text(path: Path) -> None:
    """Refuse a path that no table can hold."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise StudyError(
            f"expected a folder whose path is UTF-8, found {str(path)!a}: rename it"
        ) from error


def write_study(study: Study, path: Path) -> None:
    """Write a study atomically, and only when it differs from what is there.

    A run folder goes to others: what is written never lets a program run.
    """
    content = study.model_dump()
    content["accept"] = [name for name in study.accept if name != "command"]
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
