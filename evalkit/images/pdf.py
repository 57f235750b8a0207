"""Pages of a PDF by PDFium, each rendered in a process of its own with a time limit."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from evalkit.errors import ImageError, SettingError
from evalkit.images import pdf_page
from evalkit.images.stored import Picture, check_page, check_size, read_through

DPI = 200
PAGE_LIMIT_S = 60.0
"""A full page of a scanned book or of a map takes a few seconds."""

_ONE_AT_A_TIME = RLock()
"""PDFium is not made for threads."""


def read_pdf(path: Path, page: int, limit_px: int) -> Picture:
    """Render one page, RGB, on white."""
    with _document(path) as document:
        check_page(path, page, len(document))
        scale = DPI / 72 * _user_unit(path, document, page)
        width, height = (side * scale for side in document.get_page_size(page))
        check_size(path, width, height, limit_px)
    return _rendered(path, page, scale)


def count_pdf_pages(path: Path) -> int:
    """Pages of a PDF."""
    with _document(path) as document:
        return len(document)


@contextmanager
def _document(path: Path) -> Iterator[Any]:
    import pypdfium2

    with _ONE_AT_A_TIME:
        try:
            document = pypdfium2.PdfDocument(path)
            try:
                yield document
            finally:
                document.close()
        except pypdfium2.PdfiumError as error:
            read_through(path)
            raise ImageError(f"{path}: a PDF that cannot be read: {error}") from error


def _user_unit(path: Path, document: Any, page: int) -> float:
    """Units of 1/72 inch in a unit of the page (PDF 1.6, table 3.27).

    PDFium does not tell: it is read from a copy of the page, whose objects lie open.
    """
    import pypdfium2

    content = path.read_bytes()
    if b"/UserUnit" not in content and b"/ObjStm" not in content:
        return 1.0
    copy, opened = pypdfium2.PdfDocument.new(), io.BytesIO()
    copy.import_pages(document, [page])
    copy.save(opened)
    copy.close()
    match = re.search(rb"/UserUnit ([0-9.]+)", opened.getvalue())
    unit = float(match[1]) if match and match[1].count(b".") < 2 else 1.0
    return unit or 1.0


def _rendered(path: Path, page: int, scale: float) -> Picture:
    limit_s = _page_limit_s()
    # sides are rounded up: 120.000002 px must not become 121
    arguments = [str(path.resolve()), str(page), repr(scale * (1 - 1e-6))]
    try:
        process = subprocess.run(
            [sys.executable, "-P", pdf_page.__file__, *arguments],
            capture_output=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ImageError(
            f"{path}: page {page} took more than {limit_s:g} s to render; give it more "
            "by EVALKIT_MAX_PAGE_SECONDS, or hand over a picture of the page"
        ) from error
    if process.returncode:
        why = process.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ImageError(
            f"{path}: page {page} cannot be rendered: "
            f"{why[0] if why else f'PDFium ended with {process.returncode}'}"
        )
    head = process.stdout[: process.stdout.index(b"\n")]
    width, height, stride = (int(number) for number in head.split())
    rows = np.frombuffer(process.stdout, np.uint8, offset=len(head) + 1)
    rows = rows.reshape(height, stride)[:, : width * 3]
    return np.ascontiguousarray(rows.reshape(height, width, 3)[..., ::-1])


def _page_limit_s() -> float:
    setting = os.environ.get("EVALKIT_MAX_PAGE_SECONDS") or PAGE_LIMIT_S
    try:
        limit = float(setting)
    except ValueError:
        limit = -1
    if not 0 < limit < 1e6:
        raise SettingError(
            f"EVALKIT_MAX_PAGE_SECONDS: expected a positive number, got {setting!r}"
        )
    return limit
