"""The article's three tables of cost, rebuilt with what this run measured beside."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from evalkit.article._figures import FIGURES, SERIES, SINGLE, TABLES
from evalkit.article._register import load_article, load_claims
from evalkit.article._tables import ARTICLE
from evalkit.experiments import MEMORY
from evalkit.study.run_folder import Run, write_text
from evalkit.tables import FLOORS, STABILITY, literal

NUMBERS = ["value", "low", "high", "floor"]
OF_CLAIM = ("subject", "setting", "quantity", "unit")
OURS = ("experiment", "condition", "source", "machine", "weights_kind", "n_runs")
SHAPE = ("device", "width_px", "height_px", "n_pictures")
OF_FIGURE = (*OURS, *SHAPE, "value", "low", "high")


def summarise_article(run: Run) -> pd.DataFrame:
    """Rebuild the article's tables with its figures, their floors, and ours.

    Returns
    -------
    DataFrame
        Table `ARTICLE`, also written to the run's tables; there
        ``article.md`` has the three tables' own form, for people.

    """
    floors, series = run.read(FLOORS), run.read(STABILITY)
    in_mib = floors["quantity"] == MEMORY
    floors.loc[in_mib, NUMBERS] = floors.loc[in_mib, NUMBERS] / 1024
    claims = {claim.id: claim for claim in load_claims()}
    rows = []
    for table, names in TABLES.items():
        for name in names:
            claim = claims[name]
            columns = {key: getattr(claim, key) for key in OF_CLAIM}
            columns |= {"table": table, "claim": name, "claimed": str(claim.claimed)}
            for row in floors[floors["figure"] == name].to_dict("records"):
                columns |= {key: row[key] for key in ("floor", "is_below")}
            ours = _series(name, series) if name in SERIES else _figures(name, floors)
            rows += [columns | figure for figure in ours] or [columns]
    frame = run.keep(ARTICLE, rows)
    write_text(run.path / "tables" / "article.md", article_markdown(frame))
    return frame


def _figures(claim: str, floors: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Our figures of the claim's own cell: its kind of device, its size of pictures."""
    figure = FIGURES[claim]
    rows = floors[
        (floors["figure"] == "measured")
        & (floors["restorer"] == figure.restorer)
        & (floors["quantity"] == figure.quantity)
        & (floors["n_pictures"] == figure.n_pictures)
        & (floors["experiment"].isin(SINGLE) | (floors["n_pictures"] > 1))
        & ((floors["precision"] == "fp16") == (figure.precision == "fp16"))
        & (floors["device"] == figure.device)
    ]
    for row in rows.to_dict("records"):
        if figure.is_of_size(row["width_px"], row["height_px"]):
            yield {key: row[key] for key in OF_FIGURE} | {"own_floor": row["floor"]}


def _series(claim: str, series: pd.DataFrame) -> Iterator[dict[str, Any]]:
    restorer, batches = SERIES[claim]
    is_of_it = series["restorer"] == restorer
    is_of_it &= series["experiment"] == "stability"
    settings = series["setting"].fillna("{}").map(json.loads)
    is_of_it &= settings.map(lambda setting: setting.get("device") != "cpu").astype(
        bool
    )
    n_pictures = series["value"].fillna("1").astype("Int64")
    series = series.assign(n_pictures=n_pictures)
    for row in series[is_of_it & n_pictures.isin(batches)].to_dict("records"):
        yield {key: row[key] for key in (*OURS, "n_pictures", "outcomes")}


def article_markdown(article: pd.DataFrame) -> str:
    """The table `ARTICLE` as Markdown, a table for each section.

    A figure of the article below its floor is bold. GB of the article are read as GiB,
    which ours are.
    """
    machines = "; ".join(sorted(article["machine"].dropna().unique()))
    lines = [
        f"The article's machine: {'; '.join(load_article().machine.values())}.",
        f"Ours: {literal(machines) or 'nothing measured in the same setting yet'}. "
        "Memory in GiB. Beside a figure stands only what was measured on the same kind "
        "of device and at the same size of pictures.",
    ]
    for table, rows in article.groupby("table"):
        ours = rows[["condition", "source"]].dropna().drop_duplicates()
        cells = list(ours.itertuples(index=False, name=None))
        named = [literal(", ".join(cell)) for cell in cells]
        heads = ["setting", "quantity", "article", "floor", *named]
        body = [_line(row, cells) for _, row in rows.groupby("claim", sort=False)]
        lines += ["", f"Its section {table}", ""]
        lines += [
            f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *body)
        ]
    return "\n".join(lines) + "\n"


def _line(rows: pd.DataFrame, cells: Sequence[tuple[str, str]]) -> list[str]:
    first = rows.iloc[0]
    claimed = " ".join(str(part) for part in first[["claimed", "unit"]].dropna())
    is_time = first["unit"] == "s"  # Winograd's algorithm could pass its floor
    if pd.notna(first["is_below"]) and first["is_below"] and not is_time:
        claimed = f"**{claimed}: below its floor**"
    by_cell = {
        cell: "; ".join(map(_in_words, group.to_dict("records")))
        for cell, group in rows.groupby(["condition", "source"])
    }
    setting = f"{first['setting']} ({first['claim']})"
    heads = [setting, first["quantity"], claimed, _number(first["floor"])]
    return heads + [by_cell.get(cell, "") for cell in cells]


def _in_words(row: dict[str, Any]) -> str:
    """One of our figures, with what the reader must know of it."""
    notes = [f"n = {row['n_runs']}"]
    if row["weights_kind"] == "random":
        notes.append("random weights: cost only")
    if pd.notna(row["outcomes"]):
        counts = json.loads(row["outcomes"]).items()
        return f"{', '.join(f'{n} {name}' for name, n in counts)} ({', '.join(notes)})"
    value = _number(row["value"])
    if pd.notna(row["low"]):
        value += f" [{_number(row['low'])}, {_number(row['high'])}]"
    if pd.notna(row["own_floor"]):
        notes.append(f"floor {_number(row['own_floor'])}")
    notes.append(f"{row['device']}, {row['width_px']}x{row['height_px']} px")
    return f"{value} ({', '.join(notes)})"


def _number(value: Any) -> str:
    return "" if pd.isna(value) else f"{value:.3g}"
