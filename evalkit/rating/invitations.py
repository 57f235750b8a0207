"""What to send to a subject: a text to paste, and the link as a QR code."""

import io
from pathlib import Path

import segno

from evalkit.texts import text


def write_invitation(
    folder: Path, subject: str, link: str, *, n_items: int, minutes: int, until: str
) -> list[str]:
    """Write ``<subject>.txt``, ``.png`` and ``.svg``; return the lines to show.

    The files hold the secret link: only this user may read them (mode 600).

    Parameters
    ----------
    folder
        Made when it is missing, for this user only.
    subject
        A pseudonym.
    link
        With its secret.
    n_items, minutes, until
        How many items there are, how long they take, the link's last day.

    Returns
    -------
    list
        The lines of the English text, then those of the QR code in half blocks.

    """
    values = {"subject": subject, "link": link, "items": n_items}
    values |= {"minutes": minutes, "until": until}
    english = text("rating-owner.invitation", "en", **values)
    chinese = text("rating-owner.invitation", "zh", **values)
    code = segno.make_qr(link)
    files = {"txt": f"{english}\n\n{chinese}\n".encode()}
    for kind in ("png", "svg"):
        drawn = io.BytesIO()
        code.save(drawn, kind=kind, scale=8)
        files[kind] = drawn.getvalue()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for kind, content in files.items():
        path = folder / f"{subject}.{kind}"
        path.touch(mode=0o600)
        path.chmod(0o600)  # one that was there, too
        path.write_bytes(content)
    shown = io.StringIO()
    code.terminal(shown, compact=True)
    return [*english.splitlines(), "", *shown.getvalue().splitlines()]
