"""What is found: files of a room, and entry points of other installed packages."""

import importlib
import sys
import warnings
from types import ModuleType

import numpy as np
import pytest

from evalkit import imagesets, metrics, restorers, stats
from evalkit.discover import PluginWarning, discover
from evalkit.errors import EvalkitError
from evalkit.imagesets import _build
from evalkit.records import code_digest, keys

RESTORER = """
from evalkit.restorers import Context, Option, Plan, Restorer, RestorerSpec
from guest._core import as_it_is

class Same(Restorer):
    def _restore(self, image, context):
        context.progress(1, 1)
        return as_it_is(image)

def plan(spec, settings):
    return Plan(spec=spec, requested=settings, resolved=settings)

ENTRIES = (
    RestorerSpec(name="guest-same", task="nothing", scale=1, citation="a guest, 2026",
                 licence="MIT", plan=plan, build=Same),
)
"""

METRIC = """
from evalkit.metrics import Metric

ENTRIES = (
    Metric(name="guest_zero", unit="", higher_is_better=None, citation="a guest, 2026",
           needs="nothing", compute=lambda output: 0.0),
)
"""

IMAGESET = """
import numpy as np
from evalkit.imagesets import ImageSet, Recipe, build, save_pair
from guest._core import GREY

def prepare(folder):
    picture = np.full((8, 8, 3), GREY, np.uint8)
    make = lambda folder: save_pair(folder, "grey", picture)
    return build(folder, [Recipe(facts={"source": "grey", "kind": "flat",
        "is_synthetic": True, "origin": "a guest", "licence": "MIT"}, inputs=(),
        make=make)])

ENTRIES = (
    ImageSet(name="guest-grey", title="one grey picture", licence="MIT", note="",
             is_offline=True, prepare=prepare),
)
"""

CORE = """
GREY = 100

def as_it_is(image):
    return image.copy()
"""

STATISTIC = """
__all__ = ["share_of_high"]

def share_of_high(ratings):
    return float((ratings["score"] >= 4).mean())
"""


def install(folder, package, files, points):
    """A distribution as an installer leaves it: its package, and what it offers."""
    for name, text in {"__init__": "", **files}.items():
        (folder / package).mkdir(exist_ok=True)
        (folder / package / f"{name}.py").write_text(text, encoding="utf-8")
    facts = folder / f"{package}-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8"
    )
    lines = [f"[{group}]\n{name} = {value}\n" for group, name, value in points]
    (facts / "entry_points.txt").write_text("".join(lines), encoding="utf-8")


@pytest.fixture
def forget():
    """What was found before is found anew."""

    def forget():
        for found in (restorers.restorers, metrics.metrics, imagesets.imagesets):
            found.cache_clear()
        for kept in (stats._statistics, keys._source_file, _build._code):
            kept.cache_clear()
        for name in [n for n in sys.modules if n.split(".")[0] in ("guest", "broken")]:
            del sys.modules[name]

    forget()
    yield forget
    forget()


