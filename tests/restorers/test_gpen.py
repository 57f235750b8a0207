"""GPEN on pictures; a stand-in for the network where its values do not matter."""

import json
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import psutil
import pytest
import torch
from skimage import data
from skimage.transform import SimilarityTransform

from evalkit import faces
from evalkit.errors import (
    CancelledError,
    OutOfMemoryError,
    OutputRejectedError,
    RandomWeightsWarning,
    SettingError,
    UnknownNameError,
    WeightsError,
)
from evalkit.images import read_image
from evalkit.imports.basicsr import import_basicsr
from evalkit.restorers import load_restorer, plan_restorer, restorers
from evalkit.restorers.engines.torch import Engine, TorchEngine
from evalkit.restorers.gpen import random_generator
from evalkit.weights import find, user_weights

pytestmark = pytest.mark.filterwarnings(
    "ignore::evalkit.errors.RandomWeightsWarning",
    "ignore:.*torch.jit.trace:FutureWarning",
)


class Negative(Engine):
    """In the place of the network: its output is the negative of a face."""

    def __init__(self, *_):
        super().__init__("negative")
        self.batches = []

    def start(self, batch, watch):
        self.batches.append(len(batch))
        with watch("network"):
            output = -batch
        return lambda: output


@pytest.fixture
def negative(monkeypatch):
    """Every generator and parser is a `Negative`, always the same."""
    engine = Negative()
    monkeypatch.setattr(
        "evalkit.restorers.gpen.engine_for", lambda *_: (engine, ["a stand-in"])
    )
    return engine


@pytest.fixture
def on_torch(monkeypatch):
    """Background networks run on PyTorch: converting them for one picture is slow."""

    def run(module, *_, **__):
        return TorchEngine(module, "cpu", "fp32"), []

    monkeypatch.setattr("evalkit.restorers.realesrgan.tuned.engine_on_cpu", run)


@pytest.fixture
def large_kids(mirror, need) -> np.ndarray:
    """Eight children with faces of 93 to 139 px, (768, 1024, 3)."""
    paths = [folder / "group/kids_eight.jpg" for folder in mirror]
    found = [path for path in paths if path.is_file()]
    need(found, "group/kids_eight.jpg is not below a folder of EVALKIT_MIRROR")
    need(find("retinaface-mobile0.25"), "EVALKIT_MIRROR holds no retinaface-mobile0.25")
    return read_image(found[0])


@pytest.fixture
def kids(large_kids) -> np.ndarray:
    """The same at half the size."""
    return cv2.resize(large_kids, (512, 384), interpolation=cv2.INTER_AREA)


def around_faces(image, detector="auto"):
    """Where a face may have been pasted, generously."""
    inside = np.zeros(image.shape[:2], bool)
    for face in faces.detect(image, detector=detector):
        _, matrix = faces.align(faces.as_rgb8(image), face.landmarks, 512)
        square = np.ones((512, 512), np.uint8)
        size = image.shape[1], image.shape[0]
        inside |= cv2.warpAffine(square, cv2.invertAffineTransform(matrix), size) > 0
    return inside


def level(image):
    return image.astype(float) / np.iinfo(image.dtype).max


KINDS = {
    "rgb": lambda image: image,
    "grey": lambda image: cv2.cvtColor(image, cv2.COLOR_RGB2GRAY),
    "alpha": lambda image: np.dstack(
        (image, np.arange(image.shape[0] * image.shape[1]).reshape(image.shape[:2]))
    ).astype(np.uint8),
    "16 bit": lambda image: image.astype(np.uint16) * 257 + 3,
    "16 bit grey": lambda image: image[..., 1].astype(np.uint16) * 200,
}
every_kind = pytest.mark.parametrize("kind", KINDS)
both_runners = pytest.mark.parametrize("runner", ["tuned", "upstream"])
every_name = pytest.mark.parametrize(
    "name", ["gpen-256", "gpen-512", "gpen-1024", "gpen-2048"]
)


@every_name
def test_every_size_is_registered_with_its_weights(name):
    spec = restorers()[name]
    assert spec.weights[0] == name.replace("gpen", "gpen-bfr")
    assert spec.scale == 1


@every_name
def test_without_released_weights_the_plan_says_random_first(name, monkeypatch):
    monkeypatch.delenv("EVALKIT_MIRROR", raising=False)
    plan = plan_restorer(name)
    assert plan.weights_kind == "random"
    assert plan.weights[0].path is None
    assert plan.notes[0].startswith("RANDOM weights")
    assert f"evalkit weights fetch {plan.weights[0].name}" in plan.notes[0]
    assert any("retinaface-r50" in note for note in plan.notes)
    assert any("soft rectangle" in note for note in plan.notes)


