"""The hybrid with stand-ins for its networks, and with GPEN's published faces."""

import json

import cv2
import numpy as np
import psutil
import pytest
from skimage.registration import phase_cross_correlation
from skimage.transform import AffineTransform, SimilarityTransform, warp

from evalkit import faces
from evalkit.errors import CancelledError, SettingError
from evalkit.images import read_image, write_image
from evalkit.records import code_digest
from evalkit.restorers import (
    condition_name,
    load_restorer,
    parse_condition,
    plan_restorer,
)
from evalkit.restorers.engines.torch import Engine
from evalkit.restorers.hybrid.placement import (
    COARSE,
    assign,
    faded,
    match_colour,
    read_published,
    sized,
    warped,
)
from evalkit.weights import find

pytestmark = pytest.mark.filterwarnings("ignore::evalkit.errors.RandomWeightsWarning")

LANCZOS = {"background": "lanczos"}
SMALL = "gpen-256@weights=random"


class Negative(Engine):
    """In the place of GPEN's network: its output is the negative of a face."""

    def __init__(self, *_):
        super().__init__("negative")
        self.seen = []

    def start(self, batch, watch):
        self.seen.append(batch)
        with watch("network"):
            output = -batch
        return lambda: output


@pytest.fixture
def negative(monkeypatch):
    """Every generator is a `Negative`."""
    engine = Negative()
    monkeypatch.setattr(
        "evalkit.restorers.gpen.engine_for", lambda *_: (engine, ["a stand-in"])
    )
    return engine


ASTRONAUT = faces.Face(
    (178, 55, 272, 178),
    0.95,
    np.array([(203, 101), (248, 102), (226, 130), (202, 140), (247, 141)], float),
    "planted",
)
"""By eye."""


@pytest.fixture
def found(monkeypatch):
    """The faces that any detector finds: the astronaut's, and what a test adds."""
    planted = [ASTRONAUT]
    monkeypatch.setattr("evalkit.faces.find_faces", lambda *_: planted)
    return planted


@pytest.fixture
def picture(mirror, need):
    """``picture("group/kids_eight.jpg")`` reads a registered picture."""
    need(find("retinaface-mobile0.25"), "EVALKIT_MIRROR holds no retinaface-mobile0.25")

    def read(name):
        found = [f / name for f in mirror if (f / name).is_file()]
        need(found, f"{name} is not below a folder of EVALKIT_MIRROR")
        return read_image(found[0])

    return read


def plain(image, scale=2):
    return load_restorer("lanczos", scale=scale).restore(image).image


def hybrid(**settings):
    return load_restorer("hybrid", **{**LANCZOS, "faces": SMALL, **settings})


def reached():
    """Where the face may lie: the square of its crop, in the output."""
    matrix = faces.to_frame((ASTRONAUT.landmarks + 0.5) * 2 - 0.5, 512)
    inverse = cv2.invertAffineTransform(matrix)
    square = np.ones((512, 512), np.uint8)
    return cv2.warpAffine(square, inverse, (1024, 1024)) > 0


def save_pair(folder, name, before, after):
    write_image(folder / f"{name}.png", np.hstack((before, after)))


def test_faces_are_restored_and_the_rest_is_the_background(found, astronaut, negative):
    made = hybrid().restore(astronaut)
    expected, inside = plain(astronaut), reached()
    assert made.image.shape == (1024, 1024, 3)
    np.testing.assert_array_equal(made.image[~inside], expected[~inside])
    assert np.abs(made.image[inside].astype(int) - expected[inside]).mean() > 10
    assert len(negative.seen) == 1
    assert any("faces restored: 1, in px" in note for note in made.notes)
    assert {"detect", "background resize", "faces network", "blend"} <= set(
        made.stages_s
    )


