"""``evalkit compare``."""

import os
from pathlib import Path
from typing import Annotated

import typer

from evalkit.texts import tell
from evalkit.texts.option import Lang


def compare(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders.")],
    conditions: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            help="A condition; may be repeated. Else the router's choice, then what "
            "this machine can run.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The page; else PICTURE-compared.html here."),
    ] = None,
    accept: Annotated[
        list[str] | None, typer.Option(help="A licence notice you have read: gpen.")
    ] = None,
    is_opened: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser.")
    ] = False,
    _lang: Lang = None,
) -> None:
    """Show what several restorers make of a picture, side by side, in one page.

    evalkit compare me.jpg --open

    evalkit compare old.png --with lanczos --with realesrgan-x4plus@tile=128
    """
    import webbrowser

    from evalkit.daily.compare import compare_pictures
    from evalkit.images import picture_files

    accepted = [*(accept or ()), os.environ.get("EVALKIT_ACCEPT", "")]
    os.environ["EVALKIT_ACCEPT"] = ",".join(filter(None, accepted))
    files = [
        file
        for path in pictures
        for file in (picture_files(path) if path.is_dir() else [path])
    ]
    page = out or Path(f"{pictures[0].absolute().stem}-compared.html")
    is_whole = compare_pictures(files, conditions or (), page, say=typer.echo)
    typer.echo(tell("compare.said.page", page=page.absolute()))
    if is_opened:
        webbrowser.open(page.absolute().as_uri())
    if not is_whole:
        raise typer.Exit(3)
