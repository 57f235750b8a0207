"""One file in one folder goes one way, whichever command asks."""

from dataclasses import replace

import pytest

from evalkit.comparisons.looking import Page, Router
from evalkit.comparisons.routing import route_album, route_pictures
from evalkit.daily.album import look_at
from evalkit.daily.routing import Routing
from evalkit.daily.tasks import find_tasks
from evalkit.images import resize, write_image
from evalkit.restorers import load_restorer, plan_restorer
from evalkit.study import open_run


@pytest.fixture
def folder(tmp_path, astronaut):
    """Two people, so that the folder's rule holds; beside it a camera's frame."""
    folder = tmp_path / "people"
    person = resize(astronaut, 320, 320)
    write_image(folder / "a.png", person)
    write_image(folder / "b.png", person[:, ::-1])
    return folder


def routes(folder):
    """By picture and command: the restorer chosen, whether or not it can be had."""
    plan = plan_restorer("auto")
    everything = replace(plan, parts=tuple(map(plan_restorer, NAMES)))
    routing = Routing(everything, recursive=False)
    tasks = find_tasks([folder], folder / "out", recursive=False, say=print)
    routing.look(tasks, print)
    run = open_run(str(folder.parent / "run"))
    run.images(str(folder))
    told = []
    route_pictures([folder], None, say=told.append)
    return {
        "restore": {task.stem: routing.decide(task)[0] for task in tasks},
        "fit": {seen.name[:1]: seen.chosen for seen in look_at(folder).looks},
        "study": route_album(run).set_index("source")["chosen"].to_dict(),
        "route": {
            t.split(".png: ")[0][-1]: t.split()[1] for t in told if ".png: " in t
        },
    }, routing.facts(tasks[0])


NAMES = ("gpen-512", "hybrid", "realesrgan-x4plus")


@pytest.mark.slow
def test_every_command_knows_the_folder(folder):
    asked, facts = routes(folder)
    assert list(asked.values()) == [{"a": "gpen-512", "b": "gpen-512"}] * 4
    assert facts["folder_faces"] == 1
    alone = Router()
    alone.look(Page(folder / "a.png"))
    assert alone.decide(Page(folder / "a.png")).route == "hybrid"


def test_what_a_folder_tells_of_a_camera_holds(folder):
    kinds = "file,kind\na.png,surveillance\n"
    (folder / "kinds.csv").write_text(kinds, encoding="utf-8")
    router, page = Router(), Page(folder / "a.png", 0, folder)
    assert router.look(page).values["is_camera"] == 1
    assert router.decide(page).route == "realesrgan"


def test_what_was_looked_at_before_counts(folder):
    router = Router()
    router.count(folder, "an earlier one", has_face=False)
    router.look(Page(folder / "a.png", 0, folder))
    assert router.decide(Page(folder / "a.png", 0, folder)).route == "hybrid"


def test_a_picture_that_was_looked_at_is_not_looked_at_again(
    folder, astronaut, monkeypatch
):
    router = Router()
    seen = router.look(Page(folder / "a.png"))
    restorer = load_restorer("auto")
    monkeypatch.setattr("evalkit.restorers.auto.look", None)  # would raise
    values = {**seen.values, "n_faces": 0.0, "text_density": 0.0}
    monkeypatch.setattr(type(restorer), "_load", lambda *_: load_restorer("lanczos"))
    notes = restorer.knowing(values).restore(astronaut[:9, :9]).notes
    assert any(n.startswith("route realesrgan: rule 3 of 8, no face") for n in notes)
