"""The command ``evalkit``: restore and compare pictures, run a study, rate.

It also looks after scores and weights.
"""

import atexit
import gc
import io
import os
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evalkit.archive._commands import bundle, collect, diff, publish
from evalkit.daily._compare_command import compare
from evalkit.daily._fit_command import fit
from evalkit.daily._restore_command import restore, say
from evalkit.errors import StudyError
from evalkit.errors.one_line import errors_in_a_line
from evalkit.paths import SHIPPED, runs_dir
from evalkit.service._command import serve
from evalkit.texts import spoken
from evalkit.texts.option import Lang

if TYPE_CHECKING:
    from evalkit.rating import Store
    from evalkit.study import Run

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
scores_app = typer.Typer(no_args_is_help=True, help="Scores: export, import, delete.")
app.add_typer(scores_app, name="scores")
weights_app = typer.Typer(no_args_is_help=True, help="Weights: list, fetch, verify.")
app.add_typer(weights_app, name="weights")


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"evalkit {version('evalkit')}")
        raise typer.Exit


@app.callback(help=__doc__)
def options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Say it and end."
        ),
    ] = False,
) -> None:
    """Options before the name of a command."""


Images = Annotated[
    str | None,
    typer.Option(help="A folder of pictures or a set, in place of the study's."),
]


@app.command()
def study(
    file: Annotated[Path, typer.Argument(help="A study file.")] = SHIPPED
    / "study.yaml",
    images: Images = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Read the folder's subfolders, too.")
    ] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try again what failed, too.")
    ] = False,
    pdf: Annotated[bool, typer.Option("--pdf", help="Figures as PDF, too.")] = False,
    profile: Annotated[str | None, typer.Option(help="slurm, or a folder.")] = None,
    _lang: Lang = None,
    arguments: Annotated[list[str] | None, typer.Argument(help="Snakemake's.")] = None,
) -> None:
    """Run a study, or go on with it; only what is missing is computed."""
    from evalkit.study import run_study

    how: dict[str, Any] = {"recursive": recursive, "retry": retry, "pdf": pdf}
    how |= {"profile": profile, "arguments": arguments or ()}
    run_study(file, images=images, **how, say=say)


Folder = Annotated[
    Path | None,
    typer.Argument(help="A run folder, or a study's name; the latest by default."),
]


@app.command()
def answer(
    run: Folder = None,
    _lang: Lang = None,
) -> None:
    """Say what a run answers, what to do next, and what to beware of."""
    from evalkit import report

    typer.echo(report.answer(_open_run(run).path, language=spoken()))


@app.command()
def rate(
    run: Folder = None,
    subject: Annotated[
        list[str] | None,
        typer.Option(
            help="A pseudonym to add, also while a server runs; may be repeated."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="0.0.0.0 for other computers, :: with IPv6, too.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 for any that is free.")] = 8765,
    days: Annotated[float, typer.Option(help="How long a new link is good for.")] = 14,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Say what panels of other sizes find, and end."),
    ] = False,
    public_url: Annotated[
        str, typer.Option(help="https://host/path of a proxy or tunnel in front.")
    ] = "",
    https: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="CERT KEY", help="Speak HTTPS with this certificate."),
    ] = None,
    status: Annotated[
        bool, typer.Option("--status", help="Say who has come how far, and end.")
    ] = False,
    revoke: Annotated[
        list[str] | None,
        typer.Option(help="End the link of a pseudonym; the answers stay."),
    ] = None,
    pack: Annotated[
        list[str] | None,
        typer.Option(help="Write a pseudonym's session as HTML, to be sent by mail."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder for --pack; else the run's.")
    ] = None,
) -> None:
    """Serve the blind rating sessions of a run, one secret link per subject."""
    from evalkit.study import (
        describe_plan,
        pack_rating,
        rating_status,
        revoke_link,
        serve_rating,
    )

    folder = _open_run(run)
    for name in revoke or ():
        revoke_link(folder, name)
        say(f"{name}: the link is dead, the answers stay")
    if pack:
        pack_rating(folder, pack, out, say=say)
    if status:
        rating_status(folder, say=say)
    elif plan:
        for line in describe_plan(folder):
            say(line)
    elif not revoke and not pack:
        serve_rating(
            folder,
            subjects=subject or (),
            host=host,
            port=port,
            days=days,
            public_url=public_url,
            https=https,
            say=say,
        )


@app.command()
def route(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders.")],
    run: Annotated[
        Path | None, typer.Option(help="A run folder with costs; else the latest.")
    ] = None,
    _lang: Lang = None,
) -> None:
    """Say which restorer suits each picture, why, and what it costs here."""
    from evalkit.comparisons import route_pictures

    has_costs = run or (runs_dir() / "latest").is_dir()
    route_pictures(pictures, _open_run(run) if has_costs else None, say=say)


for command in (bundle, collect, compare, diff, fit, publish, restore, serve):
    app.command()(command)