def test_a_face_of_no_strength_leaves_the_background(found, astronaut, negative):
    made = hybrid(strength=0).restore(astronaut).image
    np.testing.assert_array_equal(made, plain(astronaut))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"least_face_px": 120}, "shorter side under 120 px"),
        ({"sharp_enough": 0.2}, "sharpness 0.2 or more"),
        ({"confidence": 1}, "confidence under 1"),
    ],
    ids=["small", "sharp", "unsure"],
)
def test_a_face_is_left_to_the_background_for_a_reason(
    found, astronaut, negative, settings, reason
):
    made = hybrid(**settings).restore(astronaut)
    np.testing.assert_array_equal(made.image, plain(astronaut))
    told = [note for note in made.notes if "left to the background" in note]
    assert len(told) == 1
    assert reason in told[0]
    assert not negative.seen


def test_a_blurred_face_is_restored_where_the_sharp_one_is_left(
    found, astronaut, negative
):
    blurred = cv2.GaussianBlur(astronaut, (0, 0), 3)
    restorer = hybrid(sharp_enough=0.3)
    restorer.restore(astronaut)
    assert not negative.seen
    restorer.restore(blurred)
    assert len(negative.seen) == 1


def test_faces_are_cut_out_of_the_source_or_of_the_background(
    found, astronaut, negative
):
    for crop_from in ("source", "enlarged"):
        hybrid(crop_from=crop_from).restore(astronaut)
    source, enlarged = ((batch[0] + 1) * 127.5 for batch in negative.seen)
    face = ASTRONAUT.landmarks
    expected, _ = faces.align(astronaut, face, 256)
    np.testing.assert_allclose(source.transpose(1, 2, 0), expected, atol=1)
    large, _ = faces.align(plain(astronaut), (face + 0.5) * 2 - 0.5, 256)
    np.testing.assert_allclose(enlarged.transpose(1, 2, 0), large, atol=2)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: cv2.cvtColor(image, cv2.COLOR_RGB2GRAY),
        lambda image: np.dstack((image, image[..., 0])),
        lambda image: image.astype(np.uint16) * 257,
    ],
    ids=["grey", "alpha", "16 bit"],
)
def test_channels_and_depth_stay(found, astronaut, negative, change):
    source = change(astronaut)
    made = hybrid().restore(source).image
    assert made.dtype == source.dtype
    assert made.shape == (1024, 1024, *source.shape[2:])
    expected, inside = plain(source), reached()
    np.testing.assert_array_equal(made[~inside], expected[~inside])
    if source.shape[2:] == (4,):
        np.testing.assert_array_equal(made[..., 3], expected[..., 3])


def test_an_aligned_face_fills_its_picture(found, astronaut, negative):
    crop, _ = faces.align(astronaut, ASTRONAUT.landmarks, 256)
    hybrid().restore(crop, aligned=True)
    seen = (negative.seen[0][0].transpose(1, 2, 0) + 1) * 127.5
    np.testing.assert_allclose(seen, crop, atol=1)


def test_it_can_be_cancelled_and_its_progress_ends(found, astronaut, negative):
    restorer, told = hybrid(), []
    restorer.restore(astronaut, progress=lambda done, n: told.append((done, n)))
    assert told == sorted(told)
    assert told[-1] == (told[-1][1], told[-1][1])
    with pytest.raises(CancelledError):
        restorer.restore(astronaut, cancel=lambda: bool(told))


@pytest.mark.slow
def test_swapping_models_changes_the_memory_and_not_the_picture(
    found, astronaut, negative
):
    kept, swapped = hybrid(), hybrid(memory_mib=1)
    first = kept.restore(astronaut)
    for _ in range(2):
        second = swapped.restore(astronaut)
        np.testing.assert_array_equal(second.image, first.image)
    told = [note for note in second.notes if "let go" in note]
    assert len(told) == 2
    assert not any("let go" in note for note in first.notes)
    assert not swapped._parts._loaded
    roomy = hybrid(memory_mib=1 << 20)
    assert not roomy._parts._loaded
    roomy.restore(astronaut)
    assert len(roomy._parts._loaded) == 2


