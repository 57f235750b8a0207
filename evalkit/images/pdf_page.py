"""Run as a program by `evalkit.images.pdf`: one page of a PDF, as bytes on stdout.

It imports nothing of evalkit, so that it starts at once; it can be killed.
"""

import sys


def main(path: str, page: int, scale: float) -> None:
    """Write ``width height stride``, a line break, and rows of B, G, R."""
    import pypdfium2

    bitmap = pypdfium2.PdfDocument(path)[page].render(scale=scale, rev_byteorder=False)
    if bitmap.n_channels != 3:
        raise ValueError(f"expected 3 channels, got {bitmap.n_channels}")
    head = f"{bitmap.width} {bitmap.height} {bitmap.stride}\n"
    sys.stdout.buffer.write(head.encode())
    sys.stdout.buffer.write(bitmap.buffer)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
