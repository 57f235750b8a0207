"""The hybrid on a picture: decide on each face, restore the rest, lay faces over it."""

from __future__ import annotations

import gc
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np
import psutil

from evalkit import faces
from evalkit.faces import MASK_SIDE, Composite, Detector, Face, Mask, Matrix
from evalkit.faces.parser import Parser
from evalkit.features import sharpness
from evalkit.images import Picture
from evalkit.images.channels import Rgb, alpha_of, as_before, colours
from evalkit.machine.out_of_memory import oom_as_ours
from evalkit.restorers._protocol import (
    Context,
    Plan,
    Restored,
    Restorer,
    stop_if,
)
from evalkit.restorers._stopwatch import Stopwatch
from evalkit.restorers.engines.tf32 import calculating_in, single_precision
from evalkit.restorers.engines.torch import Batch, Engine
from evalkit.restorers.gpen.face_restorer import Crop, FaceRestorer
from evalkit.restorers.gpen.pipeline import GpenRestorer
from evalkit.restorers.hybrid import placement as laying
from evalkit.restorers.hybrid.placement import FacePair, scaling, sized, warped

Result = TypeVar("Result")

SOUGHT_FROM = 0.5
"""Confidence from which a face is mentioned, even if it is left alone."""

FACE = slice(90, 460), slice(106, 406)
"""Rows and columns of a crop of 512 px that the face itself fills."""


class ReadyFace(Engine):
    """A face that others restored, in place of GPEN's generator."""

    def __init__(self, pair: FacePair) -> None:
        super().__init__(pair.name)
        levels = pair.after.transpose(2, 0, 1)[None].astype(np.float32)
        self._output = levels / np.float32(127.5) - np.float32(1)

    def start(self, batch: Batch, watch: Stopwatch) -> Callable[[], Batch]:  # noqa: ARG002
        """See `Engine.start`."""
        return lambda: self._output


class FaceLayer(NamedTuple):
    """A picture, its restored background, and the faces to lie on that."""

    source: Rgb
    enlarged: Rgb
    frames: Mapping[int, Matrix]
    composite: Composite

    @property
    def shrinking(self) -> Matrix:
        """The matrix from the background to the picture."""
        return scaling(self.source.shape[1] / self.enlarged.shape[1])

    def add(self, k: int, frame: Matrix, face: Crop, mask: Mask, share: float) -> None:
        """Lay `share` of the face of that number over the picture."""
        side = len(face)
        to_face = sized(frame, side) @ self.shrinking
        neighbours = [neighbour for n, neighbour in self.frames.items() if n != k]
        mask = laying.faded(mask, frame, neighbours)
        face = laying.match_colour(face, warped(self.enlarged, to_face, side), mask)
        # linear interpolation leaves pixels out where a face shrinks by more than two,
        # and softens one that has its size already: Solvay's published faces came to
        # lie with 0.65 of the detail that the published picture has, at twice with all
        new_side = 2 * math.ceil(side / math.sqrt(np.linalg.det(to_face)))
        if new_side < side:
            face, mask = laying.resized(face, new_side), laying.resized(mask, new_side)
            to_face = scaling(new_side / side) @ to_face
        self.composite.add(face, mask * share, to_face[:2])


class SwappedRestorers:
    """The restorers of a plan; under ``memory_mib`` loaded only when one is needed."""

    def __init__(self, plan: Plan) -> None:
        self._plans, self._settings = plan.parts, plan.resolved
        self._loaded: dict[int, Restorer] = {}
        if self._settings["memory_mib"] is None:
            self._loaded = {n: p.load() for n, p in enumerate(plan.parts)}

    def use(
        self,
        n: int,
        image: Picture,
        context: Context,
        work: Callable[[Restorer], Result],
    ) -> Result:
        """Let part `n` work; let it go if the other would not fit beside it."""
        plan, other_plan = self._plans[n], self._plans[1 - n]
        part = self._loaded.get(n) or plan.load()
        self._loaded[n] = part  # of two that threads load at once, one is forgotten
        result = work(part)
        del part
        held_mib, allowed_mib = self._held_mib(), self._settings["memory_mib"]
        note = f"{plan.spec.name}: {held_mib:.0f} MiB held when done"
        if allowed_mib is not None:
            count = other_plan.spec.work if 1 - n not in self._loaded else None
            bound = count(other_plan.resolved, *image.shape[:2]) if count else None
            more_mib = bound.coexisting_bytes / 2**20 if bound else 0
            note += f", {more_mib:.0f} to come at least, {allowed_mib:g} allowed"
            if held_mib + more_mib > allowed_mib:
                self._loaded.pop(n, None)
                gc.collect()
                note += f": let go, {self._held_mib():.0f} left"
        context.notes.append(note)
        return result

    def _held_mib(self) -> float:
        """Memory held by this process; on a GPU, by torch's tensors."""
        device = self._settings["device"]
        if device == "cpu":
            return float(psutil.Process().memory_info().rss) / 2**20
        import torch

        torch.cuda.empty_cache()
        return torch.cuda.memory_allocated(device) / 2**20


