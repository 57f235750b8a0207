"""GPEN on faces that are cut out: the network, and what is done to its output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit import faces
from evalkit._face_parser import Parser
from evalkit.errors import OutOfMemoryError, OutputRejectedError
from evalkit.faces import Mask
from evalkit.restorers._protocol import Call
from evalkit.restorers._tiling import check_output
from evalkit.restorers._torch import Batch, Engine

Crop: TypeAlias = NDArray[Any]
"""Shape ``(S, S, 3)``, R, G, B, uint8 or uint16: one aligned face."""

SMOOTHING = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32) / 16


@dataclass(kw_only=True)
class FaceRestorer:
    """GPEN's generator and what follows it; may be shared by threads.

    Attributes
    ----------
    engine
        The generator; takes and gives R, G, B in [-1, 1].
    in_fp32
        Makes the engine for a generator whose output is NaN, infinite or constant;
        None where `engine` calculates in fp32 itself.
    side
        Of its faces, in pixels.
    batch
        Faces that go to the generator together.
    parser
        Makes the masks; None for the soft rectangle.
    truncate
        Cut the output down to levels, as upstream does, which darkens it by half a
        level; else round.
    skin_protection
        See `protect_skin`.

    """

    engine: Engine
    in_fp32: Callable[[], Engine] | None
    side: int
    batch: int
    parser: Parser | None
    truncate: bool
    skin_protection: bool

    def __call__(self, crops: Sequence[Crop], call: Call) -> list[Crop]:
        """Restore crops of `side` and of one dtype, which stays.

        The stages are upload, network, download, parse and blend.

        Raises
        ------
        OutOfMemoryError
            Even one face at a time.
        OutputRejectedError
            Even in fp32.

        """
        dtype = crops[0].dtype
        peak = np.float32(np.iinfo(dtype).max)
        with call.watch("upload"):
            stacked = np.stack(crops).transpose(0, 3, 1, 2)
            batch = stacked.astype(np.float32) / peak * 2 - 1
        output = self._run_safely(batch, call)
        with call.watch("download"):
            levels = np.clip(output * 0.5 + 0.5, 0, 1).transpose(0, 2, 3, 1) * peak
        if self.skin_protection:
            levels = np.stack(
                [
                    self._with_skin_of(crop, face / peak, call) * peak
                    for crop, face in zip(crops, levels, strict=True)
                ]
            )
        rounded = np.floor(levels) if self.truncate else np.rint(levels)
        return list(rounded.astype(dtype))

    def mask(self, face: Crop, call: Call) -> Mask:
        """Where a restored face is pasted, ``(side, side)``."""
        classes = self._classes(face, call)
        with call.watch("blend"):
            if classes is None:
                mask = faces.soft_rectangle()
            else:
                mask = faces.parsed_mask(classes)
            resized: Mask = cv2.resize(mask, (self.side, self.side))
        return resized

    def _classes(self, face: Crop, call: Call) -> NDArray[np.uint8] | None:
        if self.parser is None:
            return None
        with call.watch("parse"):
            return self.parser(faces.as_rgb8(face))

    def _with_skin_of(
        self, crop: Crop, face: NDArray[np.float32], call: Call
    ) -> NDArray[np.float32]:
        classes = self._classes(np.rint(face * 255).astype(np.uint8), call)
        with call.watch("blend"):
            if classes is not None:
                size = (self.side, self.side)
                classes = cv2.resize(classes, size, interpolation=cv2.INTER_NEAREST)
            skin = faces.skin_of(faces.as_rgb8(crop), classes)
            peak = np.float32(np.iinfo(crop.dtype).max)
            source = np.asarray(crop / peak, np.float32)
            return faces.protect_skin(source, face, skin)

    def _run_safely(self, batch: Batch, call: Call) -> Batch:
        try:
            return self._run(self.engine, batch, call)
        except OutputRejectedError as error:
            if self.in_fp32 is None:
                raise
            call.notes.append(f"in fp32: {error} ({self.engine.name})")
            return self._run(self.in_fp32(), batch, call)

    def _run(self, engine: Engine, batch: Batch, call: Call) -> Batch:
        try:
            output = engine(batch, call.watch)
        except OutOfMemoryError as error:
            if len(batch) == 1:
                raise
            half = len(batch) // 2
            call.notes.append(f"{half} faces at a time: {error}")
        else:
            for crop, face in zip(batch, output, strict=True):
                check_output(crop, face)
            return output
        # only here: while the error lives, what the failed attempt held does
        engine.make_room()
        parts = (batch[:half], batch[half:])
        return np.concatenate([self._run(engine, part, call) for part in parts])


def smooth_small(face: Crop) -> Crop:
    """What upstream does to a face that was small: the filter [1 2 1], both ways."""
    smoothed: Crop = cv2.filter2D(face, -1, SMOOTHING)
    return smoothed


def mixed(face: Crop, crop: Crop, share: float) -> Crop:
    """`share` of the one and the rest of the other, rounded."""
    result: Crop = cv2.addWeighted(face, share, crop, 1 - share, 0)
    return result
