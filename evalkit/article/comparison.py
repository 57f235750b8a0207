"""The article as a published comparison: its scores, figures of cost and advice."""

from evalkit.article import judges
from evalkit.article._evidence import Evaluator
from evalkit.article._figures import (
    CLAIMED,
    COPY_GIB_S,
    FIGURES,
    GPEN,
    MEANS,
    PEAK_TFLOP_S,
    Figure,
)
from evalkit.article._register import load_article, load_claims
from evalkit.discover import discover
from evalkit.paths import data_file
from evalkit.restorers._routing import DOCUMENT, NO_FACE, Rule, Test
from evalkit.study.published import (
    PublishedComparison,
    PublishedFigure,
    PublishedScore,
)

CLAIMS = {claim.id: claim for claim in load_claims()}

WHERE = "section 7"

RULES = (
    DOCUMENT,
    Rule("text", (Test("text_density", ">", 0.3),), "realesrgan", WHERE),
    Rule("photograph with a face", (Test("n_faces", ">", 0),), "gpen", WHERE),
    NO_FACE,
)
"""The article's own, in its order, for a file of any suffix and with any content."""

LITERAL_RULES = (
    Rule(
        "photograph", (Test("is_jpg", ">", 0), Test("n_faces", ">", 0)), "gpen", WHERE
    ),
    DOCUMENT,
    Rule("text", (Test("text_density", ">", 0.3),), "realesrgan", WHERE),
)
"""The same sentence as it stands: ``.jpg`` with a face, ``.pdf``, or much text."""

MOSTLY_FACES = 0.9
"""The share of a folder's pictures from which on all go to GPEN."""


def folder_route(share_with_faces: float) -> str | None:
    """The article's choice for a whole folder; None where it chooses by picture."""
    if share_with_faces >= MOSTLY_FACES:
        return "gpen"
    return None if share_with_faces else "realesrgan"


def _score(claim: str, restorer: str, kind: str) -> PublishedScore:
    return PublishedScore(kind, restorer, float(CLAIMED[claim]))


def _figure(claim: str, figure: Figure) -> PublishedFigure:
    """A figure of a picture with one face, no tiles."""
    peak_tflop_s = PEAK_TFLOP_S[figure.precision]
    rate = {"matrix_tflop_s": peak_tflop_s, "copy_gib_s": COPY_GIB_S}
    return PublishedFigure(
        name=claim,
        restorer=figure.restorer,
        setting=figure.setting,
        quantity=figure.quantity,
        value=figure.in_units(float(CLAIMED[claim])),
        width_px=figure.width_px,
        height_px=figure.height_px,
        n_pictures=figure.n_pictures,
        rate=rate if figure.device == "cuda" else {},
        note=CLAIMS[claim].caution,
    )


ARTICLE = PublishedComparison(
    name="article",
    card=load_article().machine["gpu"],
    claims=data_file("claims.yaml"),
    judges=lambda: discover(judges, Evaluator).values(),
    scores=tuple(_score(claim, *of) for claim, of in MEANS.items()),
    figures=tuple(_figure(*item) for item in FIGURES.items()),
    instances={GPEN: (int(str(CLAIMED["G21"]).removeprefix("at least ")), "G21")},
    rules=RULES,
    literal_rules=LITERAL_RULES,
    folder_route=folder_route,
)

ENTRIES = (ARTICLE,)