class Hybrid(Restorer):
    """See `evalkit.restorers.hybrid`; a face's number is its place among those found.

    A plan's parts are those of the faces and of the background. Faces are restored
    where `published` is None; else these are pasted, with masks by `parser`.
    """

    def __init__(
        self,
        plan: Plan,
        detector: Detector,
        published: Sequence[FacePair] | None,
        parser: Parser | None,
    ) -> None:
        super().__init__(plan)
        self._parts = SwappedRestorers(plan)
        self._detector, self._published, self._parser = detector, published, parser

    def _restore(self, image: Picture, context: Context) -> Picture:
        rgb = colours(image)
        with context.watch("detect"):
            picture_faces = [_whole(rgb)] if context.aligned else self._find(rgb)
            pairs = self._pairs(rgb, picture_faces)
            chosen = self._choose(rgb, picture_faces, pairs, context.notes)
        output = self._enlarge(image, len(chosen), context)
        if chosen:
            least = self.plan.resolved["confidence"]
            sure = [
                k for k, face in enumerate(picture_faces) if not face.confidence < least
            ]
            frames = {k: _frame(picture_faces[k]) for k in sure}
            enlarged = colours(output)
            layer = FaceLayer(rgb, enlarged, frames, Composite(enlarged))

            def work(part: Restorer) -> None:
                self._lay(part, chosen, pairs, layer, context)

            self._parts.use(0, image, context, work)
            with context.watch("blend"):
                pasted = layer.composite.over(enlarged)
                output = as_before(image, pasted, alpha_of(output))
        context.notes = list(dict.fromkeys(context.notes))
        return output

    def _find(self, rgb: Rgb) -> list[Face]:
        least = min(SOUGHT_FROM, self.plan.resolved["confidence"])
        doing = f"finding faces in {rgb.shape[1]}x{rgb.shape[0]} px"
        single = single_precision(self.plan.resolved)
        with oom_as_ours(doing), calculating_in(single):
            pixels = faces.as_rgb8(rgb)
            seen = faces.find_faces(self._detector, pixels, least)
            if self._published is not None:  # whose faces say which is one
                return seen
            least_px = self.plan.resolved["least_face_px"]
            return faces.look_again(
                self._detector, pixels, seen, faces.FINE_SIDE, least_px
            )

    def _pairs(self, rgb: Rgb, picture_faces: Sequence[Face]) -> dict[int, FacePair]:
        if self._published is None:
            return {}
        picture, side = faces.as_rgb8(rgb), laying.COARSE
        crops = [
            warped(picture, sized(_frame(face), side), side) for face in picture_faces
        ]
        return laying.assign(self._published, crops)

    def _choose(
        self,
        rgb: Rgb,
        picture_faces: Sequence[Face],
        pairs: Mapping[int, FacePair],
        notes: list[str],
    ) -> list[int]:
        """The faces to restore; what is done with each goes to the notes."""
        by_reason, chosen = defaultdict(list), []
        for k, face in enumerate(picture_faces):
            against = self._reason_against(rgb, face)
            if against is None and self._published is not None and k not in pairs:
                against = "no published face is this one"
            if against is None:
                chosen.append(k)
            (left, top, *_), pair = face.box, pairs.get(k)
            text = f"{face.width:.0f}x{face.height:.0f} at {left:.0f},{top:.0f}"
            by_reason[against].append(f"{text} ({pair.name})" if pair else text)
        for against, texts in by_reason.items():
            outcome = f"left to the background, {against}" if against else "restored"
            notes.append(f"faces {outcome}: {len(texts)}, in px: {'; '.join(texts)}")
        return chosen

    def _reason_against(self, rgb: Rgb, face: Face) -> str | None:
        limits = self.plan.resolved
        if face.confidence < limits["confidence"]:  # the cascade's is NaN
            return f"confidence under {limits['confidence']:g} in two looks"
        if min(face.width, face.height) < limits["least_face_px"]:
            return f"shorter side under {limits['least_face_px']:g} px"
        crop = warped(rgb, _frame(face), MASK_SIDE)
        if sharpness(crop[FACE]) >= limits["sharp_enough"]:
            return f"sharpness {limits['sharp_enough']:g} or more"
        return None

    def _enlarge(self, image: Picture, n_faces: int, context: Context) -> Picture:
        progress = context.of_background(n_faces)

        def work(part: Restorer) -> Restored:
            return part.restore(image, progress=progress, cancel=context.cancel)

        restored = self._parts.use(1, image, context, work)
        _add_stages(context, "background", restored.stages_s)
        context.notes += [f"background: {note}" for note in restored.notes]
        return restored.image

    def _lay(
        self,
        part: Restorer,
        chosen: Sequence[int],
        pairs: Mapping[int, FacePair],
        layer: FaceLayer,
        context: Context,
    ) -> None:
        """Restore the faces, or look them up, and lay them over the background."""
        faces_context, step = replace(context, watch=Stopwatch()), 1
        if isinstance(part, GpenRestorer):
            context.notes += part.notes
            restorer, step = part.face_restorer, part.face_restorer.batch
        for start in range(0, len(chosen), step):
            stop_if(context.cancel)
            group = chosen[start : start + step]
            frames = [layer.frames[k] for k in group]
            if pairs:
                restorer, frames[0] = self._ready_face(
                    pairs[group[0]], frames[0], layer, context
                )
            crops = [self._crop(layer, frame, restorer.side) for frame in frames]
            restored = restorer(crops, faces_context)
            for k, frame, face in zip(group, frames, restored, strict=True):
                mask = restorer.mask(face, faces_context)
                with faces_context.watch("blend"):
                    share = self.plan.resolved["strength"] / 100
                    layer.add(k, frame, face, mask, share)
            n_done = context.n_before + start + len(group)
            context.progress(n_done, context.n_before + len(chosen))
        _add_stages(context, "faces", faces_context.watch.stages_s)

    def _ready_face(
        self, pair: FacePair, frame: Matrix, layer: FaceLayer, context: Context
    ) -> tuple[FaceRestorer, Matrix]:
        """What returns a published face, and the frame that it was aligned to."""
        crop = faces.as_rgb8(warped(layer.source, frame, MASK_SIDE))
        likeness, matrix = laying.lay_over(pair, crop)
        context.notes.append(f"{pair.name}: correlation {likeness:.3f} with the source")
        restorer = FaceRestorer(
            engine=ReadyFace(pair),
            in_fp32=None,
            side=len(pair.after),
            batch=1,
            parser=self._parser,
            truncate=False,
            skin_protection=self.plan.resolved["skin_protection"],
        )
        return restorer, matrix @ frame

    def _crop(self, layer: FaceLayer, frame: Matrix, side: int) -> Crop:
        if self.plan.resolved["crop_from"] == "source":
            return warped(layer.source, sized(frame, side), side)
        return warped(layer.enlarged, sized(frame, side) @ layer.shrinking, side)


def _whole(rgb: Rgb) -> Face:
    """The face of a picture that is one aligned face."""
    height, width = rgb.shape[:2]
    landmarks = faces.TEMPLATE * (width / MASK_SIDE, height / MASK_SIDE)
    return Face((0, 0, width, height), 1.0, landmarks, "aligned")


def _frame(face: Face) -> Matrix:
    return np.vstack((faces.to_frame(face.landmarks, MASK_SIDE), (0, 0, 1)))


def _add_stages(context: Context, whose: str, stages_s: Mapping[str, float]) -> None:
    context.watch.stages_s |= {f"{whose} {n}": passed for n, passed in stages_s.items()}