def test_random_weights_are_warned_of_and_noted_first(astronaut, negative):
    with pytest.warns(RandomWeightsWarning, match="noise"):
        restorer = load_restorer("gpen-256")
    result = restorer.restore(astronaut)
    assert restorer.weights_kind == "random"
    assert result.notes[0].startswith("RANDOM weights")


def test_random_weights_can_be_asked_for(negative):
    plan = plan_restorer("gpen-512", weights="random")
    assert plan.weights_kind == "random"
    assert "weights='random'" in plan.notes[0]


@pytest.mark.slow
@pytest.mark.filterwarnings("error::evalkit.errors.RandomWeightsWarning")
def test_a_file_of_weights_is_used(astronaut, tmp_path):
    torch.save(random_generator(256, seed=5).state_dict(), tmp_path / "own.pth")
    restorer = load_restorer(
        "gpen-256", weights=str(tmp_path / "own.pth"), runner="upstream"
    )
    assert restorer.weights_kind == "user"
    output = restorer.restore(astronaut, aligned=True).image
    crop = cv2.resize(astronaut, (256, 256))
    batch = torch.from_numpy(crop.transpose(2, 0, 1)[None] / np.float32(127.5) - 1)
    with torch.inference_mode():
        face = random_generator(256, seed=5)(batch)[0].permute(1, 2, 0).numpy()
    expected = (np.clip(face / 2 + 0.5, 0, 1) * 255).astype(np.uint8)
    expected = cv2.resize(expected, (512, 512))
    assert np.abs(output.astype(int) - expected).max() <= 1


def test_a_file_that_is_missing_or_something_else_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="no file"):
        plan_restorer("gpen-256", weights=str(tmp_path / "none.pth"))
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="144 tensors"):
        load_restorer("gpen-256", weights=str(tmp_path / "other.pth"))


def test_parameters_rebuild_the_restorer(negative):
    restorer = load_restorer("gpen-256", strength=50, skin_protection=True)
    told = json.loads(json.dumps(restorer.parameters))
    assert load_restorer(**told).parameters == restorer.parameters


@pytest.mark.parametrize(
    ("option", "value"),
    [("strength", 101), ("strength", "all"), ("background", "blur"), ("detector", "x")],
)
def test_a_value_that_makes_no_sense_is_refused(option, value):
    with pytest.raises(SettingError, match=option):
        plan_restorer("gpen-256", **{option: value})


def test_an_unknown_option_is_refused():
    with pytest.raises(UnknownNameError, match="skin_protection"):
        plan_restorer("gpen-256", skin=True)


@pytest.mark.parametrize("options", [{"precision": "bf16"}, {"skin_protection": True}])
def test_what_upstream_cannot_do_is_refused_for_its_runner(options):
    with pytest.raises(SettingError, match="upstream"):
        plan_restorer("gpen-256", runner="upstream", **options)


@both_runners
def test_only_faces_change(kids, negative, runner):
    result = load_restorer("gpen-256", runner=runner).restore(kids)
    changed = (result.image != kids).any(axis=2)
    inside = around_faces(kids)
    assert changed[inside].mean() > 0.5
    np.testing.assert_array_equal(result.image[~inside], kids[~inside])
    assert "faces found by retinaface-mobile0.25: 8" in result.notes
    assert {"detect", "upload", "network", "download", "blend"} <= set(result.stages_s)


def test_in_the_middle_of_a_face_is_what_the_network_made(kids, negative):
    output = load_restorer("gpen-512").restore(kids).image
    for face in faces.detect(kids):
        x, y = face.landmarks[2].round().astype(int)
        nose = np.s_[y - 3 : y + 4, x - 3 : x + 4]
        assert np.abs(output[nose].mean() - (255 - kids[nose].mean())) < 3


@both_runners
def test_a_picture_without_a_face_comes_back_unchanged(negative, runner):
    seen = []
    result = load_restorer("gpen-256", runner=runner).restore(
        data.rocket(), progress=lambda done, total: seen.append((done, total))
    )
    np.testing.assert_array_equal(result.image, data.rocket())
    assert any(note.startswith("no face found") for note in result.notes)
    assert negative.batches == []
    assert seen == [(1, 1)]


