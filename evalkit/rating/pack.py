"""A session as one HTML file, for a mail or a stick.

The file holds the same page, the pictures, and the order, which is fixed when it is
written. It names no condition, source or role. `evalkit.rating.saved` reads what comes
back.
"""

import base64
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import sqlalchemy as sa
from PIL import Image

from evalkit.errors import StudyError
from evalkit.rating._schema import ITEMS, PACKS
from evalkit.rating.saved import FORMAT, seal_of
from evalkit.rating.server import FILES, page_file
from evalkit.rating.session import Session
from evalkit.rating.stimuli import LANGUAGES
from evalkit.rating.store import Store
from evalkit.texts import texts_of
from evalkit.viewer import policy_of

LARGEST_BYTES = 25_000_000
"""Of a file: what most mail servers still take."""

Codecs: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Pillow's names of encodings, and the options of each."""

CODECS: Codecs = {
    "webp": {"lossless": True, "quality": 50, "method": 3},
    "png": {"compress_level": 9},
}
"""How a picture may be encoded, without loss, and the options for that."""

STYLE = """
  .pack-notice, .pack-save { position: fixed; z-index: 9; font: 16px system-ui; }
  .pack-notice { inset: 0 0 auto; margin: 0; padding: 4px 12px; text-align: center;
    background: #7a1f1f; color: #fff; }
  .pack-notice:empty { display: none; }
  .pack-save { right: 20px; bottom: 20px; padding: 10px 18px; }
"""


def pack_session(
    store: Store, subject: str, session: Session, folder: Path
) -> list[Path]:
    """Write what a subject has not answered yet as files of at most 25 MB.

    From then on the subject's plan stays as it is. The same items make the same seal: a
    file that is made again goes on where the first one was left, in the same browser.

    Parameters
    ----------
    store, subject
        Where the subject is planned.
    session
        Theirs.
    folder
        Gets ``<subject>.html``, or ``<subject>-part-1-of-3.html`` and so on.

    Raises
    ------
    StudyError
        Nothing is left to rate, or one item alone is larger than a file may be.

    """
    items = session.coming()
    if not items:
        raise StudyError(f"{subject}: expected something left to rate, found nothing")
    names, pictures = pictures_of(store, session, items, CODECS)
    room = LARGEST_BYTES - len(
        page_of(content_of(subject, (1, 1), session, items, {}, {}))
    )
    parts = list(_parts(items, names, pictures, room))
    folder.mkdir(parents=True, exist_ok=True)
    secret, paths, seals = store.secret("packs"), [], []
    for number, part in enumerate(parts, 1):
        place = number, len(parts)
        content = content_of(subject, place, session, part, names, pictures)
        content["seal"] = seal_of(secret, subject, place, [item["id"] for item in part])
        path = folder / f"{content['file']}.html"
        path.touch(mode=0o600)
        path.write_bytes(page_of(content))
        paths.append(path)
        seals.append({"seal": content["seal"], "subject": subject})
    with store.write() as connection:
        stored = {*connection.scalars(sa.select(PACKS.c.seal))}
        for row in seals:
            if row["seal"] not in stored:
                connection.execute(sa.insert(PACKS).values(row))
    return paths


def content_of(
    subject: str,
    place: tuple[int, int],
    session: Session,
    items: Sequence[Mapping[str, Any]],
    names: Mapping[str, Mapping[str, str]],
    pictures: Mapping[str, str],
) -> dict[str, Any]:
    """What the page's script is given; its pictures under names in order of showing."""
    part, parts = place
    shown = list(dict.fromkeys(a for item in items for a in _addresses(item)))
    digests = [digest for a in shown if a in names for digest in names[a].values()]
    order = list(dict.fromkeys(digests))
    numbers = {name: f"p{number}" for number, name in enumerate(order)}
    data = {n.removesuffix(".json"): n for n in FILES if n.endswith(".json")}
    shared = {key: json.loads(page_file(name)) for key, name in data.items()}
    return {
        "format": FORMAT,
        "file": f"{subject}-part-{part}-of-{parts}" if parts > 1 else subject,
        "subject": subject,
        "part": part,
        "parts": parts,
        "view": session.view() | {"item": None, "preload": [], "reveal": None},
        "items": [{**item, "given": None} for item in items],
        "names": {
            a: {language: numbers[digest] for language, digest in names[a].items()}
            for a in shown
            if a in names
        },
        "pictures": {numbers[name]: pictures[name] for name in order},
        "shared": {
            **shared,
            "labels": {**texts_of("rating"), **texts_of("rating-pack")},
        },
        "seal": "0" * 64,
    }


