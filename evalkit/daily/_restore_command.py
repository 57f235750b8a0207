"""The command ``evalkit restore``, as it is typed."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from evalkit.texts import spoken, tell
from evalkit.texts.option import Lang

SOME_FAILED = 3
"""The exit status where some of many pictures failed."""


def restore(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A folder for the outputs.")],
    condition: Annotated[
        str | None,
        typer.Option(
            "--with", help="A condition, as NAME@option=value,...; auto by default."
        ),
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Output side divided by source side.")
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Subfolders too; their tree is kept.")
    ] = False,
    name: Annotated[
        str,
        typer.Option(help="Of {stem}, {condition}, {time}: '{stem}_{time:%Y}.png'."),
    ] = "{stem}",
    form: Annotated[
        str | None,
        typer.Option(
            "--format", help="png (the default), tif, jpg, webp, avif, jxl or heic."
        ),
    ] = None,
    for_print: Annotated[
        str | None,
        typer.Option(help="Fill a sheet: A4@300, or 100x150@300 in mm; dots per inch."),
    ] = None,
    strip: Annotated[
        bool, typer.Option("--strip", help="Leave out date, place and the like.")
    ] = False,
    params: Annotated[
        Path | None, typer.Option(help="Settings from a file, in place of --with.")
    ] = None,
    save_params: Annotated[
        Path | None, typer.Option(help="Write the settings to a file, for --params.")
    ] = None,
    accept: Annotated[
        list[str] | None, typer.Option(help="A licence notice you have read: gpen.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="On how many GPUs; all by default.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and its cost.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on with what comes into the folders.")
    ] = False,
    _lang: Lang = None,
) -> None:
    """Restore pictures into a folder; a second time, only what is missing.

    A picture that fails is passed over and listed at the end (exit status 3).
    Date and place of a picture go with it. Details are generated, a guess:
    no evidence, and not for identification.

    evalkit restore old.jpg -o restored

    evalkit restore album --recursive -o restored --with realesrgan-x4plus@tile=400
    """
    from evalkit.daily.journal import FILE
    from evalkit.daily.names import split
    from evalkit.daily.permitted import notices_of, permitted_plan
    from evalkit.daily.restore import Wish, restore_pictures
    from evalkit.daily.settings import (
        plans_by_device,
        read_parameters,
        save_parameters,
        with_scale,
    )
    from evalkit.daily.sheet import parse_sheet
    from evalkit.daily.worker import caution
    from evalkit.images import SUFFIXES
    from evalkit.restorers import parse_condition
    from evalkit.weights import notice

    if condition and params:
        raise typer.BadParameter("expected --with or --params, found both")
    if out.suffix.lower() in SUFFIXES or out.is_file():
        raise typer.BadParameter(
            f"--out {out}: expected a folder, found a file's name; give that to --name"
        )
    read = os.environ.get("EVALKIT_ACCEPT", "")
    os.environ["EVALKIT_ACCEPT"] = ",".join([*(accept or ()), read])
    asked = read_parameters(params) if params else parse_condition(condition or "auto")
    plan = permitted_plan(with_scale(asked, scale))
    template, suffix = split(name, form)
    wish = Wish(
        paths=pictures,
        out=out,
        plan=plan,
        recursive=recursive,
        name=template,
        suffix=suffix,
        sheet=parse_sheet(for_print) if for_print else None,
        strip=strip,
    )
    plans = plans_by_device(plan, jobs)
    if save_params:
        save_parameters(save_params, plan.parameters)
    for name_of_notice in notices_of(plan):
        conclusion = notice(name_of_notice).partition(". ")[0]
        typer.echo(f"{conclusion}; without --accept you read why", err=True)
    if dry_run:
        from evalkit.daily.dry_run import foresee  # with pandas

        foresee(wish, say=say)
        return
    restoring = restore_pictures(wish, plans=plans, watch=watch, say=say)
    for line in restoring.failures:
        typer.echo(line, err=True)
    counts = {"n": restoring.n_done, "n_before": restoring.n_before}
    counts["n_failed"] = len(restoring.failures)
    typer.echo(tell("restore.sum", out=out, journal=FILE, **counts))
    if restoring.n_done and (words := caution(plan.spec.name, spoken())):
        typer.echo(words)
    if restoring.failures:
        raise typer.Exit(SOME_FAILED)


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    typer.echo(line)
    sys.stdout.flush()
