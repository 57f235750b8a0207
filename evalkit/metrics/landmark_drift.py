"""Eyes, nose and mouth that moved."""

from dataclasses import replace

import numpy as np

from evalkit.faces import Face
from evalkit.images import Picture
from evalkit.metrics._content import faces_of
from evalkit.metrics._spec import Metric, check_same_size

STEADY = 0.08
"""Of the eyes' distance: how far a mirrored look may put the landmarks on average.
Clear faces of the registered pictures have 0.03 to 0.06, those with eyes under a hat or
blurred beyond knowing 0.10 and more."""


def landmark_drift(output: Picture, source: Picture) -> float:
    """How far the five landmarks of a face moved, in per cent of the eyes' distance.

    Returns
    -------
    float
        From 0; the median over the source's faces of the mean over their landmarks,
        each against the nearest face of the output. NaN without a face in either, or
        with none less than an eyes' distance away, or where the landmarks are
        uncertain: a look at the mirrored picture puts them elsewhere, or scikit-image's
        cascade, which finds none, found the faces. The detector's own scatter is in it.

    References
    ----------
    Normalised mean error by the distance of the eyes: Sagonas et al., 300 Faces
    in-the-Wild Challenge, ICCV Workshops 2013, doi:10.1109/ICCVW.2013.59.

    """
    check_same_size(output, source, "source")
    before, after = _steady_faces(source), _steady_faces(output)
    drifts = [min((_drift(b, f) for b in after), default=1.0) for f in before]
    near = [drift for drift in drifts if drift < 1]
    return 100 * float(np.median(near)) if near else float("nan")


def _steady_faces(picture: Picture) -> list[Face]:
    """The faces whose landmarks a look at the mirrored picture confirms."""
    faces = [face for face in faces_of(picture) if face.detector != "cascade"]
    if not faces:
        return []
    width = picture.shape[1]
    others = [_mirrored(face, width) for face in faces_of(picture[:, ::-1])]
    return [f for f in faces if any(_drift(other, f) <= STEADY for other in others)]


def _mirrored(face: Face, width: int) -> Face:
    """A face of the mirrored picture, as it lies in the picture."""
    landmarks = face.landmarks[[1, 0, 2, 4, 3]]  # left and right change places
    return replace(face, landmarks=landmarks * [-1, 1] + [width - 1, 0])


def _drift(moved: Face, face: Face) -> float:
    left, right = face.landmarks[:2]
    steps = np.linalg.norm(moved.landmarks - face.landmarks, axis=1)
    return float(steps.mean() / np.linalg.norm(right - left))


ENTRIES = (
    Metric(
        name="landmark_drift",
        unit="%",
        higher_is_better=False,
        citation="Sagonas et al. 2013, doi:10.1109/ICCVW.2013.59",
        needs="source",
        shows="faces",
        nan_means="no face in both pictures, at the same place, whose landmarks a "
        "look at the mirrored picture confirms",
        compute=landmark_drift,
    ),
)