@every_kind
@both_runners
def test_dtype_and_channels_stay(astronaut, negative, kind, runner):
    image = KINDS[kind](astronaut)
    before = image.copy()
    result = load_restorer("gpen-256", runner=runner).restore(image)
    assert result.image.shape == image.shape
    assert result.image.dtype == image.dtype
    np.testing.assert_array_equal(image, before)
    assert (result.image != image).any()
    if kind == "alpha":
        np.testing.assert_array_equal(result.image[..., 3], image[..., 3])
    if kind == "16 bit" and runner == "tuned":
        assert len(np.unique(result.image % 257)) > 100  # more than 8 bits' levels


@every_kind
@pytest.mark.parametrize("aligned", [False, True])
def test_at_strength_0_the_picture_is_the_source(astronaut, negative, kind, aligned):
    image = KINDS[kind](astronaut[20:221, 100:301])
    restorer = load_restorer("gpen-256", strength=0)
    output = restorer.restore(image, aligned=aligned).image
    np.testing.assert_array_equal(output, image)


@both_runners
def test_half_the_strength_is_half_the_way(astronaut, negative, runner):
    image = astronaut[:256, 100:356]
    full, half = (
        load_restorer("gpen-256", runner=runner, strength=strength)
        .restore(image, aligned=True)
        .image
        for strength in (100, 50)
    )
    middle = (level(full) + level(image)) / 2
    assert np.abs(level(half) - middle).max() < 0.02


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 40), (33, 1), (31, 57), (300, 200), (256, 256), (700, 900)]
)
@both_runners
def test_an_aligned_picture_keeps_its_size(negative, shape, runner):
    chance = np.random.default_rng(2)
    image = cv2.resize(chance.integers(0, 256, (9, 9, 3), np.uint8), shape[::-1])
    image = image.reshape(*shape, 3)
    restorer = load_restorer("gpen-256", runner=runner)
    output = restorer.restore(image, aligned=True).image
    assert output.shape == image.shape
    assert np.abs(output + image.astype(int) - 255).mean() < 3


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (257, 1), (15, 900), (131, 77)])
@both_runners
def test_a_picture_too_small_for_a_face_comes_back(negative, shape, runner):
    image = np.full((*shape, 3), 90, np.uint8)
    output = load_restorer("gpen-256", runner=runner).restore(image).image
    np.testing.assert_array_equal(output, image)


def test_progress_counts_faces(kids, negative):
    seen = []
    load_restorer("gpen-256").restore(
        kids, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(done, 8) for done in range(1, 9)]


def test_work_stops_between_faces(kids, negative):
    with pytest.raises(CancelledError):
        load_restorer("gpen-256").restore(
            kids, cancel=lambda: len(negative.batches) == 3
        )
    assert len(negative.batches) == 3


def test_faces_of_a_picture_go_to_the_network_together(kids, negative):
    restorer = load_restorer("gpen-256")
    alone = restorer.restore(kids).image
    restorer.face_restorer.batch = 5
    negative.batches.clear()
    together = restorer.restore(kids).image
    assert negative.batches == [5, 3]
    np.testing.assert_array_equal(together, alone)


class Scanty(Negative):
    """A device whose memory holds two faces."""

    def start(self, batch, watch):
        if len(batch) > 2:
            raise OutOfMemoryError("out of memory")
        return super().start(batch, watch)


def test_fewer_faces_at_a_time_when_memory_runs_out(kids, negative):
    restorer = load_restorer("gpen-256")
    expected = restorer.restore(kids).image
    restorer.face_restorer.batch = 8
    restorer.face_restorer.engine = scanty = Scanty()
    result = restorer.restore(kids)
    np.testing.assert_array_equal(result.image, expected)
    assert scanty.batches == [2, 2, 2, 2]
    assert any("out of memory" in note for note in result.notes)


@pytest.mark.slow
def test_faces_of_several_pictures_go_together_and_each_is_as_alone(astronaut):
    """Of real random weights and small batches; the last picture has no face."""
    pictures = [
        astronaut,
        np.ascontiguousarray(astronaut[:, ::-1]),
        KINDS["16 bit"](astronaut),
        KINDS["grey"](astronaut),
        np.full((90, 70, 3), 9, np.uint8),
    ]
    restorer = load_restorer("gpen-256", runner="tuned", weights="random")
    expected = [restorer.restore(picture) for picture in pictures]
    restorer.face_restorer.batch = 2
    engine, sizes = restorer.face_restorer.engine, []
    start = engine.start

    def counted(batch, watch):
        sizes.append(len(batch))
        return start(batch, watch)

    engine.start, told = counted, []
    made = restorer.restore_batch(pictures, progress=lambda *n: told.append(n))
    assert sizes == [2, 1, 1]  # three of 8 bits, then the one of 16
    assert told == [(4, 5), (5, 5)]  # those of 8 bits end together
    for one, alone in zip(made, expected, strict=True):
        assert one.image.dtype == alone.image.dtype
        off = np.abs(one.image.astype(int) - alone.image.astype(int))
        assert off.max() <= np.iinfo(one.image.dtype).max // 255
        assert one.notes == alone.notes


