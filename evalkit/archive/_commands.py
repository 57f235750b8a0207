"""``evalkit bundle``, ``collect``, ``diff`` and ``publish``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.errors import StudyError
from evalkit.paths import runs_dir

if TYPE_CHECKING:
    from evalkit.study import Run


def diff(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or studies' names.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Write the table as CSV, too.")
    ] = None,
) -> None:
    """Say what differs between runs, and what each condition costs on each card.

    evalkit diff runs/default runs/default-collected

    evalkit diff before after -o cards.csv
    """
    from evalkit.archive.diff import cards, in_lines, sides_of
    from evalkit.tables import write_csv

    sides = sides_of([_run_at(folder) for folder in runs])
    if len(sides) < 2:
        raise typer.BadParameter("give two runs, or one that several machines made")
    table = cards(sides)
    for line in in_lines(sides, table):
        typer.echo(line)
    if out:
        write_csv(table, out)


def _run_at(folder: Path) -> "Run":
    """The run of a folder or of a study's name; none is made."""
    from evalkit.study import Run

    for path in (folder, runs_dir() / folder):
        if path.is_dir():
            return Run(path.resolve())
    raise StudyError(f"expected a run folder at {folder} or {runs_dir() / folder}")


def publish(
    run: Annotated[Path, typer.Argument(help="A run folder, or a study's name.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The file; else RUN.zip here.")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(help="window, times or text; may be repeated."),
    ] = None,
) -> None:
    """Write what of a run may be shown to anybody as one archive.

    evalkit publish latest -o study.zip

    evalkit publish runs/default --keep times --keep window
    """
    from evalkit.archive.publish import KEEP
    from evalkit.archive.publish import publish as write

    if unknown := sorted({*(keep or ())} - {*KEEP}):
        raise typer.BadParameter(f"--keep takes {', '.join(KEEP)}; found {unknown[0]}")
    found = _run_at(run)
    file = write(
        found, out or Path(f"{found.name}.zip"), keep=keep or (), say=typer.echo
    )
    typer.echo(f"{file}: {file.stat().st_size / 2**20:.1f} MiB")
