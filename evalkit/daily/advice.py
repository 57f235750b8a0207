"""Which restorer for one picture by itself, why, and whether it is too large."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.comparisons.looking import Page, Router, used_for
from evalkit.daily.permitted import permitted_plan
from evalkit.errors import attempt
from evalkit.restorers._routing import ROUTES
from evalkit.texts import Language, text

LOOKER = f"{__name__}:tell_advice"
"""`advise`, as a process of its own calls it."""

PRELOAD = ("torch", "evalkit.restorers.gpen.pipeline", __name__)
"""What that process needs, and takes seconds to import."""


class Advice(NamedTuple):
    """What the router says of one picture, whose folder is not known.

    Attributes
    ----------
    chosen, used
        The restorer of its route; the one that ``auto`` uses here in its place.
    rule, reasons
        What decided; the router's words, as ``evalkit route`` says them.
    width, height, recommended_px
        Of the picture; the longest side that GPEN is recommended for.

    """

    chosen: str
    used: str
    rule: str
    reasons: tuple[str, ...]
    width: int
    height: int
    recommended_px: int

    def words(self, language: Language) -> str:
        """The restorer and why, what is used instead, and whether it is too large."""
        why = text(f"answer.why.{self.rule}", language)
        parts = [text("routing.advice", language, restorer=self.chosen, why=why)]
        if self.used != self.chosen:
            parts.append(text("routing.instead", language, restorer=self.used))
        longest = max(self.width, self.height)
        if longest > self.recommended_px:
            sides = {"longest": longest, "most": self.recommended_px}
            parts.append(text("routing.large", language, **sides))
        return " ".join(parts)


def advise(file: Path) -> Advice:
    """Look at a picture, of several pages at the first, and decide.

    Raises
    ------
    ImageError
        It cannot be read.

    """
    from evalkit.restorers.gpen.pipeline import RECOMMENDED_SIDE  # with torch

    router, page = Router(), Page(file)
    seen = router.look(page)
    decision = router.decide(page)
    usable = {part.spec.name for part in permitted_plan({"name": "auto"}).parts}
    return Advice(
        ROUTES[decision.route],
        used_for(decision.route, usable),
        decision.scene or decision.rule,
        decision.reasons,
        *seen.size,
        RECOMMENDED_SIDE,
    )


def tell_advice(emit: Callable[[dict[str, Any]], None], *, file: str) -> None:
    """Emit the ``advice`` on a picture, or the ``error``."""
    advice, error = attempt(partial(advise, Path(file)), "a picture", lambda _: None)
    emit({"advice": advice, "error": error})
