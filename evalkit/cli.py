"""The command ``evalkit``: run a study, look after weights, ask what is missing."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from evalkit.errors import EvalkitError
from evalkit.paths import SHIPPED

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
weights_app = typer.Typer(no_args_is_help=True, help="Weights: list, fetch, verify.")
app.add_typer(weights_app, name="weights")

Images = Annotated[
    str | None,
    typer.Option(help="A folder of pictures or a set, in place of the study's."),
]


@app.command()
def study(
    file: Annotated[Path, typer.Argument(help="A study file.")] = SHIPPED
    / "study.yaml",
    images: Images = None,
) -> None:
    """Run a study, or go on with it; only what is missing is computed."""
    from evalkit.study import run_study

    run_study(file, images=images, say=_say)


@app.command()
def doctor() -> None:
    """Tell what this machine can run, what is missing and how to get it."""
    from evalkit.study import diagnose

    findings = diagnose()
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        mark = "ok     " if finding.is_there else "missing"
        typer.echo(f"{mark}  {finding.subject:<{width}}  {finding.state}")
        if finding.what_to_do:
            typer.echo(f"{'':9}{'':<{width}}  -> {finding.what_to_do}")


@weights_app.command("list")
def list_weights() -> None:
    """List every registered file: where it is found, its licence, its size."""
    from evalkit.weights import status

    table = status()
    table["licence"] = table["licence"].str.slice(0, 40)
    for line in table.to_string(index=False, na_rep="", justify="left").splitlines():
        typer.echo(line.rstrip())


@weights_app.command()
def fetch(
    names: Annotated[list[str], typer.Argument(help="Names from the list.")],
    accept: Annotated[
        list[str] | None, typer.Option(help="A licence notice you have read: gpen.")
    ] = None,
) -> None:
    """Find or download weights, checked by size and SHA-256."""
    from evalkit import weights

    for name in names:
        found = weights.fetch(name, accept=accept or ())
        typer.echo(f"{name}: {found.kind}, {found.path}")


@weights_app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names; all that are found by default.")
    ] = None,
) -> None:
    """Read every byte of what is found and compare its SHA-256."""
    from evalkit import weights

    typer.echo(weights.verify(names).to_string(index=False, na_rep=""))


def _say(line: str) -> None:
    typer.echo(line)
    sys.stdout.flush()  # the steps of a study print from processes of their own


def main() -> None:
    """Run the command; an error of ours is told in a line, without a traceback."""
    try:
        app()
    except EvalkitError as error:
        typer.echo(f"evalkit: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