@pytest.mark.parametrize("aligned", [True, False])
def test_aligned_faces_and_whole_pictures_go_together(astronaut, negative, aligned):
    restorer = load_restorer("gpen-256")
    pictures = [astronaut, astronaut[:, ::-1].copy(), KINDS["alpha"](astronaut)]
    alone = [restorer.restore(picture, aligned=aligned) for picture in pictures]
    n_faces = sum(negative.batches)  # without RetinaFace a picture may have more
    restorer.face_restorer.batch = n_faces
    negative.batches.clear()
    together = restorer.restore_batch(pictures, aligned=aligned)
    assert n_faces >= 3
    assert negative.batches == [n_faces]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one.image, other.image)


class OnceBroken(Negative):
    """A network that overflows at the first face of a batch."""

    def start(self, batch, watch):
        output = -batch
        output[0] = np.nan
        return lambda: output


def test_only_the_face_that_overflows_is_done_again_and_its_picture_told(
    astronaut, negative
):
    restorer = load_restorer("gpen-256")
    pictures = [astronaut, astronaut[:, ::-1].copy()]
    expected = [restorer.restore(one, aligned=True).image for one in pictures]
    restorer.face_restorer.engine, restorer.face_restorer.batch = OnceBroken(), 2
    restorer.face_restorer.in_fp32 = lambda: negative
    negative.batches.clear()
    made = restorer.restore_batch(pictures, aligned=True)
    assert negative.batches == [1]
    told = [any(n.startswith("in fp32") for n in one.notes) for one in made]
    assert told == [True, False]
    for one, wanted in zip(made, expected, strict=True):
        np.testing.assert_array_equal(one.image, wanted)


class Broken(Negative):
    """A network that overflows."""

    def start(self, batch, watch):
        return lambda: np.full_like(batch, np.nan)


def test_a_network_that_overflows_is_run_again_in_fp32(astronaut, negative):
    restorer = load_restorer("gpen-256")
    expected = restorer.restore(astronaut).image
    restorer.face_restorer.engine = Broken()
    restorer.face_restorer.in_fp32 = lambda: negative
    result = restorer.restore(astronaut)
    np.testing.assert_array_equal(result.image, expected)
    assert any(note.startswith("in fp32") for note in result.notes)


def test_a_network_that_fails_in_fp32_is_an_error(astronaut, negative):
    restorer = load_restorer("gpen-256", precision="fp32")
    restorer.face_restorer.engine = Broken()
    with pytest.raises(OutputRejectedError, match="NaN"):
        restorer.restore(astronaut)


def test_two_threads_share_a_restorer(astronaut, kids, negative):
    restorer = load_restorer("gpen-256")
    pictures = [astronaut, kids, astronaut[:, ::-1].copy(), kids[:, ::-1].copy()]
    alone = [restorer.restore(picture).image for picture in pictures]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda p: restorer.restore(p).image, pictures))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_longest_side_over_1200_is_hinted_at(negative):
    restorer = load_restorer("gpen-256")
    for side, is_noted in ((1200, False), (1201, True)):
        notes = restorer.restore(np.zeros((20, side, 3), np.uint8)).notes
        assert any("1200" in note for note in notes) is is_noted


class Recording:
    """A detector that finds nothing and remembers what it was shown."""

    name = "recording"
    weights = None

    def __init__(self):
        self.shapes = []

    def __call__(self, image, confidence):
        self.shapes.append(image.shape[:2])
        return []


@pytest.mark.parametrize(
    ("runner", "expected"),
    [("upstream", [(500, 1000)]), ("tuned", [(750, 1500), (256, 512)])],
)
def test_large_pictures_are_shrunk_before_faces_are_sought(negative, runner, expected):
    restorer = load_restorer("gpen-256", runner=runner)
    restorer._detector = Recording()
    restorer.restore(np.zeros((800, 1600, 3), np.uint8))
    assert restorer._detector.shapes == expected


