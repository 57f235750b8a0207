"""The owner's page: how far each subject has come, and nobody's single scores."""

from html import escape

from evalkit.rating.links import Place, places
from evalkit.rating.store import Store
from evalkit.texts import Language, text

REFRESH_S = 20

STYLE = """
  body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #222;
    background: #fff; font: 16px/1.5 system-ui, sans-serif; }
  .table { overflow-x: auto; }
  table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
  th, td { padding: 6px 10px; border-bottom: 1px solid #ccc; text-align: left; }
  .sum { font-size: 20px; font-weight: 600; }
  @media (max-width: 30rem) {
    body { margin: 1rem auto; padding: 0 8px; font-size: 14px; }
    h1 { font-size: 22px; }
    th, td { padding: 6px 4px; }
  }
"""


def owner_page(
    store: Store,
    n_planned: int | None,
    language: Language,
    to_look: int | None = None,
) -> str:
    """The page as HTML without scripts; it loads itself anew every 20 s.

    Parameters
    ----------
    store
        Where the subjects are.
    n_planned, to_look
        As in `summary`.
    language
        ``en`` or ``zh``.

    """
    of_all = places(store)
    names = ("subject", "rated", "state", "seen", "left")
    head = [text(f"rating-owner.head.{name}", language) for name in names]
    lines = [_line("th", head), *(_line("td", row(p, language)) for p in of_all)]
    enough = summary(of_all, n_planned, language, to_look)
    title = escape(text("rating-owner.title", language))
    return f"""<!doctype html>
<html lang="{"zh-Hans" if language == "zh" else "en"}">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="referrer" content="no-referrer" />
    <meta name="robots" content="noindex" />
    <meta http-equiv="refresh" content="{REFRESH_S}" />
    <title>{title}</title>
    <link rel="icon" href="data:," />
    <style>{STYLE}</style>
  </head>
  <body>
    <h1>{title}</h1>
    <p class="sum">{escape(enough)}</p>
    <div class="table"><table>{"".join(lines)}</table></div>
    <p>{escape(text("rating-owner.note", language, seconds=REFRESH_S))}</p>
  </body>
</html>
"""


def row(place: Place, language: Language) -> list[str]:
    """Pseudonym, how many of how many, state, last seen, how many are left."""
    n_left = place.items - place.answered
    seen = (place.seen_at or "")[:16].replace("T", " ")
    return [
        place.subject,
        f"{place.answered} / {place.items}",
        text(f"rating-owner.state.{place.state}", language),
        f"{seen} UTC" if seen else text("rating-owner.never", language),
        text("rating-owner.more", language, n=n_left) if n_left else "-",
    ]


def summary(
    of_all: list[Place],
    n_planned: int | None,
    language: Language,
    to_look: int | None = None,
) -> str:
    """Whether there are as many complete sessions as planned, or how many are missing.

    Parameters
    ----------
    of_all
        Every subject's.
    n_planned
        How many complete sessions the plan asks for; None for as many as there are.
    language
        ``en`` or ``zh``.
    to_look
        About how many more the next look at the choices takes, of a plan with looks; 0
        where they have decided.

    """
    n_complete = sum(place.is_complete for place in of_all)
    planned = len(of_all) if n_planned is None else n_planned
    n_more = max(0, planned - n_complete)
    values = {"complete": n_complete, "planned": planned, "n": n_more}
    values["look"] = min(n_more, to_look or 0)
    key = "more" if n_more else "enough"
    if n_more and to_look is not None:
        key = "look" if to_look else "decided"
    return text(f"rating-owner.sum.{key}", language, **values)


def _line(tag: str, cells: list[str]) -> str:
    inner = "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells)
    return f"<tr>{inner}</tr>"
