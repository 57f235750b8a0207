"""``evalkit fit``."""

from pathlib import Path
from typing import Annotated

import typer

from evalkit.texts import tell
from evalkit.texts.option import Lang


def fit(
    picture: Annotated[
        Path | None, typer.Argument(help="A picture, or a folder: its album.")
    ] = None,
    size: Annotated[
        str, typer.Option(help="A size in place of a picture: 4000x3000.")
    ] = "",
    memory: Annotated[
        str, typer.Option(help="A memory, as 8GiB; else all of this device's.")
    ] = "",
    device: Annotated[
        str, typer.Option(help="cpu or cuda; cuda need not be here with --memory.")
    ] = "auto",
    conditions: Annotated[
        list[str] | None,
        typer.Option("--with", help="A condition; of a folder, to measure."),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Look into subfolders, too.")
    ] = False,
    is_measured: Annotated[
        bool,
        typer.Option("--measure", help="Run each condition here first, and keep that."),
    ] = False,
    _lang: Lang = None,
) -> None:
    """Say which restorers, tiles and precisions fit a memory, and how long they take.

    evalkit fit --size 4000x3000 --memory 8GiB

    evalkit fit me.jpg --with realesrgan-x4plus --measure
    """
    from evalkit.daily.album import fit_album, look_at
    from evalkit.daily.compare import USUAL, lacks
    from evalkit.daily.fit import Fit, fit_size, parse_memory, parse_size
    from evalkit.daily.measuring import measure, sizes_to_measure
    from evalkit.images import n_pages, read_image

    if (picture is None) == (not size):
        raise typer.BadParameter("give a picture, a folder, or --size 4000x3000")
    memory_mib = parse_memory(memory) if memory else None
    asked = Fit(device, memory_mib)
    album = None
    if picture and (picture.is_dir() or n_pages(picture) > 1):
        album = look_at(picture, recursive=recursive, say=typer.echo)
    if album:
        sizes, usual = album.sizes, album.restorers
    else:
        sizes = [
            parse_size(size) if picture is None else read_image(picture).shape[1::-1]
        ]
        usual = [name for name in USUAL if not lacks(name)]
    if is_measured:
        if not asked.is_here:
            raise typer.BadParameter("--measure needs the device to be here")
        for condition in conditions or usual:
            measure(condition, sizes_to_measure(sizes), say=typer.echo)
        asked = Fit(device, memory_mib)
    answer = fit_album(asked, album) if album else None
    for line in answer or fit_size(asked, sizes[0], conditions or ()):
        typer.echo(line)
    if asked.is_here and not is_measured:
        typer.echo(tell("fit.measure"))
