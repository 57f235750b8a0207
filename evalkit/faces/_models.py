"""Choose the face networks that this machine can have, and load each once."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from evalkit.errors import UnknownNameError, WeightsError
from evalkit.faces._detectors import (
    DETECTORS,
    NETWORKS,
    CascadeDetector,
    Detector,
    RetinaFaceDetector,
    YuNetDetector,
)
from evalkit.weights import WeightsInUse, fetch, find

if TYPE_CHECKING:
    from evalkit.faces.parser import Parser


def find_detector(name: str = "auto") -> tuple[str, WeightsInUse | None, list[str]]:
    """Choose the detector that this machine can have, without loading it.

    Parameters
    ----------
    name
        One of `DETECTORS`, or ``auto``: the first that can be had, where a substitute
        that is here is preferred to the download of another one.

    Returns
    -------
    tuple
        Its name, its weights (None for the cascade), and a note if it is a substitute.

    Raises
    ------
    UnknownNameError
        No such detector.
    WeightsError
        The weights of the detector that was named cannot be had.

    """
    if name not in ("auto", *DETECTORS):
        raise UnknownNameError("face detector", name, ["auto", *DETECTORS])
    if name == "cascade":
        return name, None, []
    first, *substitutes = NETWORKS
    try:
        weights = fetch(first if name == "auto" else name)
    except WeightsError as error:
        if name != "auto":
            raise
        reason = f"since {str(error).splitlines()[0].rstrip(':')}"
    else:
        return weights.name, weights, []
    for attempt in (find, fetch):
        for substitute in substitutes:
            with suppress(WeightsError):  # the next one stands in, and the note says so
                if substitute_weights := attempt(substitute):
                    note = f"faces found by {substitute}, {reason}"
                    return substitute, substitute_weights, [note]
    note = f"faces found by scikit-image's cascade, landmarks assumed, {reason}"
    return "cascade", None, [note]


@lru_cache(maxsize=4)
def load_detector(
    name: str, weights: WeightsInUse | None, device: str = "cpu"
) -> Detector:
    """The detector that `find_detector` named, loaded once a file and device.

    Raises
    ------
    WeightsError
        The file is not this detector's.

    """
    if weights is None:
        return CascadeDetector()
    if name == "yunet":
        return YuNetDetector(weights)
    return RetinaFaceDetector(weights, device)


@lru_cache(maxsize=1)
def load_parser(weights: WeightsInUse) -> Parser:
    """ParseNet on the CPU in float32, loaded once.

    Raises
    ------
    WeightsError
        The file is not ParseNet's.

    """
    from evalkit.faces.parser import Parser, load_parsenet, run_by_torch

    return Parser(run_by_torch(load_parsenet(weights)))