def page_of(content: Mapping[str, Any]) -> bytes:
    """The page with all that it loads inside."""
    script = f"{page_file('widget.js')}\n{page_file('pack.js')}"
    assert "</script" not in script.lower()
    policy = policy_of(script)
    data = json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")
    parts = {
        '<meta charset="utf-8" />': (
            '<meta charset="utf-8" />\n'
            f'    <meta http-equiv="Content-Security-Policy" content="{policy}" />'
        ),
        '<link rel="stylesheet" href="widget.css" />': (
            f"<style>{page_file('widget.css')}{STYLE}</style>"
        ),
        '<script type="module" src="page.js"></script>': "",
        "</body>": (
            '<p class="pack-notice" role="alert"></p>\n'
            '    <button class="pack-save" type="button" hidden></button>\n'
            f'    <script type="application/json" id="pack">{data}</script>\n'
            f'    <script type="module">{script}</script>\n  </body>'
        ),
    }
    html = page_file("page.html")
    for part, replacement in parts.items():
        assert html.count(part) == 1, part
        html = html.replace(part, replacement)
    return html.encode()


def _addresses(item: Mapping[str, Any]) -> list[str]:
    """The addresses of the pictures that an item may show."""
    return [address for address in (*item["stimuli"], item["source"]) if address]


def pictures_of(
    store: Store,
    session: Session,
    items: Sequence[Mapping[str, Any]],
    codecs: Codecs,
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """By address and language a picture's digest; by digest its data: URI.

    All of a source have one encoding and one length, so that neither tells anything.
    """
    with store.read() as connection:
        query = sa.select(ITEMS.c.item, ITEMS.c.source)
        sources: dict[str, str] = dict(connection.execute(query).tuples().all())
    names: dict[str, dict[str, str]] = {}
    files: dict[str, dict[str, bytes]] = defaultdict(dict)
    for item in items:
        for address in _addresses(item):
            names[address] = {}
            for language in LANGUAGES:  # a trap says in each what to choose
                picture = session.stimulus(address, language)
                digest = hashlib.sha256(picture).hexdigest()
                names[address][language] = digest
                files[sources[item["id"]]][digest] = picture
    uris: dict[str, str] = {}
    for of_source in files.values():
        uris |= _encoded(of_source, codecs)
    return names, uris


def _encoded(files: Mapping[str, bytes], codecs: Codecs) -> dict[str, str]:
    """Pictures of one source as data: URIs, in the encoding that takes fewer bytes."""
    in_each: dict[str, dict[str, bytes]] = {}
    for codec, options in codecs.items():
        in_each[codec] = {}
        for name, content in files.items():
            file = io.BytesIO()
            Image.open(io.BytesIO(content)).convert("RGB").save(file, codec, **options)
            in_each[codec][name] = file.getvalue()
    lengths = {
        codec: max(map(len, encoded.values())) for codec, encoded in in_each.items()
    }
    codec = min(lengths, key=lambda name: lengths[name])
    return {
        name: f"data:image/{codec};base64,"
        + base64.b64encode(content.ljust(lengths[codec], b"\0")).decode()
        for name, content in in_each[codec].items()
    }


def _parts(
    items: Sequence[dict[str, Any]],
    names: Mapping[str, Mapping[str, str]],
    pictures: Mapping[str, str],
    room: int,
) -> Iterator[list[dict[str, Any]]]:
    """The items in order, in runs whose pictures take at most `room` bytes."""
    part: list[dict[str, Any]] = []
    held: set[str] = set()
    for item in items:
        needed = {d for a in _addresses(item) for d in names[a].values()}
        if part and sum(len(pictures[name]) for name in held | needed) > room:
            yield part
            part, held = [], set()
        held |= needed
        if sum(len(pictures[name]) for name in held) > room:
            raise StudyError(
                f"expected at most {LARGEST_BYTES / 1e6:g} MB for a file; the pictures "
                f"of one item, {item['width']}x{item['height']} px, take more"
            )
        part.append(item)
    yield part
