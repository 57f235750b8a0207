"""Inviting people to rate a run: serve it, tell who has come how far, end a link."""

import json
import os
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from evalkit.errors import StudyError
from evalkit.rating.addresses import check_public_url, is_local, listen, roots
from evalkit.rating.invitations import write_invitation
from evalkit.rating.links import Place, expiry, places, revoke
from evalkit.rating.owner import row, summary
from evalkit.rating.pack import pack_session
from evalkit.rating.store import Store, check_pseudonym
from evalkit.study.rating import (
    add_subjects,
    n_planned,
    planned_minutes,
    rating_notes,
    rating_site,
    session,
)
from evalkit.study.run_folder import Run, ratings_store
from evalkit.study.stopping import sessions_to_look

LONGEST_DAYS = 3650
"""How long a link may be good for."""

INVITATIONS = "invitations"
"""The folder in ``rating/`` with the secret links."""


def serve_rating(
    run: Run,
    *,
    subjects: Iterable[str] = (),
    host: str = "127.0.0.1",
    port: int = 8765,
    days: float = 14.0,
    public_url: str = "",
    https: tuple[Path, Path] | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve every subject's session, each behind a secret link, until interrupted.

    Where a server of this run runs already, `subjects` get links of that one, and
    nothing else is started. Whatever is refused is refused before anybody is added.

    Parameters
    ----------
    run
        Planned by `evalkit.study.plan_rating`. Gets ``rating/invitations``: for each
        subject a text, and the link as a QR code, PNG and SVG, for this user only.
    subjects
        Subjects that are added to the plan when they are new. Those whose link was
        revoked get another.
    host, port
        Where to listen: ``0.0.0.0`` on all addresses of IPv4, ``::`` of IPv6, too; port
        0 takes a free one.
    days
        How long a new link is good for; one that has expired is replaced.
    public_url
        ``https://host/path`` as a proxy or tunnel in front of this server has it:
        links begin with it.
    https
        The files of a certificate (with its chain) and of its key, both PEM.
    say
        Gets a line for each link, then what else there is to know.

    Raises
    ------
    StudyError
        Nothing is planned; the address is taken; the run is served already; a value is
        out of its range; the certificate cannot be used.

    """
    from evalkit.rating import serve

    subjects = list(subjects)
    for subject in subjects:
        check_pseudonym(subject)
    if not 0 < days <= LONGEST_DAYS:
        raise StudyError(
            f"days must be more than 0, at most {LONGEST_DAYS}; found {days}"
        )
    public = check_public_url(public_url) if public_url else ""
    if https:
        _check_certificate(*https)
    if not 0 <= port <= 65_535:
        raise StudyError(f"port must be 0 to 65535; found {port}")
    add_subjects(run, ())  # or there is no plan
    lock = FileLock(_server_file(run).with_suffix(".lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        _join(run, subjects, host, port, days, say)
        return
    with lock, closing(listen(host, port)) as listener:
        addresses = roots(listener, host, "https" if https else "http")
        root = public or addresses[0]
        progress = add_subjects(run, subjects)
        _write_server(run, root)
        names = [*map(str, progress.index)]
        links = _say_links(run, names, root, days, renewed=subjects, say=say)
        say("Each link is for one person. Press Ctrl+C to stop; nothing is lost.")
        for line in (*_remarks(addresses, public), *rating_notes(run)):
            say(line)
        _invite(run, links, say)
        secret = ratings_store(run).secret("owner")
        say(f"For you alone, who has come how far: {root}/o/{secret}/")
        try:
            serve(rating_site(run, urlsplit(public).path), listener, https)
        finally:
            _server_file(run).unlink(missing_ok=True)


def rating_status(run: Run, say: Callable[[str], None] = print) -> None:
    """Say who has rated how many, when they were last seen, and whether it is enough.

    Nothing is served and nothing is written.

    Parameters
    ----------
    run
        Planned by `evalkit.study.plan_rating`.
    say
        Gets a line for each subject, then one for all.

    Raises
    ------
    StudyError
        Nothing is planned.

    """
    store = _store(run)
    of_all = places(store)
    rows = [row(place, "en") for place in of_all]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        padded = [f"{c:<{w}}" for c, w in zip(cells, widths, strict=True)]
        say("  ".join(padded).rstrip())
    say(summary(of_all, n_planned(run), "en", sessions_to_look(store)))
    root = _served_root(run)
    say(f"Served at {root}" if root else f"Not served now: evalkit rate {run.name}")


def revoke_link(run: Run, subject: str) -> None:
    """End a subject's link at once, also of a server that runs; their answers stay.

    Raises
    ------
    StudyError
        Nothing is planned.
    UnknownNameError
        There is no such subject.

    """
    revoke(_store(run), subject)
    for file in (run.path / "rating" / INVITATIONS).glob(f"{subject}.*"):
        file.unlink()


def pack_rating(
    run: Run,
    subjects: Iterable[str],
    folder: Path | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Write sessions as HTML files that need no server; see `evalkit.rating.pack`.

    Parameters
    ----------
    run
        Planned by `evalkit.study.plan_rating`.
    subjects
        Are added to the plan when they are new.
    folder
        Where to; ``rating/packs`` of the run by default.
    say
        Gets a line for each file, then what to do with its answers.

    Raises
    ------
    StudyError
        Nothing is planned, or a subject has nothing left to rate.

    """
    subjects = list(subjects)
    for subject in subjects:
        check_pseudonym(subject)
    add_subjects(run, subjects)
    for subject in subjects:
        paths = pack_session(
            ratings_store(run),
            subject,
            session(run, subject),
            folder or run.path / "rating" / "packs",
        )
        for path in paths:
            say(f"{subject}  {path}  {path.stat().st_size / 1e6:.1f} MB")
    say(f"Each saves its answers as a file: evalkit scores import FILE {run.name}")


def _store(run: Run) -> Store:
    """The store of a run that has one; none is made."""
    if not run.has_ratings:
        raise StudyError(
            f"expected a plan in {run.path}, found none; notebook 70_rate makes one "
            "of the conditions that have made pictures"
        )
    return ratings_store(run)


def _check_certificate(certificate: Path, key: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ValueError) as error:  # SSLError is an OSError
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StudyError(
            f"--https {certificate} {key}: expected a certificate and its key without "
            f"a password, both PEM; {reason or error}"
        ) from error


def _join(
    run: Run,
    subjects: Sequence[str],
    host: str,
    port: int,
    days: float,
    say: Callable[[str], None],
) -> None:
    """Add subjects to the run that another process serves."""
    root = _served_root(run)
    if not subjects or not root:
        where = f" at {root}" if root else ""
        raise StudyError(
            f"cannot listen on {host}:{port}: this run is served already{where}; "
            "--subject NAME adds somebody there, --status tells who has come how far"
        )
    add_subjects(run, subjects)
    _invite(run, _say_links(run, subjects, root, days, renewed=subjects, say=say), say)
    say(f"Links of the server that runs at {root}; no other was started.")


def _say_links(
    run: Run,
    subjects: Sequence[str],
    root: str,
    days: float,
    *,
    renewed: Sequence[str],
    say: Callable[[str], None],
) -> dict[Place, str]:
    """Say each subject's link, and how far they have come; return those that live."""
    store = ratings_store(run)
    links = {}
    for place in places(store):
        subject = place.subject
        if subject not in subjects:
            continue
        if place.state in ("revoked", "packed") and subject not in renewed:
            say(f"{subject}  no link: {place.state}; --subject {subject} makes one")
            continue
        links[place] = f"{root}/r/{store.link(subject, days)}/"
        status = f"{place.state}, {place.answered} of {place.items}"
        status = status.removeprefix("revoked, ")  # no more
        say(f"{subject}  {links[place]}  {status}, until {expiry(store, subject)}")
    return links


def _invite(run: Run, links: Mapping[Place, str], say: Callable[[str], None]) -> None:
    """Write an invitation for each who has not finished, and say it with its code."""
    store, folder = ratings_store(run), run.path / "rating" / INVITATIONS
    for place, link in links.items():
        if place.state == "closed":
            continue
        lines = write_invitation(
            folder,
            place.subject,
            link,
            n_items=place.items,
            minutes=planned_minutes(run),
            until=expiry(store, place.subject),
        )
        for line in ("", *lines):
            say(line)
    say(f"Each invitation as a text and a QR code: {folder}")


def _remarks(addresses: Sequence[str], public: str) -> list[str]:
    """What to know of the addresses: who reaches them, and who can read along."""
    if public:
        lines = [f"{public} must lead here: {addresses[0]}"]
        if not public.startswith("https:"):
            lines.append(f"Not encrypted: who reads along at {public} has the links.")
        return lines
    if all(map(is_local, addresses)):
        return [
            "Only this computer reaches these addresses; --host 0.0.0.0 lets your "
            "network in, --public-url names a proxy or tunnel in front."
        ]
    lines = [f"The same at {', '.join(addresses[1:])}"] if addresses[1:] else []
    if addresses[0].startswith("http:"):
        lines.append(
            "Not encrypted: who reads along in this network has the links, which are "
            "as good as passwords; --https or --public-url mends that."
        )
    return lines


def _server_file(run: Run) -> Path:
    """Names the server that runs; its lock is held as long as that lives."""
    return run.path / "rating" / "server.json"


def _write_server(run: Run, root: str) -> None:
    file = _server_file(run)
    content = json.dumps({"root": root, "process": os.getpid()})
    file.write_text(content, encoding="utf-8")


def _served_root(run: Run) -> str:
    """The address of the server that runs; empty for none."""
    file = _server_file(run)
    if not file.is_file():
        return ""
    try:
        with FileLock(file.with_suffix(".lock")).acquire(blocking=False):
            return ""  # it was killed, and left its file
    except Timeout:
        return str(json.loads(file.read_text(encoding="utf-8"))["root"])
