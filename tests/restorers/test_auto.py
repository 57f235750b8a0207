"""The router: its rules by planted features, its traps by real pictures."""

import dataclasses
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from evalkit import faces
from evalkit.article.comparison import ARTICLE
from evalkit.features import _scene
from evalkit.images import picture_files, read_image, resize
from evalkit.records import code_digest
from evalkit.restorers import _routing, auto, load_restorer, plan_restorer
from evalkit.restorers._protocol import Restored
from evalkit.restorers._routing import FEATURES, RULES, decide, look, routes_by

SCENE = dict.fromkeys(FEATURES, 0.0) | {"straight_edges": 0.3, "sharpness": 0.6}
ONE_FACE = {"n_faces": 1, "largest_face_px": 300, "face_share": 0.3}


@pytest.mark.parametrize(
    ("seen", "route", "rule"),
    [
        ({"is_pdf": 1, **ONE_FACE}, "realesrgan", "document"),
        ({"text_density": 0.31, **ONE_FACE}, "realesrgan", "text"),
        ({}, "realesrgan", "no face"),
        (ONE_FACE | {"n_faces": 200}, "realesrgan", "crowd"),
        (ONE_FACE | {"largest_face_px": 20}, "realesrgan", "tiny faces"),
        (
            ONE_FACE | {"face_share": 0.005, "straight_edges": 0.6},
            "realesrgan",
            "built scene",
        ),
        (ONE_FACE, "gpen", "portrait"),
        (ONE_FACE | {"face_share": 0.03}, "hybrid", "people"),
        (ONE_FACE | {"n_faces": 8}, "hybrid", "people"),
        (ONE_FACE | {"is_pdf": math.nan, "text_density": math.nan}, "gpen", "portrait"),
    ],
)
def test_the_first_rule_that_holds_decides(seen, route, rule):
    assert decide(SCENE | seen)[:2] == (route, rule)


@pytest.mark.parametrize(
    ("seen", "route"),
    [
        ({"is_pdf": 1, **ONE_FACE}, "realesrgan"),
        ({"text_density": 0.31, **ONE_FACE}, "realesrgan"),
        ({"text_density": 0.29, **ONE_FACE}, "gpen"),
        (ONE_FACE | {"n_faces": 200}, "gpen"),
        ({}, "realesrgan"),
    ],
)
def test_the_articles_rules_say_what_it_says(seen, route):
    assert routes_by(ARTICLE.rules, SCENE | seen) == [route]


@pytest.mark.parametrize("rules", [RULES, ARTICLE.rules])
@pytest.mark.parametrize("n_faces", [0, 1, 9, 999])
@pytest.mark.parametrize("others", [0.0, 1.0, 1e9, math.nan])
def test_one_rule_always_holds(rules, n_faces, others):
    values = dict.fromkeys(FEATURES, others) | {"n_faces": n_faces}
    tests = rules[_routing.first_rule(values, rules)[0]].tests
    assert all(test.holds(values).all() for test in tests)


def test_reasons_name_the_rule_its_numbers_and_what_is_unknown():
    decision = decide(SCENE | ONE_FACE | {"text_density": math.nan})
    told = "\n".join(decision.reasons)
    assert "rule 7 of 8, portrait: n_faces 1 < 2 and face_share 0.3 > 0.1" in told
    assert "straight_edges 0.3" in told
    assert "unknown: text_density" in told
    assert "evalkit[ocr]" in told


@pytest.fixture
def picture(mirror, need):
    """``picture(stem)``: a registered photograph."""
    folders = [sub for folder in mirror for sub in [folder, *folder.glob("*/")]]

    def find(stem: str):
        paths = [p for sub in folders for p in picture_files(sub) if p.stem == stem]
        need(paths, f"let EVALKIT_MIRROR have the registered picture {stem}")
        return read_image(paths[0])

    return find


TRAPS = [
    "giant_face_on_building",
    "mural_man_on_building",
    "scan_magazine_bilevel",
    "crowd_largest_selfie",
    "street_sign_chinese",
    "truck_and_house",
]


@pytest.mark.parametrize("stem", TRAPS)
def test_traps_go_to_real_esrgan(picture, stem):
    assert decide(look(picture(stem), faces.detector())).route == "realesrgan"


@pytest.mark.parametrize("stem", TRAPS)
def test_traps_are_no_traps_without_the_reader_of_text(picture, stem, monkeypatch):
    monkeypatch.setattr(_scene, "find_spec", lambda _: None)
    assert decide(look(picture(stem), faces.detector())).route == "realesrgan"


@pytest.mark.parametrize(
    ("stem", "route"), [("clean_man_600x900", "gpen"), ("kids_eight", "hybrid")]
)
def test_people_do_not(picture, stem, route):
    assert decide(look(picture(stem), faces.detector())).route == route