@pytest.fixture
def site(tmp_path, monkeypatch, forget):
    """A folder of installed packages."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


@pytest.fixture
def guest(site):
    install(
        site,
        "guest",
        {
            "_core": CORE,
            "same": RESTORER,
            "zero": METRIC,
            "grey": IMAGESET,
            "high": STATISTIC,
        },
        [
            ("evalkit.restorers", "same", "guest.same"),
            ("evalkit.metrics", "zero", "guest.zero"),
            ("evalkit.imagesets", "grey", "guest.grey"),
            ("evalkit.stats", "high", "guest.high"),
        ],
    )
    return site


def test_a_file_of_another_package_is_found_in_every_room(guest, tmp_path):
    image = np.full((4, 6, 3), 7, np.uint8)
    restorer = restorers.load_restorer("guest-same")
    np.testing.assert_array_equal(restorer.restore(image).image, image)
    assert metrics.metrics()["guest_zero"].compute(image) == 0
    table = imagesets.prepare("guest-grey", folder=tmp_path / "made")
    assert table["source"].tolist() == ["grey"]
    assert "share_of_high" in dir(stats)
    assert stats.share_of_high({"score": np.array([1, 4])}) == 0.5


def test_the_rest_is_where_it_was(guest):
    names = {*restorers.restorers()}
    assert names > {"lanczos", "gpen-512", "hybrid"}
    assert restorers.parse_condition("guest-same") == {"name": "guest-same"}


@pytest.mark.parametrize("changed", ["same", "_core"])
def test_the_key_of_its_records_follows_its_code(guest, changed):
    modules = restorers.plan_restorer("guest-same").modules
    before = code_digest(modules)
    with (guest / "guest" / f"{changed}.py").open("a", encoding="utf-8") as file:
        file.write("CHANGED = 1\n")
    assert code_digest(modules) != before


def test_the_key_follows_the_plan_where_the_class_is_of_evalkit(site):
    text = RESTORER.replace("build=Same", "build=partial(Enlargement)").replace(
        "from guest._core import as_it_is",
        "from functools import partial\n"
        "from evalkit.restorers.classical import Enlargement",
    )
    install(
        site, "guest", {"same": text}, [("evalkit.restorers", "same", "guest.same")]
    )
    modules = restorers.plan_restorer("guest-same").modules
    assert {*modules} == {"guest.same", "evalkit.restorers.classical"}


def test_a_picture_of_its_set_is_made_anew_after_its_code(guest, tmp_path, forget):
    first = imagesets.prepare("guest-grey", folder=tmp_path / "made")
    core = guest / "guest" / "_core.py"
    core.write_text(CORE.replace("100", "1000 // 9"), encoding="utf-8")
    forget()
    again = imagesets.prepare("guest-grey", folder=tmp_path / "made")
    assert again["sha256"].item() != first["sha256"].item()


@pytest.mark.parametrize(
    ("text", "value", "reason"),
    [
        ("1 / 0", "broken.bad", "ZeroDivisionError"),
        ("import no_such_package", "broken.bad", "no_such_package"),
        ("raise SystemExit", "broken.bad", "SystemExit"),
        ("", "broken.bad", "broken.bad: defines no ENTRIES"),
        ("", "broken.nowhere", "broken.nowhere"),
        ("ENTRIES = (3,)", "broken.bad", "3 is not a RestorerSpec"),
        (RESTORER.replace("guest-same", "lanczos"), "broken.bad", "'lanczos' is taken"),
    ],
)
def test_a_broken_one_is_named_and_the_others_are_there(guest, text, value, reason):
    install(guest, "broken", {"bad": text}, [("evalkit.restorers", "worst", value)])
    with pytest.warns(PluginWarning) as told:
        found = restorers.restorers()
    assert {"guest-same", "lanczos"} <= {*found}
    (line,) = [str(warning.message) for warning in told]
    assert line.startswith(
        f"broken 1.0 is left out of evalkit.restorers: its entry point worst = {value} "
    )
    assert reason in line
    assert line.endswith("mend or uninstall broken 1.0")


def test_one_wrong_entry_keeps_out_what_came_before_it(guest):
    text = RESTORER.replace("),\n)", "), 3)").replace("guest-same", "halfway")
    install(
        guest, "broken", {"bad": text}, [("evalkit.restorers", "worst", "broken.bad")]
    )
    with pytest.warns(PluginWarning, match="3 is not a RestorerSpec"):
        assert "halfway" not in restorers.restorers()


class Thing:
    name = "one"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "room.a: defines no ENTRIES"),
        ("ENTRIES = (3,)", "room.a: 3 is not a Thing"),
        ("from tests_thing import Thing\nENTRIES = (Thing(), Thing())", "'one' is tak"),
        ("1 / 0", "division"),
    ],
)
def test_a_broken_file_of_evalkit_itself_is_an_error(
    tmp_path, monkeypatch, text, reason
):
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "__init__.py").touch()
    (tmp_path / "room" / "a.py").write_text(text, encoding="utf-8")
    (tmp_path / "room" / "_private.py").write_text("1 / 0", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    things = ModuleType("tests_thing")
    things.Thing = Thing
    monkeypatch.setitem(sys.modules, "tests_thing", things)
    for name in ("room", "room.a"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises((EvalkitError, ZeroDivisionError), match=reason):
        discover(importlib.import_module("room"), Thing)


def test_without_plug_ins_nothing_is_said(site):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert restorers.restorers()