def test_a_published_face_is_pasted_where_it_belongs(found, astronaut, tmp_path):
    # their landmarks were not ours: 2 degrees, 3 % and some pixels of difference
    ours = np.vstack((faces.to_frame(ASTRONAUT.landmarks, 512), (0, 0, 1)))
    theirs = (
        SimilarityTransform(
            scale=1.03, rotation=np.deg2rad(2), translation=(4, -7)
        ).params
        @ ours
    )
    before = cv2.warpAffine(astronaut, theirs[:2], (512, 512))
    after = np.where(before > 127, before, before // 2 + 60).astype(np.uint8)
    save_pair(tmp_path, "one", before, after)
    made = hybrid(faces=f"outputs:{tmp_path}").restore(astronaut)
    grow = AffineTransform(scale=2, translation=(0.5, 0.5)).params
    expected = warp(
        after, AffineTransform(theirs @ np.linalg.inv(grow)), output_shape=(1024, 1024)
    )
    x, y = np.rint(ASTRONAUT.landmarks[2] * 2).astype(int)
    middle = slice(y - 60, y + 60), slice(x - 60, x + 60)
    there, wanted = made.image[middle] / 255, expected[middle]
    # colours are shifted a little: what must agree is where things are
    moved, _, _ = phase_cross_correlation(wanted, there, upsample_factor=20)
    assert np.abs(moved[:2]).max() <= 0.5
    assert np.corrcoef(there.ravel(), wanted.ravel())[0, 1] > 0.98
    assert "(one)" in " ".join(made.notes)
    assert "no face is made here" in " ".join(made.notes)


def test_squares_are_joined_to_the_faces_before_by_pairs(found, astronaut, tmp_path):
    before, _ = faces.align(astronaut, ASTRONAUT.landmarks, 512)
    write_image(tmp_path / "sources/a.png", before)
    write_image(tmp_path / "published/b.png", 255 - before)
    (tmp_path / "published/pairs.csv").write_text(
        "source,output\na,b.png\n", encoding="utf-8"
    )
    write_image(tmp_path / "published/a_whole_picture.png", astronaut[:300])
    made = hybrid(faces=f"outputs:{tmp_path / 'published'}").restore(astronaut)
    assert "faces restored: 1" in " ".join(made.notes)


def test_a_published_face_that_may_be_either_of_two_is_refused(
    found, astronaut, tmp_path
):
    before, _ = faces.align(astronaut, ASTRONAUT.landmarks, 512)
    save_pair(tmp_path, "twin", before, before)
    restorer = hybrid(faces=f"outputs:{tmp_path}")
    twin = ASTRONAUT.landmarks + np.array((512, 0))
    found.append(faces.Face((690, 55, 784, 178), 0.95, twin, "planted"))
    with pytest.raises(SettingError, match="twin is like face"):
        restorer.restore(np.hstack((astronaut, astronaut)))


def test_a_picture_without_any_published_face_is_refused(found, astronaut, tmp_path):
    save_pair(tmp_path, "other", astronaut[:200, :200], astronaut[:200, :200])
    with pytest.raises(SettingError, match="none of 1 published faces"):
        hybrid(faces=f"outputs:{tmp_path}").restore(astronaut)


def test_skin_protection_gives_back_the_colour_of_the_skin(found, astronaut, tmp_path):
    before, _ = faces.align(astronaut, ASTRONAUT.landmarks, 512)
    blue = before.copy()
    blue[150:450, 150:400, 0] //= 2
    save_pair(tmp_path, "blue", before, blue)
    x, y = np.rint(ASTRONAUT.landmarks[2] * 2).astype(int)
    middle = slice(y - 20, y + 20), slice(x - 20, x + 20)
    redness = []
    for protects in (False, True):
        restorer = hybrid(faces=f"outputs:{tmp_path}", skin_protection=protects)
        redness.append(restorer.restore(astronaut).image[middle][..., 0].mean())
    expected = plain(astronaut)[middle][..., 0].mean()
    assert abs(redness[1] - expected) < 10 < abs(redness[0] - expected)


def test_solvays_five_published_faces_come_to_lie_as_in_the_published_picture(
    picture, mirror
):
    solvay = picture("gpen_official/solvay/solvay_input.png")
    official = picture("gpen_official/solvay/solvay_output_gpen.jpg")
    folder = next(f for f in mirror if (f / "gpen_official/solvay").is_dir())
    made = hybrid(faces=f"outputs:{folder / 'gpen_official/solvay'}").restore(solvay)
    told = next(note for note in made.notes if note.startswith("faces restored"))
    assert told.count("solvay_face") == 5
    expected = plain(solvay)
    for place in told.partition("in px: ")[2].split("; "):
        left, top = map(int, place.split()[2].split(","))
        box = slice(2 * top, 2 * top + 90), slice(2 * left, 2 * left + 76)
        errors = [
            np.square(other[box][..., :3].astype(float) - official[box]).mean()
            for other in (made.image, expected)
        ]
        assert errors[0] < errors[1] / 2
        detail = [
            cv2.Laplacian(cv2.cvtColor(other[box], cv2.COLOR_RGB2GRAY), cv2.CV_32F)
            for other in (made.image[..., :3].copy(), official)
        ]
        assert 0.8 < detail[0].std() / detail[1].std() < 1.25


PUBLISHED = [
    *((f"solvay_face{n}", "solvay/solvay_input.png") for n in ("02", "15", "18")),
    *((f"solvay_face{n}", "solvay/solvay_input.png") for n in ("20", "25")),
    ("selfie_a_face00", "selfie_a/selfie_a_input.jpg"),
    ("selfie_exif6_face00", "selfie_exif6/selfie_exif6_input.jpg"),
]
"""GPEN's published faces, and the pictures that they are of."""

FOREIGN = ["portrait/adele_old_colour.png", "group/family_wedding_10045.png"]
"""Pictures in which none of them is; a tiny face of the second is like a blurred one
once it is stretched."""


def test_published_faces_are_told_by_their_own_pictures_and_no_others(picture, mirror):
    folder = next(f for f in mirror if (f / "gpen_official/solvay").is_dir())
    published = [
        pair
        for sub in ("solvay", "selfie_a", "selfie_exif6", "real_pairs")
        for pair in read_published(folder / "gpen_official" / sub)
    ]
    names = {pair.name: pair.name.removesuffix("_in_out") for pair in published}
    for path in {path for _, path in PUBLISHED}:
        crops = coarse_crops(picture(f"gpen_official/{path}"))
        own = {name for name, of in PUBLISHED if of == path}
        assert {names[p.name] for p in assign(published, crops).values()} == own
    for path in FOREIGN:
        with pytest.raises(SettingError, match=r"expected a correlation of 0\.900"):
            assign(published, coarse_crops(picture(path)))


def coarse_crops(image):
    image = faces.as_rgb8(image)
    found = faces.find_faces(faces.detector("retinaface-mobile0.25"), image, 0.5)
    return [warped(image, sized(frame_of(face), COARSE), COARSE) for face in found]


def frame_of(face):
    return np.vstack((faces.to_frame(face.landmarks, 512), (0, 0, 1)))


def test_the_plan_holds_all_that_a_record_depends_on(tmp_path):
    plan = plan_restorer("hybrid", faces=SMALL, crop_from="enlarged")
    assert plan.weights_kind == "random"
    assert {"gpen-bfr-256", "realesrgan-x4plus"} <= {w.name for w in plan.weights}
    assert plan.modules == [
        f"evalkit.restorers.{n}" for n in ("hybrid", "gpen", "realesrgan")
    ]
    assert code_digest(plan.modules) != code_digest(plan.modules[:2])
    settings = json.loads(json.dumps(plan.resolved))
    assert settings["faces"]["name"] == "gpen-256"
    assert settings["background"]["scale"] == 2
    assert settings["device"] != "auto"
    write_image(tmp_path / "a.png", np.full((8, 16, 3), 7, np.uint8))
    published = plan_restorer("hybrid", faces=f"outputs:{tmp_path}")
    assert published.weights_kind == "package"
    assert published.resolved["faces"]["content_sha256"]


def test_a_condition_within_the_condition_comes_back(tmp_path):
    told = {"faces": f"outputs:{tmp_path}/a=b,c", "background": "lanczos", "scale": 4}
    name = condition_name("hybrid", **told)
    assert parse_condition(name) == {"name": "hybrid", **told}


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"faces": "lanczos"}, "expected faces by one of gpen-256"),
        ({"background": SMALL}, "a background by a restorer that has a scale"),
        ({"faces": "gpen-256@strength=50"}, "sets strength: set it on the hybrid"),
        ({"background": "lanczos@scale=3"}, "sets scale"),
    ],
)
def test_parts_of_another_kind_are_refused(settings, match):
    with pytest.raises(SettingError, match=match):
        plan_restorer("hybrid", **{**LANCZOS, "faces": SMALL, **settings})


