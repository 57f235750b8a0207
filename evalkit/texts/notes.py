"""What restorers note in the reader's language: records and files keep the English."""

import re
from functools import cache
from operator import itemgetter

from evalkit.texts import Language, text, texts_of


def note_in(note: str, language: Language) -> str:
    """A note by the text of the page ``note`` that it fills; itself, where none is.

    So are the values that it fills in: the note of a part, a reason.

    Examples
    --------
    >>> note_in("background: faces found by cascade: 2", "zh")
    '背景：cascade 找到人脸：2 张'
    >>> note_in("of a plug-in", "zh")
    'of a plug-in'

    """
    if language == "en":
        return note
    for key, form in _forms():
        if found := form.fullmatch(note):
            values = {k: note_in(v, language) for k, v in found.groupdict().items()}
            return text(f"note.{key}", language, **values)
    return note


@cache
def _forms() -> list[tuple[str, re.Pattern[str]]]:
    """The notes by their keys.

    First those that begin with words, such as the part that noted it; of these, and of
    the others, those of which the text says the most.
    """
    forms = []
    for key, words in texts_of("note").items():
        said = re.split(r"{(\w+)}", words["en"])
        said[::2] = map(re.escape, said[::2])
        order = not said[0], -sum(map(len, said[::2]))
        said[1::2] = [f"(?P<{name}>.+?)" for name in said[1::2]]
        forms.append((order, key, re.compile("".join(said), re.DOTALL)))
    return [(key, form) for _, key, form in sorted(forms, key=itemgetter(0))]
