"""Identity: whether it is still the same person."""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from evalkit.errors import WeightsError
from evalkit.faces import Face, as_rgb8
from evalkit.images import Picture
from evalkit.metrics._content import faces_of
from evalkit.metrics._spec import Metric, check_same_size
from evalkit.weights import WeightsInUse, find


def identity(output: Picture, source: Picture) -> float:
    """Distance of two embeddings of each face, before and after.

    Both pictures are cut along the source's landmarks.

    Returns
    -------
    float
        One less the cosine, from 0 to 2, the median over the source's faces; OpenCV
        takes two pictures for one person up to 0.637. NaN without a face, or where
        SFace's weights are not on this machine.

    Raises
    ------
    WeightsError
        The file is not SFace's.

    References
    ----------
    Zhong et al., SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face
    Recognition, IEEE Transactions on Image Processing 2021,
    doi:10.1109/TIP.2020.3048632.

    """
    check_same_size(output, source, "source")
    weights = find("sface")
    faces = faces_of(source) if weights else ()
    if weights is None or not faces:
        return float("nan")
    network = _load(weights)
    cosines = []
    for face in faces:
        before, after = (_embedded(network, p, face) for p in (source, output))
        cosines.append(network.match(before, after, cv2.FaceRecognizerSF_FR_COSINE))
    return 1 - float(np.median(cosines))


@lru_cache(maxsize=1)
def _load(weights: WeightsInUse) -> Any:
    try:
        return cv2.FaceRecognizerSF.create(str(weights.path), "")
    except cv2.error as error:
        raise WeightsError(f"{weights.path} is no ONNX file of SFace's") from error


def _embedded(network: Any, picture: Picture, face: Face) -> Any:
    row = np.array([*face.box, *face.landmarks.ravel(), face.confidence], np.float32)
    crop = network.alignCrop(as_rgb8(picture)[..., ::-1].copy(), row[None])
    return network.feature(crop).copy()


ENTRIES = (
    Metric(
        name="identity",
        unit="",
        higher_is_better=False,
        citation="Zhong et al. 2021, doi:10.1109/TIP.2020.3048632",
        needs="source",
        shows="faces",
        nan_means="no face, or SFace's weights are not on this machine",
        compute=identity,
    ),
)
