"""GPEN on faces that are cut out: the network, and what is done to its output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit import faces
from evalkit.errors import OutOfMemoryError, OutputRejectedError
from evalkit.faces import Mask
from evalkit.faces.parser import Parser
from evalkit.restorers._protocol import Context
from evalkit.restorers.engines.levels import Then, Values, ends, library_of, to_levels
from evalkit.restorers.engines.tiling import check_output
from evalkit.restorers.engines.torch import Batch, Engine

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
        Makes the engine for a face whose output is NaN, infinite or constant; None
        where `engine` calculates in fp32 itself.
    side
        Side of its faces, in pixels.
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

    def __call__(
        self,
        crops: Sequence[Crop],
        context: Context,
        notes: Sequence[list[str]] | None = None,
    ) -> list[Crop]:
        """Restore crops of `side` and of one dtype, which stays.

        The stages are upload, network, download, parse and blend. Faces whose output is
        rejected are done in fp32, and noted.

        Parameters
        ----------
        crops
            May be of several pictures.
        context
            That of the crops.
        notes
            Notes of each crop's picture; None for those of `context`.

        Raises
        ------
        OutOfMemoryError
            Even one face at a time.
        OutputRejectedError
            Even in fp32.

        """
        dtype = crops[0].dtype
        peak = np.float32(np.iinfo(dtype).max)
        with context.watch("upload"):
            stacked = np.stack(crops).transpose(0, 3, 1, 2)
            batch = stacked.astype(np.float32) / peak * 2 - 1
        levels_of = partial(to_levels, dtype=dtype, truncate=self.truncate)
        then = partial(_finished, finish=None if self.skin_protection else levels_of)
        crop_notes = notes or [context.notes] * len(crops)
        restored = self._run_safely(batch, then, context, crop_notes)
        if not self.skin_protection:
            return restored
        pairs = zip(crops, restored, strict=True)
        return [
            levels_of(self._with_skin_of(crop, face, context)) for crop, face in pairs
        ]

    def mask(self, face: Crop, context: Context) -> Mask:
        """Where a restored face is pasted, ``(side, side)``."""
        classes = self._classes(face, context)
        with context.watch("blend"):
            if classes is None:
                mask = faces.soft_rectangle()
            else:
                mask = faces.parsed_mask(classes)
            resized: Mask = cv2.resize(mask, (self.side, self.side))
        return resized

    def _classes(self, face: Crop, context: Context) -> NDArray[np.uint8] | None:
        if self.parser is None:
            return None
        with context.watch("parse"):
            return self.parser(faces.as_rgb8(face))

    def _with_skin_of(
        self, crop: Crop, face: NDArray[np.float32], context: Context
    ) -> NDArray[np.float32]:
        classes = self._classes(np.rint(face * 255).astype(np.uint8), context)
        with context.watch("blend"):
            if classes is not None:
                size = (self.side, self.side)
                classes = cv2.resize(classes, size, interpolation=cv2.INTER_NEAREST)
            skin = faces.skin_of(faces.as_rgb8(crop), classes)
            peak = np.float32(np.iinfo(crop.dtype).max)
            source = np.asarray(crop / peak, np.float32)
            return faces.protect_skin(source, face, skin)

    def _run_safely(
        self, batch: Batch, then: Then, context: Context, notes: Sequence[list[str]]
    ) -> list[NDArray[Any]]:
        """What `then` makes of each face, anew in fp32 where that is rejected."""
        outputs = self._run(self.engine, batch, then, context, notes)
        rejected: list[int] = []
        for index, (crop, (extremes, _)) in enumerate(zip(batch, outputs, strict=True)):
            try:
                check_output(crop, extremes, crop.size)
            except OutputRejectedError as error:
                if self.in_fp32 is None:
                    raise
                rejected.append(index)
                _tell([notes[index]], f"in fp32: {error} ({self.engine.name})")
        if rejected and self.in_fp32:
            rejected_notes = [notes[index] for index in rejected]
            fp32_outputs = self._run(
                self.in_fp32(), batch[rejected], then, context, rejected_notes
            )
            for index, output in zip(rejected, fp32_outputs, strict=True):
                check_output(batch[index], output[0], batch[index].size)
                outputs[index] = output
        return [face for _, face in outputs]

    def _run(
        self,
        engine: Engine,
        batch: Batch,
        then: Then,
        context: Context,
        notes: Sequence[list[str]],
    ) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """The ends of each face's output, and what `then` makes of it."""
        try:
            values = engine.start_then(batch, context.watch, then, "download")()
        except OutOfMemoryError as error:
            if len(batch) == 1:
                raise
            half = len(batch) // 2
            _tell(notes, f"{half} faces at a time: {error}")
        else:
            return list(zip(values[::2], values[1::2], strict=True))
        # only here: while the error lives, what the failed attempt held does
        engine.make_room()
        return [
            face
            for part in (slice(None, half), slice(half, None))
            for face in self._run(engine, batch[part], then, context, notes[part])
        ]


def _finished(outputs: Values, finish: Callable[[Values], Values] | None) -> list[Any]:
    """The ends of each face's output, then ``(S, S, 3)``, in [0, 1] or levels."""
    values = []
    for output in outputs:
        library = library_of(output)
        face = library.moveaxis(library.clip(output * 0.5 + 0.5, 0, 1), 0, -1)
        values += [ends(output), finish(face) if finish else face]
    return values


def _tell(notes: Sequence[list[str]], note: str) -> None:
    """Note it once for each picture."""
    for picture_notes in notes:
        if note not in picture_notes:
            picture_notes.append(note)


def smooth_small(face: Crop) -> Crop:
    """Smooth a small face as upstream does: the filter [1 2 1], both ways."""
    smoothed: Crop = cv2.filter2D(face, -1, SMOOTHING)
    return smoothed


def mixed(face: Crop, crop: Crop, share: float) -> Crop:
    """Mix `share` of the face with the rest of the crop, rounded."""
    result: Crop = cv2.addWeighted(face, share, crop, 1 - share, 0)
    return result
