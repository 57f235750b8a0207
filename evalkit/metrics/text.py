"""Text: whether it can still be read, and says the same."""

import numpy as np

from evalkit.features import character_error_rate
from evalkit.images import Picture
from evalkit.metrics._content import lines_of
from evalkit.metrics._spec import Metric, check_same_size

CITATION = "Levenshtein 1966; read by PP-OCRv4, arXiv:2009.09941 and its successors"

UNREAD = "no text is read, or the extra ocr is not installed"


def text_error(output: Picture, reference: Picture) -> float:
    """Character error rate of what is read in the output, in per cent.

    What is read in the reference is taken for what is written there; where you know
    that, use `character_error_rate`.

    Returns
    -------
    float
        From 0; NaN where the reference shows no text, or without the extra ``ocr``.

    """
    check_same_size(output, reference, "reference")
    return 100 * character_error_rate(_text(output), _text(reference))


def text_agreement(output: Picture, source: Picture) -> float:
    """Share of the characters read in the source that are read in the output, too.

    Returns
    -------
    float
        In per cent, 100 less the character error rate, not below 0. The source may be
        misread: it says that the two differ, not which of them is right. NaN as in
        `text_error`.

    """
    check_same_size(output, source, "source")
    error = character_error_rate(_text(output), _text(source))
    return float(np.maximum(0, 100 * (1 - error)))


def text_confidence(output: Picture) -> float:
    """How sure the reader is of what it reads, in per cent.

    Returns
    -------
    float
        Mean of the lines, each weighing as many characters as it has; lines below 60
        are not counted. NaN where no text is read, or without the extra ``ocr``.

    """
    lines = lines_of(output)
    if not lines:
        return float("nan")
    weights = [len(line.text) for line in lines]
    return 100 * float(np.average([line.confidence for line in lines], weights=weights))


def _text(picture: Picture) -> str:
    return "".join(line.text for line in lines_of(picture) or ())


ENTRIES = (
    Metric(
        name="text_error",
        unit="%",
        higher_is_better=False,
        citation=CITATION,
        needs="reference",
        shows="text",
        nan_means=UNREAD,
        compute=text_error,
    ),
    Metric(
        name="text_agreement",
        unit="%",
        higher_is_better=True,
        citation=CITATION,
        needs="source",
        shows="text",
        nan_means=UNREAD,
        compute=text_agreement,
    ),
    Metric(
        name="text_confidence",
        unit="%",
        higher_is_better=True,
        citation=CITATION,
        needs="nothing",
        shows="text",
        nan_means=UNREAD,
        compute=text_confidence,
    ),
)
