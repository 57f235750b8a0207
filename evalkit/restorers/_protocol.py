"""What a restorer is: its facts, its settings, its plan, its call, its result."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from evalkit.images import Picture, check_picture
from evalkit.machine.out_of_memory import oom_as_ours
from evalkit.restorers._arguments import Shown, without_paths
from evalkit.restorers._context import Cancel, Context, Progress, stop_if
from evalkit.restorers._options import COMMON_OPTIONS, Option
from evalkit.weights import WeightsInUse

if TYPE_CHECKING:
    from evalkit.restorers._work import CostBound

__all__ = [
    "Cancel",
    "Context",
    "Plan",
    "Progress",
    "Restored",
    "Restorer",
    "RestorerSpec",
    "Settings",
    "stop_if",
]

Settings: TypeAlias = Mapping[str, Any]
"""Every setting of a restorer by name, JSON-able."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be loaded for some settings; cheap to make, and enough for a key.

    Attributes
    ----------
    spec
        The restorer.
    requested
        All settings as asked for.
    resolved
        The same, every ``auto`` replaced but that of a tile by the memory free then.
    weights
        The files that will be loaded, the restorer's own first.
    notes
        What the reader must know of this plan, such as a substitute.
    parts
        Plans of the restorers that it loads by name.
    preload
        Modules that these settings add to the restorer's own `preload`.

    """

    spec: "RestorerSpec"
    requested: Settings
    resolved: Settings
    weights: tuple[WeightsInUse, ...] = ()
    notes: tuple[str, ...] = ()
    parts: tuple["Plan", ...] = ()
    preload: tuple[str, ...] = ()

    @property
    def modules(self) -> list[str]:
        """Modules whose text, with what they import, decides what is made."""
        inner = [module for part in self.parts for module in part.modules]
        makers = (self.spec.build, self.spec.plan)
        # a partial says that it is of functools
        modules = [getattr(maker, "func", maker).__module__ for maker in makers]
        return [*dict.fromkeys(modules), *inner]

    @property
    def weights_kind(self) -> str:
        """``random`` if any are, else `WeightsInUse.kind` of its own, or ``none``."""
        kinds = [weights.kind for weights in self.weights]
        return "random" if "random" in kinds else next(iter(kinds), "none")

    @property
    def recorded(self) -> dict[str, Any]:
        """What is kept of `resolved`: the same wherever the reader's files lie."""
        return without_paths(self.resolved)

    @property
    def parameters(self) -> dict[str, Any]:
        """As requested, JSON-able: ``load_restorer(**plan.parameters)``."""
        spec, requested = self.spec, dict(self.requested)
        argument = requested.pop(spec.argument, None) if spec.argument else None
        name = f"{spec.name}:{argument}" if spec.argument else spec.name
        return {"name": name, **requested}

    def load(self) -> "Restorer":
        """Build what is planned.

        Raises
        ------
        OutOfMemoryError
            No room for it, nor for what a device needs first, such as a CUDA context.

        """
        with oom_as_ours(f"loading {self.spec.name}"):
            return self.spec.build(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorerSpec:
    """All that the study must know of a restorer before it is loaded.

    Attributes
    ----------
    name
        Kebab-case; begins the name of every condition of this restorer.
    task
        What it was made for, in a few words.
    scale
        Output side divided by source side under default settings.
    citation
        Paper or repository, with the version that was used.
    licence
        Of the weights, or of the method's code where there are none.
    weights
        Names in the weights registry that it may load, its own first.
    honours
        Which of `COMMON_OPTIONS` mean something to it.
    options
        Its own settings.
    preload
        Modules that are slow to import; a process that forks workers does it once.
    argument
        The option that is written behind a colon in the name (``outputs:<folder>``).
    shown
        How that is called in the names of conditions; None for as it is. See `Shown`.
    plan
        ``plan(spec, settings)`` resolves settings and finds weights, without loading.
    build
        ``build(plan)`` loads. Heavy imports belong inside it.
    work
        ``work(settings, height, width)``, settings resolved and a source's size in px:
        a lower bound of what a picture takes. None for unknown.
    takes_names, redraws_faces, makes_pictures
        Whether a source's name decides its output, too; whether it draws faces anew, as
        a guess; whether it makes what it gives: what is looked up has no cost.
    starts_programs
        Whether other processes do the work, whose memory only a monitor sees.

    """

    name: str
    task: str
    scale: int
    citation: str
    licence: str
    plan: Callable[["RestorerSpec", Settings], Plan]
    build: Callable[[Plan], "Restorer"]
    work: Callable[[Settings, int, int], "CostBound"] | None = None
    takes_names: bool = False
    starts_programs: bool = False
    redraws_faces: bool = False
    makes_pictures: bool = True
    weights: tuple[str, ...] = ()
    honours: frozenset[str] = frozenset()
    options: Mapping[str, Option] = field(default_factory=dict)
    preload: tuple[str, ...] = ()
    argument: str | None = None
    shown: Shown | None = None

    @property
    def all_options(self) -> Mapping[str, Option]:
        """The common options that it honours, then its own."""
        common = {k: v for k, v in COMMON_OPTIONS.items() if k in self.honours}
        return {**common, **self.options}


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """The result of one call.

    Attributes
    ----------
    image
        The output, with the source's dtype.
    stages_s
        Seconds by stage: detect, upload, network, download, blend, ... They add up to
        no more than the call took.
    notes
        What the reader must know of this output: substitutes, fallbacks, choices.

    """

    image: Picture
    stages_s: dict[str, float]
    notes: list[str]


class Restorer(ABC):
    """A loaded restorer. It keeps no state between calls and may be shared by threads.

    Its notes come first in every output's; None stands for those of the plan.
    """

    def __init__(self, plan: Plan, notes: Sequence[str] | None = None) -> None:
        self.plan = plan
        self.notes = tuple(plan.notes if notes is None else notes)

    @property
    def parameters(self) -> dict[str, Any]:
        """See `Plan.parameters`: ``load_restorer(**restorer.parameters)``."""
        return self.plan.parameters

    @property
    def weights_kind(self) -> str:
        """See `Plan.weights_kind`."""
        return self.plan.weights_kind

    def knowing(self, facts: Mapping[str, float]) -> "Restorer":  # noqa: ARG002
        """A restorer that knows this of its pictures' files; only ``auto`` asks."""
        return self

    def restore(
        self,
        image: Picture,
        *,
        aligned: bool = False,
        source: str | None = None,
        others: Collection[str] = (),
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> Restored:
        """Restore one picture.

        Parameters
        ----------
        image
            See `Picture`; left as it is.
        aligned
            The picture is one aligned face that fills the frame (face restorers).
        source
            The picture's file stem, for a restorer that looks outputs up.
        others
            The stems of the other pictures, whose outputs are none of this one's.
        progress, cancel
            See `Progress` and `Cancel`.

        Returns
        -------
        Restored
            After the device has finished, so that a stopwatch around the call
            measures the restorer and not its queue.

        Raises
        ------
        ImageError
            `image` is not a `Picture`.
        OutOfMemoryError, CancelledError, OutputRejectedError
            No picture was made.

        """
        check_picture(image)
        context = self._context(progress, cancel, aligned=aligned, source=source)
        context.others = others
        stop_if(context.cancel)
        with oom_as_ours(f"a picture of {image.shape[1]}x{image.shape[0]} px"):
            output = self._restore(image, context)
        stages_s = context.watch.settled()
        return Restored(image=output, stages_s=stages_s, notes=context.notes)

    def _context(
        self,
        progress: Progress | None,
        cancel: Cancel | None,
        *,
        aligned: bool = False,
        source: str | None = None,
    ) -> Context:
        return Context(
            progress=progress or (lambda _done, _total: None),
            cancel=cancel or (lambda: False),
            aligned=aligned,
            source=source,
            notes=list(self.notes),
        )

    def restore_batch(
        self,
        images: Sequence[Picture],
        *,
        aligned: bool = False,
        sources: Sequence[str] | None = None,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> list[Restored]:
        """Restore several pictures, at once where the restorer can.

        Progress counts pictures; those of a group end together. Else as in `restore`.
        """
        groups: dict[object, list[int]] = {}
        for index, image in enumerate(images):
            check_picture(image)
            kind = self._kind(image)
            alone = index if kind is None else None
            groups.setdefault((kind, alone), []).append(index)
        results: dict[int, Restored] = {}
        for indices in groups.values():
            group = [images[index] for index in indices]
            if len(group) > 1:
                outputs = self._restore_group(group, cancel, aligned=aligned)
            else:
                name = sources[indices[0]] if sources else None
                outputs = [
                    self.restore(
                        group[0],
                        aligned=aligned,
                        source=name,
                        others=sources or (),
                        cancel=cancel,
                    )
                ]
            results |= zip(indices, outputs, strict=True)
            if progress:
                progress(len(results), len(images))
        return [results[index] for index in range(len(images))]

    def _kind(self, image: Picture) -> object:  # noqa: ARG002 - for those that group
        """Pictures of one kind go together in `restore_batch`; None goes alone."""
        return None

    def _restore_group(
        self, images: Sequence[Picture], cancel: Cancel | None, *, aligned: bool
    ) -> list[Restored]:
        """Restore pictures of one kind, at least two, as `restore` would each."""
        raise NotImplementedError

    @abstractmethod
    def _restore(self, image: Picture, context: Context) -> Picture:
        """Make the output, with the dtype of `image`, which must stay as it is.

        ``context.progress(done, total)`` must be called after each tile, face or
        picture, and last with both numbers equal, even where there is one step only.
        ``with context.watch("network"):`` counts the seconds of a stage;
        ``context.notes`` takes notes; ``stop_if(context.cancel)`` goes between steps.
        """
