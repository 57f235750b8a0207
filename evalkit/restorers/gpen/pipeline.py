"""GPEN on a picture: find the faces, restore them, paste them back."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit import faces
from evalkit.faces import Detector, Face
from evalkit.images import Picture
from evalkit.images.channels import Rgb, alpha_of, as_before, colours, has_alpha
from evalkit.images.scaling import Interpolation, scaled
from evalkit.machine.out_of_memory import oom_as_ours
from evalkit.restorers._protocol import (
    Cancel,
    Context,
    Plan,
    Restored,
    Restorer,
    stop_if,
)
from evalkit.restorers._stopwatch import Stopwatch
from evalkit.restorers.engines.tf32 import calculating_in, single_precision
from evalkit.restorers.gpen.face_restorer import Crop, FaceRestorer, mixed, smooth_small

BACKGROUND_SCALE = 2
RECOMMENDED_SIDE = 1200
SMALL_FACE = 100
"""Shorter side of a face's box, pixels of the output, below which it is smoothed."""

UPSTREAM_LONGEST, UPSTREAM_SHRUNK = 1500, 1000
"""A picture with a longer side is shrunk to the other before upstream finds faces."""


Background: TypeAlias = Callable[[Picture, Context], Picture]
"""Enlarges a picture by `BACKGROUND_SCALE`; its channels and dtype stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingPicture:
    """A picture whose faces are to be restored.

    Attributes
    ----------
    context
        The picture's.
    faces
        Those in the picture; one None where the picture is a face.
    crop
        Aligns one of them.
    add
        ``add(face, crop, restored)``: to be called for each of them.
    end
        Gives the finished picture.

    """

    context: Context
    faces: Sequence[Any]
    crop: Callable[[Any], Crop]
    add: Callable[[Any, Crop, Crop], None]
    end: Callable[[], Picture]


class GpenRestorer(Restorer):
    """Both runners; ``upstream`` does what GPEN does, except for silent failures."""

    def __init__(
        self,
        plan: Plan,
        *,
        face_restorer: FaceRestorer,
        detector: Detector,
        background: Background | None,
        notes: Sequence[str],
    ) -> None:
        super().__init__(plan, (*plan.notes, *notes))
        self.face_restorer = face_restorer
        self._detector = detector
        self._background = background
        self._scale = BACKGROUND_SCALE if background else 1
        self._is_upstream = plan.resolved["runner"] == "upstream"
        self._strength = plan.resolved["strength"] / 100

    def _restore(self, image: Picture, context: Context) -> Picture:
        return self._together([self._begin(image, context)])[0]

    def _kind(self, image: Picture) -> object:
        """On a GPU the tuned runner's faces of pictures of one dtype go together."""
        is_alone = self._is_upstream or self.face_restorer.batch == 1
        return None if is_alone else image.dtype

    def _restore_group(
        self, images: Sequence[Picture], cancel: Cancel | None, *, aligned: bool
    ) -> list[Restored]:
        """The network's time is shared by the number of faces."""
        contexts = [self._context(None, cancel, aligned=aligned) for _ in images]
        with oom_as_ours(f"faces of {len(images)} pictures"):
            pairs = zip(images, contexts, strict=True)
            pictures = [self._begin(image, context) for image, context in pairs]
            outputs = self._together(pictures)
        return [
            Restored(
                image=output, stages_s=context.watch.settled(), notes=context.notes
            )
            for output, context in zip(outputs, contexts, strict=True)
        ]

    def _begin(self, image: Picture, context: Context) -> PendingPicture:
        drops_bits = self._is_upstream and image.dtype == np.uint16
        context.notes += _notes_on(image, drops_bits=drops_bits)
        stop_if(context.cancel)
        begin = self._one_face if context.aligned else self._whole_picture
        if not drops_bits:
            return begin(image, context)
        pending = begin((image >> 8).astype(np.uint8), context)
        return replace(
            pending, end=lambda: pending.end().astype(np.uint16) * np.uint16(257)
        )

    def _together(self, pictures: Sequence[PendingPicture]) -> list[Picture]:
        """Restore the faces of pictures of one dtype, and end the pictures."""
        waiting = [(picture, face) for picture in pictures for face in picture.faces]
        for start in range(0, len(waiting), self.face_restorer.batch):
            group = waiting[start : start + self.face_restorer.batch]
            contexts = [picture.context for picture, _ in group]
            for context in contexts:
                stop_if(context.cancel)
            crops = [picture.crop(face) for picture, face in group]
            shared = replace(contexts[0], watch=Stopwatch())
            notes = [context.notes for context in contexts]
            restored = self.face_restorer(crops, shared, notes)
            for stage, passed_s in shared.watch.settled().items():
                for context in contexts:
                    context.watch.add(stage, passed_s / len(group))
            for (picture, face), crop, pixels in zip(
                group, crops, restored, strict=True
            ):
                picture.add(face, crop, pixels)
        return [picture.end() for picture in pictures]

    def _one_face(self, image: Picture, context: Context) -> PendingPicture:
        """The picture is a face: stretched to the network's square, and back."""
        rgb, side = colours(image), self.face_restorer.side
        restored: list[Crop] = []

        def crop(_: Face | None) -> Crop:
            return self._resized(rgb, side, side)

        def add(_: Face | None, crop: Crop, face: Crop) -> None:
            if self._is_upstream:
                face = mixed(face, crop, self._strength)
            restored.append(face)

        def end() -> Picture:
            (face,) = restored
            if self._background:
                after = replace(
                    context,
                    progress=lambda n_done, n: context.progress(n_done + 1, n + 1),
                )
                face = self._background(face, after)
            else:
                context.progress(1, 1)
            height, width = (side * self._scale for side in image.shape[:2])
            with context.watch("blend"):
                face = self._resized(face, height, width)
                if not self._is_upstream:
                    original = self._resized(rgb, height, width)
                    face = mixed(face, original, self._strength)
                alpha = alpha_of(image)
                if alpha is not None:
                    alpha = self._resized(alpha, height, width)
                return as_before(image, face, alpha)

        return PendingPicture(
            context=context, faces=[None], crop=crop, add=add, end=end
        )

    def _whole_picture(self, image: Picture, context: Context) -> PendingPicture:
        rgb, side = colours(image), self.face_restorer.side
        with context.watch("detect"):
            if self._is_upstream:
                height, width = (side * self._scale for side in image.shape[:2])
                rgb = scaled(rgb, width, height, "linear")
            picture_faces = self._find(rgb)
        context.notes.append(self._note_on_faces(picture_faces))
        backdrop = self._backdrop(image, len(picture_faces), context)
        background = colours(backdrop)
        composite = faces.Composite(background)
        factor, numbers = backdrop.shape[1] / rgb.shape[1], itertools.count(1)

        def crop(face: Face) -> Crop:
            with context.watch("detect"):
                return faces.align(rgb, face.landmarks, side)[0]

        def add(face: Face, crop: Crop, pixels: Crop) -> None:
            mask = self.face_restorer.mask(pixels, context)
            with context.watch("blend"):
                if min(face.width, face.height) * factor < SMALL_FACE:
                    pixels = smooth_small(pixels)
                if self._is_upstream:
                    pixels = mixed(pixels, crop, self._strength)
                else:
                    mask *= self._strength
                # the first pixel reaches from -0.5 to 0.5
                landmarks = (face.landmarks + 0.5) * factor - 0.5
                composite.add(pixels, mask, faces.to_frame(landmarks, side))
            n_before = context.n_before
            context.progress(n_before + next(numbers), n_before + len(picture_faces))

        def end() -> Picture:
            if not picture_faces:
                if not self._background:
                    context.progress(1, 1)
                return backdrop
            with context.watch("blend"):
                pasted = composite.over(background)
                return as_before(image, pasted, alpha_of(backdrop))

        return PendingPicture(
            context=context, faces=picture_faces, crop=crop, add=add, end=end
        )

    def _note_on_faces(self, picture_faces: Sequence[Face]) -> str:
        if picture_faces:
            return f"faces found by {self._detector.name}: {len(picture_faces)}"
        outcome = (
            "the background is restored" if self._background else "nothing is changed"
        )
        return f"no face found by {self._detector.name}: {outcome}"

    def _resized(self, picture: NDArray[Any], height: int, width: int) -> NDArray[Any]:
        """Resize as upstream does; ours averages areas where it shrinks."""
        shrinks = height < picture.shape[0] and width < picture.shape[1]
        how: Interpolation = "linear" if self._is_upstream or not shrinks else "area"
        return scaled(picture, width, height, how)

    def _find(self, rgb: Rgb) -> list[Face]:
        confidence = self.plan.resolved["confidence"]
        picture = faces.as_rgb8(rgb)
        doing = f"finding faces in {rgb.shape[1]}x{rgb.shape[0]} px"
        single = single_precision(self.plan.resolved)
        with oom_as_ours(doing), calculating_in(single):
            if not self._is_upstream:
                return faces.find_faces(self._detector, picture, confidence)
            is_long = max(picture.shape[:2]) > UPSTREAM_LONGEST
            side = UPSTREAM_SHRUNK if is_long else UPSTREAM_LONGEST
            return faces.find_at(
                self._detector, picture, confidence, side, cv2.INTER_LINEAR
            )

    def _backdrop(self, image: Picture, n_faces: int, context: Context) -> Picture:
        """What the faces are pasted on: the picture, or what `background` makes."""
        if self._background is None:
            return image.copy()
        of_background = replace(context, progress=context.of_background(n_faces))
        return self._background(image, of_background)


def _notes_on(image: Picture, *, drops_bits: bool) -> list[str]:
    notes, longest = [], max(image.shape[:2])
    if longest > RECOMMENDED_SIDE:
        notes.append(
            f"the longest side is {longest} px; GPEN's hint is a longest side "
            f"{RECOMMENDED_SIDE}: above it memory and time grow"
        )
    if drops_bits:
        notes.append("16 bits: worked on in 8, as upstream does")
    elif image.dtype == np.uint16:
        notes.append("16 bits are kept; upstream drops them to 8")
    if image.ndim == 2:
        notes.append("grey: the faces are made grey again; upstream gives colour")
    if has_alpha(image):
        notes.append("alpha is kept; upstream drops it")
    return notes
