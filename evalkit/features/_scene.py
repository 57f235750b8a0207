"""What a picture shows: straight edges, text, faces, each as a number."""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit.faces import Face, as_rgb8
from evalkit.images import Picture, check_picture, resize

SEEN_PX = 512
"""Longest side at which lines and text are sought; larger pictures are shrunk."""

STRAIGHT_FROM = 0.06
"""Share of the longer side from which a segment counts as a straight edge."""

BORDER = 0.04
"""Width of a picture's border, in its shorter side."""

SAME_COLOUR = 8.0
"""Distance in CIE Lab up to which a ground, lit from one side, has one colour."""

TEXT_FROM_PX = 16
"""A shrunk picture with a shorter side shows no text that can be found."""


def straight_edges(picture: Picture) -> float:
    """Share of the length of all edges that lies in long straight ones.

    From 0, also without any edge, to 1.

    References
    ----------
    Grompone von Gioi et al., LSD: a Line Segment Detector, IPOL 2, 2012,
    doi:10.5201/ipol.2012.gjmr-lsd.

    """
    grey = cv2.cvtColor(_shrunk(picture), cv2.COLOR_RGB2GRAY)
    segments = cv2.createLineSegmentDetector().detect(grey)[0]
    if segments is None:
        return 0.0
    ends = segments.reshape(-1, 4)
    length = np.hypot(ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1])
    is_long = length >= STRAIGHT_FROM * max(grey.shape)
    return float(length[is_long].sum() / length.sum())


def text_boxes(picture: Picture) -> NDArray[np.float64] | None:
    """Where a picture seems to show text, line by line; nothing is read.

    Letters much smaller than a hundredth of the picture are lost.

    Returns
    -------
    ndarray or None
        Shape ``(number, 4, 2)``: corners, x and y in pixels. None without the extra
        ``ocr``.

    References
    ----------
    Liao et al., Real-Time Scene Text Detection with Differentiable Binarization, AAAI
    2020, arXiv:1911.08947: the detector of PP-OCRv4, in RapidOCR's package.

    """
    if not find_spec("rapidocr_onnxruntime"):
        return None
    pixels = _shrunk(picture)
    corners = []
    if min(pixels.shape[:2]) >= TEXT_FROM_PX:
        corners, _ = _text_detector()(pixels[..., ::-1].copy())
    boxes = np.asarray(corners, np.float64).reshape(-1, 4, 2)
    return boxes * (np.array(picture.shape[1::-1]) / pixels.shape[1::-1])


def text_density(
    boxes: NDArray[np.float64] | None, faces: Sequence[Face], shape: tuple[int, ...]
) -> float:
    """Share of a picture's area, of that shape, in boxes of `text_boxes`.

    In [0, 1]; NaN where `boxes` is None. A box that holds the middle of a face is left
    out: the detector takes large faces for text.
    """
    if boxes is None:
        return float("nan")
    factor = min(1.0, SEEN_PX / max(shape[:2]))
    mask = np.zeros([round(factor * side) or 1 for side in shape[:2]], np.uint8)
    middles = [face.landmarks.mean(axis=0) for face in faces]
    for box in boxes.astype(np.float32):
        if not any(
            cv2.pointPolygonTest(box, xy.tolist(), False) >= 0 for xy in middles
        ):
            cv2.fillPoly(mask, [np.rint(factor * box).astype(np.int32)], 1)
    return float(mask.mean())


def face_statistics(faces: Sequence[Face], shape: tuple[int, ...]) -> dict[str, float]:
    """How many faces, how large, how much of a picture of that shape.

    Returns
    -------
    dict
        ``n_faces``; ``largest_face_px``, the longer side of the largest box, 0 without
        a face; ``face_share``, the boxes' area in that of the picture, at most 1.

    """
    area = sum(face.width * face.height for face in faces)
    return {
        "n_faces": len(faces),
        "largest_face_px": max((max(f.width, f.height) for f in faces), default=0.0),
        "face_share": min(1.0, area / (shape[0] * shape[1])),
    }


def ground(picture: Picture) -> dict[str, float]:
    """Whether a picture's subject stands before one plain colour, and which.

    Returns
    -------
    dict
        ``plain_border`` and ``plain_top``: the share, from 0 to 1, of the border, and
        of its upper half, within `SAME_COLOUR` of its median; ``ground_lightness``,
        ``ground_red`` and ``ground_blue``: CIE L*, a* and negative b* (D65) of the
        median of the upper half.

    """
    lab = cv2.cvtColor(_shrunk(picture).astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    height, width = lab.shape[:2]
    edge = max(1, round(BORDER * min(height, width)))
    half = max(1, height // 2)
    upper = [lab[:edge], lab[:half, :edge], lab[:half, -edge:]]
    lower = [lab[half:, :edge], lab[half:, -edge:], lab[-edge:]]
    shares = []
    for parts in (upper, upper + lower):
        colours = np.concatenate([part.reshape(-1, 3) for part in parts])
        middle = np.median(colours, axis=0)
        away = np.linalg.norm(colours - middle, axis=1)
        shares.append((float((away < SAME_COLOUR).mean()), middle))
    (plain_top, (lightness, red, yellow)), (plain_border, _) = shares
    return {
        "plain_border": plain_border,
        "plain_top": plain_top,
        "ground_lightness": float(lightness),
        "ground_red": float(red),
        "ground_blue": -float(yellow),
    }


def _shrunk(picture: Picture) -> NDArray[np.uint8]:
    """Opaque RGB in 8 bits, at most `SEEN_PX` long."""
    check_picture(picture)
    pixels = as_rgb8(picture)
    factor = min(1.0, SEEN_PX / max(pixels.shape))
    height, width = (round(factor * side) or 1 for side in pixels.shape[:2])
    return np.asarray(resize(pixels, width, height), np.uint8)


@cache
def _text_detector() -> Any:
    """The first of RapidOCR's three networks, with the options of its configuration."""
    import rapidocr_onnxruntime
    import yaml
    from rapidocr_onnxruntime.ch_ppocr_det import TextDetector

    folder = Path(rapidocr_onnxruntime.__file__).parent
    options = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))[
        "Det"
    ]
    path = str(folder / options["model_path"])
    # the picture is shrunk already: only sides below 32 px are to be enlarged
    return TextDetector(options | {"model_path": path, "limit_side_len": 32})
