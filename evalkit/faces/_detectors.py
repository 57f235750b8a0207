"""The detectors behind `evalkit.faces`: found, loaded once a file, no side effects.

A detector keeps no state between calls and may be shared by threads. The global
switches of PyTorch (gradients, ``cudnn.benchmark``) stay as they are.
"""

from __future__ import annotations

import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit.errors import WeightsError
from evalkit.imports.torchvision import import_torchvision
from evalkit.weights import WeightsInUse, load_state

if TYPE_CHECKING:
    import torch

Rgb: TypeAlias = NDArray[np.uint8]
"""Shape ``(height, width, 3)``, channels R, G, B, sRGB-encoded, in [0, 255]."""

NETWORKS = ("retinaface-r50", "retinaface-mobile0.25", "yunet")
"""In the weights registry; the first is the one that GPEN uses."""

DETECTORS = (*NETWORKS, "cascade")
"""Each is the substitute of the one before it; the last needs no weights."""

NMS_OVERLAP = 0.4
RETINAFACE_MEAN = (104, 117, 123)  # of B, G, R
CASCADE_SIDE = 640
"""Pictures are shrunk to it: above, the cascade finds one face many times."""

CASCADE_LANDMARKS = np.array(
    [[0.34, 0.39], [0.69, 0.39], [0.52, 0.60], [0.37, 0.74], [0.67, 0.74]]
)
"""Medians, in shares of the box, over 39 faces of the registered photographs that
RetinaFace found too; each within 0.06 of a face's own (standard deviation)."""


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face in a picture.

    Attributes
    ----------
    box
        Left, top, right, bottom in pixels of the picture; may leave it.
    confidence
        The detector's own, in [0, 1]; NaN from a detector that gives none.
    landmarks
        ``(5, 2)``, x and y in pixels: left eye, right eye, nose, left and right
        corner of the mouth, left and right as seen in the picture.
    detector
        One of `DETECTORS`. The cascade finds boxes only: its landmarks are the mean
        proportions of a face.

    """

    box: tuple[float, float, float, float]
    confidence: float
    landmarks: NDArray[np.float64]
    detector: str

    @property
    def width(self) -> float:
        """Width of the box, in pixels."""
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        """Height of the box, in pixels."""
        return self.box[3] - self.box[1]

    @property
    def side(self) -> float:
        """The shorter side of the box, in pixels."""
        return min(self.width, self.height)

    def scaled(self, factor_x: float, factor_y: float) -> Face:
        """The same face in a picture that is resized by these factors."""
        x0, y0, x1, y1 = self.box
        return Face(
            (x0 * factor_x, y0 * factor_y, x1 * factor_x, y1 * factor_y),
            self.confidence,
            self.landmarks * (factor_x, factor_y),
            self.detector,
        )


def drop_repeats(faces: Iterable[Face]) -> list[Face]:
    """Keep the first of the boxes that overlap by more than `NMS_OVERLAP`."""
    distinct: list[Face] = []
    for face in faces:
        if all(_overlap(face, earlier) <= NMS_OVERLAP for earlier in distinct):
            distinct.append(face)
    return distinct


def _overlap(first: Face, second: Face) -> float:
    """Area of the intersection of two boxes over that of their union."""
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = first.box, second.box
    width, height = min(ax1, bx1) - max(ax0, bx0), min(ay1, by1) - max(ay0, by0)
    shared = max(width, 0.0) * max(height, 0.0)
    areas = first.width * first.height + second.width * second.height
    return shared / (areas - shared)


class Detector(ABC):
    """Finds faces in one picture at the size it has; the cascade has no weights."""

    def __init__(self, name: str, weights: WeightsInUse | None) -> None:
        self.name = name
        self.weights = weights

    @abstractmethod
    def __call__(self, image: Rgb, confidence: float, /) -> list[Face]:
        """The faces with at least that confidence, the surest first."""


class RetinaFaceDetector(Detector):
    """RetinaFace on facexlib's network, with GPEN's threshold of overlap.

    References
    ----------
    Deng et al., RetinaFace: Single-Shot Multi-Level Face Localisation in the Wild,
    CVPR 2020, arXiv:1905.00641.

    """

    def __init__(self, weights: WeightsInUse, device: str) -> None:
        super().__init__(weights.name, weights)
        import_torchvision()
        from facexlib.detection.retinaface import RetinaFace

        backbone = "resnet50" if weights.name.endswith("r50") else "mobile0.25"
        with warnings.catch_warnings():  # of torchvision, about facexlib's call
            warnings.simplefilter("ignore")
            network = RetinaFace(backbone, device="cpu")
        try:
            network.load_state_dict(load_state(weights), strict=True)
        except RuntimeError as error:
            reason = str(error)[:200]
            raise WeightsError(f"{weights.path} is no {self.name}: {reason}") from error
        self._network = network.requires_grad_(False).to(device)
        self._device = device

    def __call__(self, image: Rgb, confidence: float, /) -> list[Face]:
        """See `Detector`."""
        import torch
        from torchvision.ops import nms

        mean = np.array(RETINAFACE_MEAN, np.float32)
        pixels = image[..., ::-1].astype(np.float32) - mean
        batch = torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy())
        with torch.inference_mode():
            outputs = self._network(batch.to(self._device))
            offsets, chances, points = (part[0].float().cpu() for part in outputs)
            keep = chances[:, 1] >= confidence
            scores = chances[keep, 1]
            anchors = torch.from_numpy(_anchors(*image.shape[:2]))[keep]
            boxes = _boxes(anchors, offsets[keep])
            moves = points[keep].view(-1, 5, 2) * 0.1
            landmarks = anchors[:, None, :2] + moves * anchors[:, None, 2:]
            indices = nms(boxes, scores, NMS_OVERLAP).numpy()
        return [
            Face(tuple(box), float(score), landmark, self.name)
            for box, score, landmark in zip(
                boxes.numpy()[indices].astype(float).tolist(),
                scores.numpy()[indices],
                landmarks.numpy()[indices].astype(np.float64),
                strict=True,
            )
        ]


def _anchors(height: int, width: int) -> NDArray[np.float32]:
    """RetinaFace's prior boxes: ``(number, 4)``, centre x, y, width, height in px."""
    levels = []
    for step, sides in ((8, (16, 32)), (16, (64, 128)), (32, (256, 512))):
        y, x, side = np.meshgrid(
            (np.arange(-(-height // step)) + 0.5) * step,
            (np.arange(-(-width // step)) + 0.5) * step,
            sides,
            indexing="ij",
        )
        levels.append(np.stack((x, y, side, side), axis=-1).reshape(-1, 4))
    return np.concatenate(levels).astype(np.float32)


def _boxes(anchors: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """Left, top, right, bottom; the variances are 0.1 of centres, 0.2 of sizes."""
    centres = anchors[:, :2] + offsets[:, :2] * 0.1 * anchors[:, 2:]
    halves = anchors[:, 2:] * (offsets[:, 2:] * 0.2).exp() / 2
    import torch

    return torch.cat((centres - halves, centres + halves), dim=1)


class YuNetDetector(Detector):
    """OpenCV's FaceDetectorYN, which keeps the size of its picture: one call a time.

    References
    ----------
    Wu, Peng and Yu, YuNet: A Tiny Millisecond-level Face Detector, Machine
    Intelligence Research 20, 2023, doi:10.1007/s11633-023-1423-y.

    """

    def __init__(self, weights: WeightsInUse) -> None:
        super().__init__(weights.name, weights)
        log = cv2.utils.logging
        before = log.setLogLevel(log.LOG_LEVEL_ERROR)  # it warns of a target we set not
        try:
            self._network = cv2.FaceDetectorYN.create(
                str(weights.path), "", (320, 320), nms_threshold=NMS_OVERLAP
            )
        except cv2.error as error:
            raise WeightsError(f"{weights.path} is no {self.name}: {error}") from error
        finally:
            log.setLogLevel(before)
        self._lock = threading.Lock()

    def __call__(self, image: Rgb, confidence: float, /) -> list[Face]:
        """See `Detector`."""
        with self._lock:
            self._network.setInputSize(image.shape[1::-1])
            self._network.setScoreThreshold(confidence)
            _, rows = self._network.detect(np.ascontiguousarray(image[..., ::-1]))
        faces = []
        for row in np.empty((0, 15)) if rows is None else rows.astype(np.float64):
            x, y, width, height = row[:4].tolist()
            box = (x, y, x + width, y + height)
            faces.append(Face(box, row[14].item(), row[4:14].reshape(5, 2), self.name))
        return faces


class CascadeDetector(Detector):
    """scikit-image's cascade for frontal faces: boxes without a confidence.

    References
    ----------
    Zhang et al., Face Detection Based on Multi-Block LBP Representation, ICB 2007,
    doi:10.1007/978-3-540-74549-5_2.

    """

    def __init__(self) -> None:
        super().__init__("cascade", None)
        from skimage.data import lbp_frontal_face_cascade_filename

        self._file = lbp_frontal_face_cascade_filename()

    def __call__(self, image: Rgb, _confidence: float, /) -> list[Face]:
        """See `Detector`; the largest first, since none has a confidence."""
        from skimage.feature import Cascade

        factor = max(1.0, max(image.shape[:2]) / CASCADE_SIDE)
        height, width = (max(1, round(side / factor)) for side in image.shape[:2])
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        boxes = Cascade(self._file).detect_multi_scale(
            small,
            scale_factor=1.2,
            step_ratio=1,
            min_size=(24, 24),
            max_size=(height, width),
        )
        faces: list[Face] = []
        for box in sorted(boxes, key=lambda box: -box["width"]):
            corner = np.array([box["c"], box["r"]], np.float64)
            size = np.array([box["width"], box["height"]], np.float64)
            (x0, y0), (x1, y1) = corner.tolist(), (corner + size).tolist()
            points = corner + CASCADE_LANDMARKS * size
            face = Face((x0, y0, x1, y1), float("nan"), points, self.name)
            if not any(_is_inside(points[2], larger) for larger in faces):
                faces.append(face)
        return [face.scaled(factor, factor) for face in faces]


def _is_inside(point: NDArray[np.float64], face: Face) -> bool:
    x0, y0, x1, y1 = face.box
    return bool(x0 < point[0] < x1 and y0 < point[1] < y1)
