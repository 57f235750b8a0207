"""The command ``evalkit serve``, as it is typed."""

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

LOCAL = ("127.0.0.1", "localhost", "::1")


def serve(
    host: Annotated[
        str, typer.Option(help="0.0.0.0 for other computers; they need a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 for any that is free.")] = 8766,
    condition: Annotated[
        str, typer.Option("--with", help="Of requests that name none.")
    ] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    instances: Annotated[
        int, typer.Option(min=1, help="Processes a device; evalkit fit says how many.")
    ] = 1,
    waiting: Annotated[int, typer.Option(min=1, help="Pictures that may wait.")] = 64,
    accept: Annotated[
        list[str] | None, typer.Option(help="A licence notice you have read: gpen.")
    ] = None,
    https: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="The files of a certificate and of its key."),
    ] = None,
) -> None:
    """Restore pictures that are sent by HTTP, and serve a page to do so.

    Nothing is kept longer than an hour, and nothing is logged but faults.

    evalkit serve --with realesrgan-x4plus

    evalkit serve --host 0.0.0.0 --accept gpen --instances 2
    """
    from evalkit.errors import PackageMissingError

    try:
        from evalkit.service.app import Config, service_app
    except ModuleNotFoundError as error:
        raise PackageMissingError(
            f"{error.name} is missing: pip install 'evalkit[service]'"
        ) from error
    from evalkit.daily.permitted import permitted_plan
    from evalkit.rating.addresses import listen, roots
    from evalkit.rating.server import serve as serve_app
    from evalkit.restorers import parse_condition
    from evalkit.restorers.engines.torch import n_devices, pick_device
    from evalkit.service.desk import Desk, Limits

    read = os.environ.get("EVALKIT_ACCEPT", "")
    os.environ["EVALKIT_ACCEPT"] = ",".join([*(accept or ()), read])
    limits = Limits(most_waiting=waiting)
    os.environ.setdefault("EVALKIT_MAX_MEGAPIXELS", f"{limits.megapixels:g}")
    permitted_plan(parse_condition(condition))
    pick_device(device)
    token = None if host in LOCAL else secrets.token_urlsafe(24)
    listener = listen(host, port)
    n_places = instances * (max(1, n_devices()) if device in ("auto", "cuda") else 1)
    app = service_app(
        Desk(limits, n_places=n_places),
        Config(condition=condition, device=device),
        token=token,
    )
    address, *_ = roots(listener, host, "https" if https else "http")
    typer.echo(f"page: {address}/{f'?token={token}' if token else ''}")
    typer.echo(f"curl -F file=@me.jpg{_bearer(token)} {address}/api/upscale -o out.png")
    serve_app(app, listener, https)


def _bearer(token: str | None) -> str:
    return f" -H 'Authorization: Bearer {token}'" if token else ""
