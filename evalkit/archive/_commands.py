"""``evalkit bundle``, ``collect``, ``diff`` and ``publish``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.errors import StudyError
from evalkit.paths import SHIPPED, runs_dir
from evalkit.texts.option import Lang

if TYPE_CHECKING:
    from evalkit.study import Run


def bundle(
    out: Annotated[Path, typer.Argument(help="A new folder for the parts.")],
    device: Annotated[str, typer.Option("--for", help="cuda or cpu: the host's.")],
    study: Annotated[Path, typer.Option(help="A study file.")] = SHIPPED / "study.yaml",
    images: Annotated[
        str | None, typer.Option(help="A folder or a set, in place of the study's.")
    ] = None,
    has: Annotated[
        Path | None, typer.Option(help="What pip freeze or pip list wrote there.")
    ] = None,
    python: Annotated[str, typer.Option(help="The host's: 3.11 or 3.12.")] = "3.12",
    limit: Annotated[str, typer.Option(help="The most that a part has.")] = "60MiB",
) -> None:
    """Pack a study, and what a host without network lacks to run it, in parts.

    evalkit bundle out --for cuda --has packages.txt --limit 60MiB

    evalkit bundle out --for cpu --study my.yaml --images ~/Pictures/album
    """
    from evalkit.archive.bundle import bundle as write
    from evalkit.archive.wheels import read_packages
    from evalkit.daily.fit import parse_memory

    for value, known in ((device, ("cuda", "cpu")), (python, ("3.11", "3.12"))):
        if value not in known:
            raise typer.BadParameter(f"expected {' or '.join(known)}; found {value}")
    packages = read_packages(has.read_text(encoding="utf-8")) if has else {}
    parts = write(
        out,
        study,
        device=device,
        python=python,
        limit=int(parse_memory(limit) * 2**20),
        has=packages,
        images=images,
        say=typer.echo,
    )
    for part in parts:
        typer.echo(f"{part}: {part.stat().st_size / 2**20:.1f} MiB")
    typer.echo("there, with all of them in one folder: python there.py")


def collect(
    files: Annotated[list[Path], typer.Argument(help="What there.py packed.")],
    into: Annotated[
        Path | None, typer.Option(help="A run folder; else runs/STUDY-collected.")
    ] = None,
) -> None:
    """Merge what bundles found on their hosts; each machine's stays apart.

    evalkit collect results-default-*.zip

    evalkit collect results-h200.zip results-l4.zip --into runs/cards
    """
    from evalkit.archive.collect import collect as merge
    from evalkit.archive.collect import study_of

    run = merge(
        files, into or runs_dir() / f"{study_of(files[0])}-collected", say=typer.echo
    )
    typer.echo(f"run: {run.path}")


def diff(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or studies' names.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Write the table as CSV, too.")
    ] = None,
    _lang: Lang = None,
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
    _lang: Lang = None,
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