def test_its_work_is_that_of_both_parts():
    plan = plan_restorer("hybrid", faces=SMALL)
    found = plan.spec.work(plan.resolved, 96, 128)
    face, rest = (part.spec.work(part.resolved, 96, 128) for part in plan.parts)
    assert found.operations == face.operations + rest.operations
    assert found.coexisting_bytes == max(face.coexisting_bytes, rest.coexisting_bytes)


def test_two_faces_share_the_ground_between_them():
    left, right = np.eye(3), np.eye(3)
    right[0, 2] = -200  # its centre lies 200 px further right
    mask = np.ones((512, 512), np.float32)
    one, other = faded(mask, left, [right]), faded(mask, right, [left])
    np.testing.assert_array_equal(one[:, 200:400] + other[:, :200] > 0, True)
    both = one[100:400, 200:400] + other[100:400, :200]
    np.testing.assert_allclose(both, 1, atol=0.02)
    centre = round(faces.TEMPLATE.mean(axis=0)[0])
    assert one[300, centre - 50] == 1
    assert one[300, centre + 150] == 0


def test_colour_at_the_border_is_matched_and_detail_is_kept():
    rng = np.random.default_rng(1)
    around = np.full((256, 256, 3), (120, 110, 100), np.uint8)
    detail = rng.integers(-8, 9, (256, 256, 1))
    face = (around + np.array((30, 10, -20)) + detail).astype(np.uint8)
    mask = cv2.GaussianBlur(faces.soft_rectangle()[::2, ::2], (0, 0), 8)
    matched = match_colour(face, around, mask).astype(float)
    np.testing.assert_allclose(matched.mean(axis=(0, 1)), around[0, 0], atol=1.5)
    assert np.corrcoef(matched[..., 1].ravel(), detail.ravel())[0, 1] > 0.97


@pytest.mark.soak
def test_crowds_are_restored_in_one_call_within_bounded_memory(picture):
    names = ["group/family_seven_elderly.jpg", "group/kids_eight.jpg"]
    names += ["gpen_official/solvay/solvay_input.png", "group/crowd_largest_selfie.jpg"]
    restorer = load_restorer(
        "hybrid", faces=SMALL, background="realesrgan-animevideo-x4", memory_mib=2000
    )
    held = []
    for name in [*names, *names[::-1]]:
        image = picture(name)
        made = restorer.restore(image)
        assert made.image.shape[:2] == tuple(2 * side for side in image.shape[:2])
        held.append(psutil.Process().memory_info().rss / 2**20)
    assert max(held) < 2500
    # what the crowd left is all that stays: the same again adds nothing
    assert held[-1] < held[3] + 150
