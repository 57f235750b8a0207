"""Features, router and detector on every odd picture; and what is noted of one."""

import errno
import warnings

import numpy as np
import oddities
import pytest

from evalkit import faces, features
from evalkit.errors import ImageError, OutOfMemoryError, attempt, of_each
from evalkit.restorers._routing import FEATURES, decide, look

every_picture = pytest.mark.parametrize("name", oddities.PICTURES)


@every_picture
def test_the_router_decides(name):
    picture = oddities.PICTURES[name]()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = look(picture, faces.detector(), is_pdf=0.0)
        decision = decide(values)
    assert set(values) == set(FEATURES)
    assert not np.isinf(list(values.values())).any()
    # what is unknown is said, and no rule took it for a number
    for feature, value in values.items():
        unknown = [line for line in decision.reasons if line.startswith("unknown")]
        assert np.isnan(value) == any(feature in line for line in unknown)


@every_picture
def test_no_face_is_found_where_there_is_none(name):
    assert faces.detect(oddities.PICTURES[name]()) == []


@every_picture
def test_lines_and_text_are_sought(name):
    picture = oddities.PICTURES[name]()
    assert 0 <= features.straight_edges(picture) <= 1
    boxes = features.text_boxes(picture)
    density = features.text_density(boxes, [], picture.shape)
    assert boxes is None or 0 <= density <= 1


def test_what_is_known_to_happen_becomes_a_note(said):
    def refuse():
        raise ImageError("expected more")

    def outgrow():
        raise OutOfMemoryError("no memory left")

    def outgrow_silently():
        raise MemoryError

    assert attempt(lambda: 3, "a", said.append) == (3, None)
    assert attempt(refuse, "a", said.append) == (None, "expected more")
    assert attempt(outgrow, "a", said.append) == (None, "no memory left")
    assert attempt(outgrow_silently, "a", said.append)[1].startswith("not enough")
    assert not said


def broken():
    return {}["nothing"]


def test_a_fault_of_ours_is_said_and_costs_one_picture(monkeypatch, said):
    with pytest.raises(KeyError):  # in tests
        attempt(broken, "a", said.append)
    monkeypatch.delenv("EVALKIT_STRICT")
    assert attempt(broken, "halo of a", said.append) == (None, "KeyError: 'nothing'")
    assert said == ["halo of a: left out, by a fault of evalkit: KeyError: 'nothing'"]
    said.clear()
    tasks = {"a": lambda: 1, "b": broken, "c": lambda: 3}
    assert of_each(tasks, "figure", said.append) == {"a": 1, "c": 3}
    assert said == ["b: no figure: KeyError: 'nothing'"]


def test_a_full_disk_is_no_property_of_a_picture(monkeypatch, said):
    monkeypatch.delenv("EVALKIT_STRICT")

    def write():
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        attempt(write, "a", said.append)


@pytest.fixture
def said() -> list[str]:
    return []
