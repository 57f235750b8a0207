"""Eyes, nose and mouth that moved."""

import numpy as np

from evalkit.faces import Face
from evalkit.images import Picture
from evalkit.metrics._content import faces_of
from evalkit.metrics._spec import Metric, check_same_size


def landmark_drift(output: Picture, source: Picture) -> float:
    """How far the five landmarks of a face moved, in per cent of the eyes' distance.

    Returns
    -------
    float
        From 0; the median over the source's faces of the mean over their landmarks,
        each against the nearest face of the output. NaN without a face in either, or
        with none less than an eyes' distance away, or where the faces were found by
        scikit-image's cascade, which finds no landmarks. The detector's own scatter is
        in it.

    References
    ----------
    Normalised mean error by the distance of the eyes: Sagonas et al., 300 Faces
    in-the-Wild Challenge, ICCV Workshops 2013, doi:10.1109/ICCVW.2013.59.

    """
    check_same_size(output, source, "source")
    before, after = (
        [face for face in faces_of(picture) if face.detector != "cascade"]
        for picture in (source, output)
    )
    drifts = [min((_drift(b, f) for b in after), default=1.0) for f in before]
    near = [drift for drift in drifts if drift < 1]
    return 100 * float(np.median(near)) if near else float("nan")


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
        nan_means="no face with landmarks in both pictures, at the same place",
        compute=landmark_drift,
    ),
)