def test_a_face_that_is_printed_beside_text_stays_a_document(need, astronaut):
    need(_scene.find_spec("rapidocr_onnxruntime"), "install evalkit[ocr]")
    image = np.full((1000, 1000, 3), 255, np.uint8)
    image[20:276, 20:276] = astronaut[:256, 100:356]
    for line in range(11):
        where = (40, 350 + 60 * line)
        cv2.putText(
            image, "A page of a magazine, as it is", where, 0, 1.7, (0, 0, 0), 4
        )
    values = look(image, faces.detector())
    assert values["text_density"] > 0.3
    assert decide(values | ONE_FACE).rule == "text"


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (21, 21, 3), (30, 22, 4)])
def test_what_a_tiny_picture_cannot_tell_is_unknown(shape):
    values = look(np.full(shape, 9, np.uint8), faces.detector("cascade"))
    assert set(values) == set(FEATURES)
    assert math.isnan(values["sharpness"]) == (min(shape[:2]) < 22)
    assert decide(values).route == "realesrgan"


def test_blocks_are_measured_on_their_grid():
    image = np.random.default_rng(0).integers(0, 255, (1000, 1204, 3)).astype(np.uint8)
    _, coded = cv2.imencode(".jpg", cv2.GaussianBlur(image, (0, 0), 2), [1, 5])
    image = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    assert look(image, faces.detector("cascade"))["blockiness"] > 1.5
    image = np.roll(image, 3, (0, 1))
    assert look(image, faces.detector("cascade"))["blockiness"] < 0.5


@pytest.fixture
def routed(monkeypatch):
    """``routed(route)``: every picture goes there."""

    def to(route: str):
        rule = _routing.Rule("test", (), route, "a test")
        decision = _routing.Decision(rule.route, rule.name, ("rule 1 of 1",))
        monkeypatch.setattr(auto, "decide", lambda _: decision)

    return to


@pytest.mark.slow
def test_without_gpens_weights_it_says_what_it_would_have_chosen(routed, astronaut):
    restorer = load_restorer("auto")
    assert [part.spec.name for part in restorer.plan.parts] == ["realesrgan-x4plus"]
    assert restorer.weights_kind == "package"
    routed("hybrid")
    made = restorer.restore(astronaut[:24, :32])
    assert made.image.shape == (48, 64, 3)
    told = "\n".join(made.notes)
    assert "route hybrid: rule 1 of 1" in told
    assert "hybrid was chosen, and realesrgan-x4plus is used" in told
    assert made.stages_s["route"] > 0


@pytest.mark.parametrize("route", ["gpen", "hybrid", "realesrgan"])
def test_each_route_is_loaded_once_and_gets_a_picture_of_the_right_size(
    routed, astronaut, route, monkeypatch
):
    asked, loaded = [], []

    class StandIn:
        def __init__(self, plan):
            loaded.append(plan.spec.name)

        def restore(self, image, **_):
            asked.append(image)
            return Restored(image=image, stages_s={"network": 1.0}, notes=["made"])

    plan = plan_restorer("auto", scale=3)
    parts = [plan_restorer(name) for name in _routing.ROUTES.values()]
    parts = [
        dataclasses.replace(p, spec=dataclasses.replace(p.spec, build=StandIn))
        for p in parts
    ]
    routed(route)
    restorer = auto.build(dataclasses.replace(plan, parts=tuple(parts)))
    source = astronaut[:40, :30]
    notes = [restorer.restore(source).notes for _ in range(2)][1]
    assert loaded == [_routing.ROUTES[route]]
    given = resize(source, 90, 120) if route == "gpen" else source
    np.testing.assert_array_equal(asked[1], given)
    assert notes[-1] == "made"
    assert not any("is used" in note for note in notes)


def test_the_key_covers_the_code_of_what_it_loads_by_name():
    plan = plan_restorer("auto")
    assert "evalkit.restorers.realesrgan" in plan.modules
    assert code_digest(plan.modules) != code_digest(["evalkit.restorers.auto"])
    assert Path(auto.__file__).stem in plan.modules[0]


PLAIN = {
    "plain_top": 0.97,
    "ground_lightness": 95.0,
    "aspect": 1.3,
    "face_offset": 0.02,
    "face_turn": 0.05,
}
"""A face before a white wall that looks straight on."""


@pytest.mark.parametrize(
    ("seen", "scene"),
    [
        (PLAIN, "ID photo"),
        (PLAIN | {"ground_lightness": 40, "ground_blue": 35}, "ID photo"),
        (PLAIN | {"ground_lightness": 45, "ground_red": 60}, "ID photo"),
        (PLAIN | {"face_offset": 0.2}, None),
        (PLAIN | {"face_turn": 0.5}, None),
        (PLAIN | {"plain_top": 0.7}, None),
        (PLAIN | {"ground_lightness": 60}, None),
        ({"is_camera": 1.0}, "camera frame"),
        ({"time_stamp": 1.0}, "camera frame"),
        ({"is_video_size": 1.0, "face_share": 0.015}, "camera frame"),
        ({"is_video_size": 1.0, "face_share": 0.05}, None),
        (
            {"plain_border": 0.99, "ground_lightness": 94, "face_share": 0.02},
            "product on white",
        ),
    ],
)
def test_no_face_is_drawn_into_an_id_photo_a_cameras_frame_or_a_products(seen, scene):
    decision = decide(SCENE | ONE_FACE | seen)
    assert decision.scene == scene
    assert (decision.route == "realesrgan") == (scene is not None)
    told = any("no face is drawn anew" in reason for reason in decision.reasons)
    assert told == (scene is not None)