def as_upstream(image, found, side):
    """What upstream does to a picture, item by item; the network is a negative."""
    height, width = image.shape[:2]
    rectangle = np.zeros((512, 512), np.float32)
    cv2.rectangle(rectangle, (26, 26), (486, 486), 1, -1, cv2.LINE_AA)
    for _ in range(2):
        rectangle = cv2.GaussianBlur(rectangle, (101, 101), 4)
    template = np.array(
        [
            [101.0203, 121.4420],
            [154.7151, 121.1450],
            [128.0384, 151.9796],
            [105.9799, 183.4141],
            [150.4456, 183.1682],
        ]
    )
    weight = np.zeros((height, width), np.float32)
    pasted = np.zeros_like(image)
    for face in found:
        matrix = SimilarityTransform.from_estimate(face.landmarks, template).params
        crop = cv2.warpAffine(image, matrix[:2], (side, side))
        output = 1 - crop.astype(np.float32) / 255
        restored = (np.clip(output, 0, 1) * 255).astype(np.uint8)
        if min(face.box[3] - face.box[1], face.box[2] - face.box[0]) < 100:
            kernel = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
            restored = cv2.filter2D(restored, -1, kernel)
        back = np.linalg.inv(matrix)[:2]
        mask = cv2.warpAffine(cv2.resize(rectangle, (side,) * 2), back, (width, height))
        warped = cv2.warpAffine(restored, back, (width, height))
        wins = mask > weight
        weight[wins], pasted[wins] = mask[wins], warped[wins]
    mixed = image * (1 - weight[..., None]) + pasted * weight[..., None]
    return np.rint(mixed).astype(np.uint8)


def test_the_upstream_runner_does_what_upstream_does(large_kids, negative):
    found = faces.detect(large_kids)
    assert min(face.width for face in found) < 100 < max(face.width for face in found)
    output = load_restorer("gpen-256", runner="upstream").restore(large_kids).image
    expected = as_upstream(large_kids, found, 256)
    difference = np.abs(output.astype(int) - expected)
    assert difference.max() <= 2
    assert (difference > 0).mean() < 0.02


def test_the_tuned_runner_gives_the_picture_of_the_upstream_runner(kids, negative):
    upstream, tuned = (
        load_restorer("gpen-512", runner=runner).restore(kids).image
        for runner in ("upstream", "tuned")
    )
    assert cv2.PSNR(upstream, tuned) > 50


def random_background(path):
    """Weights of GPEN's own background network, random; a stand-in for its file."""
    import_basicsr()
    from basicsr.archs.rrdbnet_arch import RRDBNet

    network = RRDBNet(3, 3, scale=2, num_feat=32, num_block=23, num_grow_ch=32)
    torch.save({"params_ema": network.state_dict()}, path)
    return network.eval()


@both_runners
def test_the_background_is_restored_twice_as_large(
    negative, on_torch, runner, tmp_path, monkeypatch
):
    network = random_background(tmp_path / "realesrnet_x2.pth")
    monkeypatch.setattr(
        "evalkit.restorers.gpen.background.fetch",
        lambda name: user_weights(name, tmp_path / "realesrnet_x2.pth"),
    )
    image = data.coffee()[100:133, 100:141]  # odd sides, no face
    restorer = load_restorer("gpen-256", background="realesrnet", runner=runner, tile=0)
    result = restorer.restore(image)
    planes = torch.from_numpy(image.transpose(2, 0, 1)[None] / np.float32(255))
    with torch.inference_mode():
        padded = torch.nn.functional.pad(planes, (0, 1, 0, 1), mode="reflect")
        expected = network(padded)[0, :, :66, :82].clamp(0, 1).permute(1, 2, 0) * 255
    assert np.abs(result.image - expected.numpy()).max() <= 1
    assert any("background" in note for note in result.notes)


class Doubling:
    """In the place of a background: every pixel four times, in two tiles."""

    def __call__(self, image, call):
        for done in (1, 2):
            call.progress(done, 2)
        return image.repeat(2, axis=0).repeat(2, axis=1)


@both_runners
def test_faces_are_pasted_on_the_background(kids, negative, runner):
    restorer = load_restorer("gpen-256", runner=runner)
    restorer._background, restorer._scale = Doubling(), 2
    seen = []
    output = restorer.restore(kids, progress=lambda *done: seen.append(done)).image
    assert seen == [(done, 10) for done in range(1, 11)]
    doubled = kids.repeat(2, axis=0).repeat(2, axis=1)
    # faces found at another size lie a little elsewhere
    inside = cv2.dilate(around_faces(doubled).astype(np.uint8), np.ones((31, 31))) > 0
    np.testing.assert_array_equal(output[~inside], doubled[~inside])
    for face in faces.detect(doubled):
        x, y = face.landmarks[2].round().astype(int)
        nose = np.s_[y - 3 : y + 4, x - 3 : x + 4]
        assert np.abs(output[nose].mean() - (255 - doubled[nose].mean())) < 6


