"""The errors of evalkit: each says what was expected, what came, what to do."""

import errno
import os
import re
import traceback
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")
K = TypeVar("K")

MACHINE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EIO}
)
"""Numbers of an OSError that no other picture would be spared."""

INTERRUPTED = "interrupted"
"""An outcome that is no result: the machine, or a person, ended the run. The next study
tries it again."""


CELL = re.compile(r"ipykernel_\d+|^<ipython-input")
"""What IPython calls the file of a cell."""


class EvalkitError(Exception):
    """Base class: ``except EvalkitError`` catches all that evalkit raises."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the sentence, and the line of a cell that led to it."""
        lines = [f"{type(self).__name__}: {self}"]
        frames = traceback.extract_tb(self.__traceback__)
        cells = [frame for frame in frames if CELL.search(frame.filename)]
        if cells:
            lines.append(f"  line {cells[-1].lineno} of a cell: {cells[-1].line}")
        return lines


class UnknownNameError(EvalkitError, KeyError):
    """A name (restorer, metric, image set, weights, option) that is not registered."""

    def __init__(
        self, kind: str, name: str, known: Iterable[str], advice: str = ""
    ) -> None:
        names = sorted(known)
        super().__init__(
            f"unknown {kind} {name!r}; known: {', '.join(names)}"
            f"{did_you_mean(name, names)}{advice}"
        )

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0])


class SettingError(EvalkitError, ValueError):
    """A setting whose value is not one of those expected."""


class ImageError(EvalkitError, ValueError):
    """A file or an array that is not a usable picture."""


class WeightsError(EvalkitError):
    """Weights that cannot be had, or are not the file that was registered."""


class PackageMissingError(EvalkitError):
    """A package that this Python cannot have, or that is not installed."""


class HashMismatchError(WeightsError):
    """A file whose size or SHA-256 is not the registered one."""


class LicenceError(WeightsError):
    """Weights whose licence notice has not been acknowledged."""


class OutOfMemoryError(EvalkitError, MemoryError):
    """A device or the machine ran out of memory; no picture was made."""


class KilledError(EvalkitError):
    """A process that a restorer runs was ended from outside; no picture was made."""


class OutputRejectedError(EvalkitError):
    """An output that is no picture: NaN, constant, wrong size, a repeated tile."""


class SourceChangedError(EvalkitError):
    """A picture's file that is another than when the study looked at it."""


class CancelledError(EvalkitError):
    """The caller's `cancel` returned true; no picture was made."""


class TableError(EvalkitError, ValueError):
    """A table with missing or unknown columns, wrong types or a repeated key."""


class StudyError(EvalkitError, ValueError):
    """A study, run folder or notebook parameter that is not as expected."""


class RandomWeightsWarning(UserWarning):
    """A network runs with random weights: its cost is real, its pictures are noise."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """``; did you mean x?`` for the nearest name that is known, else nothing."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = get_close_matches(str(name).lower(), by_lower, n=1)
    return f"; did you mean {by_lower[near[0]]}?" if near else ""


def attempt(
    compute: Callable[[], T], what: str, say: Callable[[str], None] = print
) -> tuple[T | None, str | None]:
    """The value of `compute` and None; or None and the reason, in a sentence.

    Every loop over pictures calls it, so that one picture never stops a step. Errors
    of ours, a file that cannot be had and want of memory are known to happen and become
    the reason. Any other is a fault of evalkit: it becomes the reason with its type,
    and is said; where ``EVALKIT_STRICT`` is 1, as in our tests, it is raised.

    Parameters
    ----------
    compute
        Makes a value, a figure or a row of one picture.
    what
        The picture, for the line that is said.
    say
        Gets the line on what should not have happened.

    Raises
    ------
    OSError
        A fault of the machine, such as a full disk: no picture would fare better.

    """
    try:
        return compute(), None
    except (EvalkitError, MemoryError, OSError) as error:
        if isinstance(error, OSError) and error.errno in MACHINE:
            raise
        return None, str(error) or "not enough memory for a picture of this size"
    except Exception as error:  # a bug, which may cost one picture, not all
        if os.environ.get("EVALKIT_STRICT") == "1":
            raise
        note = f"{type(error).__name__}: {error}"
        say(f"{what}: left out, by a fault of evalkit: {note}")
        return None, note


def of_each(
    tasks: Mapping[K, Callable[[], T]], what: str, say: Callable[[str], None] = print
) -> dict[K, T]:
    """The value of each task that gives one; the reason of any other is said.

    Parameters
    ----------
    tasks
        Tasks by the picture's name.
    what
        What a task makes: a figure, a crop.
    say
        Gets each reason.

    """
    values: dict[K, T] = {}
    for name, task in tasks.items():
        value, note = attempt(task, f"{name}: {what}", lambda _: None)
        if value is None:
            say(f"{name}: no {what}: {note}")
        else:
            values[name] = value
    return values