@scores_app.command("export")
def export_scores(file: Path, run: Folder = None) -> None:
    """Write every answer as CSV, under pseudonyms and without links."""
    from evalkit.rating import export_csv

    typer.echo(f"{export_csv(_ratings(run), file)} answers: {file}")


@scores_app.command("import")
def import_scores(file: Path, run: Folder = None) -> None:
    """Add the answers of an exported or a saved file that the run does not have."""
    from evalkit.rating import import_csv, import_session
    from evalkit.study import ratings_store

    add = import_session if file.suffix == ".json" else import_csv
    typer.echo(f"{add(ratings_store(_open_run(run)), file)} new answers")


@scores_app.command("delete")
def delete_scores(subject: str, run: Folder = None) -> None:
    """Delete everything that is known of a subject, as they may ask for."""
    from evalkit.study import forget_subject

    _ratings(run)  # or there is nothing to delete
    removed, left = forget_subject(_open_run(run), subject)
    typer.echo(f"{subject} is deleted")
    if removed:
        names = ", ".join(path.name for path in removed)
        typer.echo(f"Removed; evalkit study makes them anew: {names}", err=True)
    for sentence in left:
        typer.echo(f"Left: {sentence}", err=True)


@app.command()
def doctor() -> None:
    """Tell what this machine can run, what is missing and how to get it."""
    from evalkit.study import diagnose, summarise

    findings = diagnose()
    for line in summarise(findings):
        typer.echo(line)
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        mark = "ok     " if finding.is_there else "missing"
        typer.echo(f"{mark}  {finding.subject:<{width}}  {finding.state}")
        if finding.what_to_do:
            typer.echo(f"{'':9}{'':<{width}}  -> {finding.what_to_do}")


@weights_app.command("list")
def list_weights() -> None:
    """List every registered file: whether it is here, its size, its licence."""
    import pandas as pd

    from evalkit.weights import status

    width = shutil.get_terminal_size().columns
    for row in status().itertuples():
        size = "" if row.size_bytes is pd.NA else f"{row.size_bytes / 2**20:.1f} MiB"
        state = f"{row.state}, {row.kind}" if pd.notna(row.kind) else row.state
        line = f"{row.name:<26} {state:<14} {size:>10}  {row.licence}"
        typer.echo(line if len(line) <= width else f"{line[: width - 1]}…")


@weights_app.command()
def fetch(
    names: Annotated[
        list[str], typer.Argument(help="Names from the list, or of restorers.")
    ],
    accept: Annotated[
        list[str] | None, typer.Option(help="A licence notice you have read: gpen.")
    ] = None,
) -> None:
    """Find or download weights, checked by size and SHA-256."""
    from evalkit import weights
    from evalkit.study import weights_named

    for name in weights_named(names):
        in_use = weights.fetch(name, accept=accept or ())
        typer.echo(f"{name}: {in_use.kind}, {in_use.path}")


@weights_app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names; all that are found by default.")
    ] = None,
) -> None:
    """Read every byte of what is found and compare its SHA-256."""
    from evalkit import weights

    typer.echo(weights.verify(names).to_string(index=False, na_rep=""))


def _open_run(folder: Path | None) -> "Run":
    from evalkit.study import open_run

    path = folder or runs_dir() / "latest"
    if not path.is_dir() and not path.is_absolute():
        path = runs_dir() / path  # a study's name
    if not path.is_dir():
        raise StudyError(f"expected a run folder at {path}; evalkit study makes one")
    return open_run(str(path))


def _ratings(folder: Path | None) -> "Store":
    """The store of a run that has one; none is made."""
    from evalkit.study import ratings_store

    run = _open_run(folder)
    if not run.has_ratings:
        raise StudyError(
            f"expected ratings in {run.path}, found none; nobody has rated"
        )
    return ratings_store(run)


def main() -> None:
    """Run the command; whatever ends it gets one line, without a traceback."""
    if sys.getfilesystemencoding() == "ascii":
        # under LC_ALL=C with Python's remedies switched off, no name in another
        # script could be read, written or said: begin again in UTF-8
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, "-m", "evalkit.cli", *sys.argv[1:]])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a letter
            stream.reconfigure(errors="backslashreplace")
    atexit.register(_leave_rubbish)
    with errors_in_a_line():
        _accept_commands(sys.argv[1:])
        app()


def _leave_rubbish() -> None:
    """Spare Python its last search for rubbish, which takes 0.2 s and more."""
    if "triton._C.libtriton" not in sys.modules:  # which complains of what it misses
        gc.freeze()


def _accept_commands(arguments: list[str]) -> None:
    """Let ``restore`` and ``compare`` run the programs that are typed, no others."""
    os.environ.pop("EVALKIT_COMMANDS", None)
    typed = [argument for argument in arguments if "command:" in argument]
    if typed and arguments[0] in ("restore", "compare"):
        from evalkit.restorers.command import accept_typed

        accept_typed(typed)


if __name__ == "__main__":
    main()