def test_an_aligned_face_counts_before_its_background(astronaut, negative):
    restorer = load_restorer("gpen-256")
    restorer._background, restorer._scale = Doubling(), 2
    seen = []
    output = restorer.restore(
        astronaut[:100, :60], aligned=True, progress=lambda *done: seen.append(done)
    ).image
    assert output.shape == (200, 120, 3)
    assert seen == [(2, 3), (3, 3)]


@pytest.mark.slow
def test_no_face_on_a_background_is_the_background(negative, on_torch):
    image = data.coffee()[100:132, 100:140]
    restorer = load_restorer("gpen-256", background="realesrgan")
    result = restorer.restore(image)
    expected = load_restorer("realesrgan-x4plus", scale=2).restore(image).image
    np.testing.assert_array_equal(result.image, expected)
    assert any(
        "only the background" in note or "background" in note for note in result.notes
    )


@pytest.mark.parametrize("kind", ["alpha", "16 bit", "grey"])
@pytest.mark.parametrize("aligned", [False, True])
def test_a_background_keeps_dtype_and_channels(astronaut, negative, kind, aligned):
    image = KINDS[kind](np.ascontiguousarray(astronaut[:300:2, 100:400:2]))
    restorer = load_restorer("gpen-256")
    restorer._background, restorer._scale = Doubling(), 2
    output = restorer.restore(image, aligned=aligned).image
    assert output.shape == (300, 300, *image.shape[2:])
    assert output.dtype == image.dtype


def test_a_background_that_cannot_be_had_is_an_error(monkeypatch):
    monkeypatch.delenv("EVALKIT_MIRROR", raising=False)
    with pytest.raises(WeightsError, match="gpen-realesrnet-x2"):
        plan_restorer("gpen-256", background="realesrnet")


def test_skin_protection_keeps_the_colour_of_the_skin(astronaut, negative):
    (face,) = faces.detect(astronaut, detector="cascade")[:1]
    crop, _ = faces.align(astronaut, face.landmarks, 256)
    skin = faces.skin_of(crop, None) > 0.95
    shifts = []
    for skin_protection in (False, True):
        restorer = load_restorer("gpen-256", skin_protection=skin_protection)
        output = restorer.restore(crop, aligned=True).image
        labs = [
            cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[skin]
            for picture in (output, crop)
        ]
        shifts.append(np.linalg.norm(labs[0].mean(axis=0) - labs[1].mean(axis=0)))
    assert shifts[0] > 20
    assert shifts[1] < 1


def test_global_switches_stay_as_they_are(astronaut):
    def flags():
        return torch.is_grad_enabled(), torch.backends.cudnn.benchmark

    before = flags()
    load_restorer("gpen-256", runner="upstream").restore(astronaut)
    assert flags() == before


@pytest.mark.slow
def test_the_engine_of_the_tuned_runner_agrees_with_the_upstream_runner(
    astronaut, shared_cache
):
    upstream, tuned = (
        load_restorer("gpen-256", runner=runner).restore(astronaut)
        for runner in ("upstream", "tuned")
    )
    assert cv2.PSNR(upstream.image, tuned.image) > 45
    assert tuned.stages_s["network"] > 0


@pytest.mark.soak
def test_twenty_switches_do_not_leak(astronaut, shared_cache):
    process = psutil.Process()

    def switch(times):
        for number in range(times):
            name = ("gpen-256", "gpen-512")[number % 2]
            runner = ("tuned", "upstream")[number // 2 % 2]
            load_restorer(name, runner=runner).restore(astronaut, aligned=True)
        return process.memory_info().rss

    before = switch(4)
    assert switch(20) < 1.05 * before


@pytest.mark.gpu
def test_a_gpu_gives_the_picture_of_the_cpu(kids):
    expected = load_restorer("gpen-512", device="cpu", precision="fp32").restore(kids)
    for precision in ("fp32", "fp16", "bf16"):
        restorer = load_restorer("gpen-512", device="cuda", precision=precision)
        output = restorer.restore(kids).image
        assert cv2.PSNR(output, expected.image) > 40