def test_published_rules_know_no_scene():
    assert routes_by(ARTICLE.rules, SCENE | ONE_FACE | PLAIN) == ["gpen"]


@pytest.mark.parametrize(
    ("share", "route"), [(0.95, "gpen"), (0.9, "gpen"), (0.8, "hybrid")]
)
def test_people_go_to_gpen_in_a_folder_of_which_nine_of_ten_have_a_face(share, route):
    decision = decide(SCENE | ONE_FACE | {"n_faces": 3, "folder_faces": share})
    assert decision.route == route
    assert any("folder rule" in reason for reason in decision.reasons) == (
        route == "gpen"
    )
    told = decide(SCENE | {"folder_faces": share})
    assert told.route == "realesrgan"  # nothing there to draw


def test_the_answer_tells_of_candidates():
    decision = decide(SCENE | {"n_candidates": 2})
    assert decision.route == "realesrgan"
    assert any("candidates: 2 seen" in reason for reason in decision.reasons)


def test_router_and_hybrid_have_one_smallest_face():
    (least,) = {t.limit for r in RULES if r.name == "tiny faces" for t in r.tests}
    assert least == plan_restorer("hybrid").resolved["least_face_px"]


def with_words(image, lines):
    for line in range(lines):
        where = (20, 330 + 40 * line)
        cv2.putText(image, "Settings for your account", where, 0, 0.9, (40,) * 3, 2)
    return image


def test_a_face_in_a_screenshot_with_a_fifth_of_text_decides_nothing(need, astronaut):
    need(_scene.find_spec("rapidocr_onnxruntime"), "install evalkit[ocr]")
    image = np.full((640, 500, 3), 250, np.uint8)
    image[20:276, 20:276] = astronaut[:256, 100:356]
    values = look(with_words(image, 7), faces.detector())
    assert 0.12 < values["text_density"] < 0.3
    assert decide(values).rule == "text"


def test_a_frame_is_known_by_the_clock_in_it(need, astronaut):
    need(_scene.find_spec("rapidocr_onnxruntime"), "install evalkit[ocr]")
    image = astronaut.copy()
    assert look(image, faces.detector())["time_stamp"] == 0
    words = "2026-03-14 21:07:43"
    cv2.putText(image, words, (90, 30), 0, 1, (255, 255, 255), 2)
    values = look(image, faces.detector())
    assert values["time_stamp"] == 1
    assert decide(values).scene == "camera frame"


def before(colour, astronaut):
    """The astronaut's head and shoulders before a wall."""
    mask = np.zeros(astronaut.shape[:2], np.uint8)
    ground, models = (60, 5, 320, 400), np.zeros((2, 1, 65))
    cv2.grabCut(astronaut, mask, ground, *models, 3, cv2.GC_INIT_WITH_RECT)
    person = cv2.GaussianBlur((mask % 2).astype(np.float32), (0, 0), 1)[..., None]
    image = astronaut * person + np.array(colour) * (1 - person)
    return np.rint(image).astype(np.uint8)[5:385, 75:375]


@pytest.mark.parametrize("colour", [(250, 250, 250), (67, 142, 219), (190, 20, 30)])
def test_a_portrait_before_the_wall_of_an_id_photo_is_one(mirror, astronaut, colour):
    assert decide(look(before(colour, astronaut), faces.detector())).scene == "ID photo"


def test_what_is_known_of_a_file_reaches_the_record(routed, monkeypatch, astronaut):
    asked = []
    monkeypatch.setattr(
        auto, "decide", lambda values: asked.append(values) or decide(values)
    )
    plan = plan_restorer("auto")
    restorer = auto.build(plan)
    monkeypatch.setattr(
        restorer,
        "_loaded",
        {n: load_restorer("lanczos", scale=2) for n in _routing.ROUTES.values()},
    )
    facts = {"is_pdf": 1.0, "folder_faces": 0.95}
    notes = restorer.knowing(facts).restore(astronaut[:64, :64]).notes
    assert {name: asked[0][name] for name in facts} == facts
    assert any("document: is_pdf 1 > 0" in note for note in notes)
    restorer.restore(astronaut[:64, :64])
    assert math.isnan(asked[1]["is_pdf"])  # it keeps nothing
    assert (other := load_restorer("lanczos")).knowing(facts) is other
