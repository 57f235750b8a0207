"""Faces on real pictures; geometry against scikit-image; parsing against facexlib."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from skimage.color import rgb2lab
from skimage.transform import SimilarityTransform

from evalkit import faces
from evalkit.errors import ImageError, UnknownNameError, WeightsError
from evalkit.faces.parser import Parser, load_parsenet, run_by_torch
from evalkit.images import read_image
from evalkit.weights import WeightsInUse, find

ASTRONAUT_BOX = (178, 56, 272, 178)  # with these weights, as their register says
PAIRS = [
    "solvay/solvay_face02_in_out.jpg",
    "solvay/solvay_face15_in_out.jpg",
    "solvay/solvay_face18_in_out.jpg",
    "solvay/solvay_face20_in_out.jpg",
    "solvay/solvay_face25_in_out.jpg",
    "selfie_a/selfie_a_face00_in_out.jpg",
    "selfie_exif6/selfie_exif6_face00_in_out.jpg",
    "real_pairs/real_00_in_out.png",
    "real_pairs/real_02_in_out.png",
]


@pytest.fixture
def photograph(mirror, need):
    """``photograph(path)``: a registered picture, read as the study reads it."""

    def read(path: str) -> np.ndarray:
        found = [f / path for f in mirror if (f / path).is_file()]
        need(found, f"{path} is not below a folder of EVALKIT_MIRROR")
        return read_image(found[0])

    return read


@pytest.fixture
def retinaface(mirror, need):
    need(
        find("retinaface-mobile0.25"),
        "EVALKIT_MIRROR holds no retinaface-mobile0.25",
    )
    return "retinaface-mobile0.25"


@pytest.fixture
def yunet(mirror, need):
    need(find("yunet"), "EVALKIT_MIRROR holds no yunet")
    return "yunet"


@pytest.fixture
def no_weights(monkeypatch):
    monkeypatch.delenv("EVALKIT_MIRROR", raising=False)


def flags():
    return (
        torch.is_grad_enabled(),
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
        torch.get_num_threads(),
        torch.get_default_dtype(),
    )


def test_the_astronaut_has_one_face(astronaut, retinaface):
    (face,) = faces.detect(astronaut, detector=retinaface)
    assert face.box == pytest.approx(ASTRONAUT_BOX, abs=1)
    assert face.confidence == pytest.approx(0.999, abs=0.001)
    assert face.detector == retinaface


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("gpen_official/solvay/solvay_input.png", 29),
        ("group/kids_eight.jpg", 8),
        ("group/family_seven_elderly.jpg", 7),
        ("mixed/truck_and_house.jpg", 0),
    ],
)
def test_faces_are_as_many_as_people_see(photograph, retinaface, path, count):
    assert len(faces.detect(photograph(path), detector=retinaface)) == count


@pytest.mark.parametrize("detector", ["retinaface-mobile0.25", "yunet"])
@pytest.mark.parametrize(
    "path",
    [
        "gpen_official/selfie_a/selfie_a_input.jpg",
        "gpen_official/selfie_exif6/selfie_exif6_input.jpg",
        "gpen_official/ffhq_val/ffhq_00000_hq.png",
    ],
)
def test_a_face_that_fills_a_large_picture_is_found_once(photograph, detector, path):
    picture = photograph(path)
    (face,) = faces.detect(picture, detector=detector)
    assert face.height > 0.4 * picture.shape[0]


def test_what_is_found_is_what_facexlib_finds(astronaut, retinaface):
    from facexlib.detection.retinaface import RetinaFace

    weights = find(retinaface)
    network = RetinaFace("mobile0.25", device="cpu")
    state = torch.load(weights.path, map_location="cpu", weights_only=True)
    network.load_state_dict({k.removeprefix("module."): v for k, v in state.items()})
    with torch.no_grad():
        (expected,) = network.detect_faces(astronaut[..., ::-1], conf_threshold=0.9)
    (face,) = faces.detect(astronaut, detector=retinaface)
    np.testing.assert_allclose(face.box, expected[:4], atol=0.01)
    np.testing.assert_allclose(face.landmarks.ravel(), expected[5:], atol=0.01)


@pytest.mark.parametrize("detector", ["retinaface-mobile0.25", "yunet", "cascade"])
def test_landmarks_are_in_the_order_of_the_picture(astronaut, mirror, detector):
    face = faces.detect(astronaut, detector=detector)[0]
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


def test_opencv_says_nothing_of_its_own(astronaut, yunet, capfd):
    faces.detect(astronaut, detector=yunet)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("detector", ["yunet", "cascade"])
def test_substitutes_find_the_same_face(astronaut, mirror, detector):
    face = faces.detect(astronaut, detector=detector)[0]
    x0, y0, x1, y1 = face.box
    assert x0 < np.mean(ASTRONAUT_BOX[::2]) < x1
    assert y0 < np.mean(ASTRONAUT_BOX[1::2]) < y1


@pytest.mark.parametrize(
    "change",
    [
        lambda image: cv2.cvtColor(image, cv2.COLOR_RGB2GRAY),
        lambda image: np.dstack((image, np.zeros(image.shape[:2], np.uint8))),
        lambda image: image.astype(np.uint16) * 257,
    ],
    ids=["grey", "transparent", "16 bit"],
)
def test_every_kind_of_picture_is_looked_at(astronaut, retinaface, change):
    (face,) = faces.detect(change(astronaut), detector=retinaface)
    assert face.box == pytest.approx(ASTRONAUT_BOX, abs=3)


def test_boxes_are_in_pixels_of_the_picture_that_was_given(astronaut, retinaface):
    large = cv2.resize(astronaut, None, fx=4, fy=4)
    (face,) = faces.detect(large, detector=retinaface)
    assert np.divide(face.box, 4) == pytest.approx(ASTRONAUT_BOX, abs=4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (40, 2), (17, 16), (20, 2000)])
@pytest.mark.parametrize("detector", ["retinaface-mobile0.25", "yunet", "cascade"])
def test_a_picture_without_room_for_a_face_has_none(mirror, shape, detector):
    assert faces.detect(np.full((*shape, 3), 128, np.uint8), detector=detector) == []


def test_a_picture_of_something_else_has_no_face(retinaface):
    assert faces.detect(data.coffee(), detector=retinaface) == []


def test_what_is_no_picture_is_refused():
    with pytest.raises(ImageError):
        faces.detect(np.zeros((4, 4, 2), np.uint8))


def test_global_switches_stay_as_they_are(astronaut, retinaface):
    before = flags()
    faces.load_detector.cache_clear()
    faces.detect(astronaut, detector=retinaface)
    assert flags() == before


def test_threads_share_a_detector(astronaut, retinaface, yunet):
    pictures = [astronaut, astronaut[:, ::-1].copy(), data.coffee()] * 3
    for detector in (retinaface, yunet):
        find_faces = partial(faces.find_faces, faces.detector(detector))
        alone = [find_faces(picture) for picture in pictures]
        with ThreadPoolExecutor(3) as pool:
            together = list(pool.map(find_faces, pictures))
        assert [[f.box for f in found] for found in together] == [
            [f.box for f in found] for found in alone
        ]


def test_a_detector_is_loaded_once(retinaface):
    assert faces.detector(retinaface) is faces.detector(retinaface)


def test_without_weights_the_cascade_stands_in_and_says_why(astronaut, no_weights):
    name, weights, notes = faces.find_detector()
    assert (name, weights) == ("cascade", None)
    assert "retinaface-r50" in notes[0]
    assert faces.detect(astronaut)[0].detector == "cascade"


def test_a_substitute_that_is_here_is_preferred(retinaface):
    if find("retinaface-r50"):
        pytest.skip("the first choice is here")
    name, weights, notes = faces.find_detector()
    assert name == weights.name == retinaface
    assert "retinaface-r50" in notes[0]


def test_a_detector_that_was_named_has_no_substitute(no_weights):
    with pytest.raises(WeightsError, match="yunet"):
        faces.find_detector("yunet")


def test_an_unknown_detector_is_refused():
    with pytest.raises(UnknownNameError, match="cascade"):
        faces.find_detector("haar")


@pytest.mark.parametrize("name", ["retinaface-mobile0.25", "yunet"])
def test_a_file_that_is_something_else_is_refused(tmp_path, name):
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=name):
        faces.load_detector(name, WeightsInUse(name, path, "0" * 64, "user"))


def test_the_similarity_is_that_of_least_squares():
    chance = np.random.default_rng(1)
    points = chance.normal(size=(5, 2)) * 40 + 300
    targets = chance.normal(size=(5, 2)) * 70
    expected = SimilarityTransform.from_estimate(points, targets).params[:2]
    np.testing.assert_allclose(faces.similarity(points, targets), expected, rtol=1e-9)


def test_a_mirrored_face_is_turned_not_mirrored():
    points = np.array([[0, 0], [10, 0], [5, 5], [1, 10], [9, 10]], float)
    matrix = faces.similarity(points, points * (-1, 1))
    assert np.linalg.det(matrix[:, :2]) > 0


def test_an_aligned_face_lies_on_the_template(astronaut, retinaface):
    (face,) = faces.detect(astronaut, detector=retinaface)
    crop, matrix = faces.align(astronaut, face.landmarks, 256)
    assert crop.shape == (256, 256, 3)
    moved = face.landmarks @ matrix[:, :2].T + matrix[:, 2]
    # upstream's points for its 256 px network; people differ from them
    expected = [(101, 121.4), (154.7, 121.1), (128, 152), (106, 183.4), (150.4, 183.2)]
    assert np.abs(moved - expected).max() < 12
    (again,) = faces.detect(crop, detector=retinaface)
    assert np.abs(again.landmarks - moved).max() < 4


@pytest.mark.parametrize("number", ["02", "15", "18", "20", "25"])
def test_crops_are_those_that_upstream_published(photograph, retinaface, number):
    solvay = faces.as_rgb8(photograph("gpen_official/solvay/solvay_input.png"))
    path = f"gpen_official/solvay/solvay_face{number}_in_out.jpg"
    published = cv2.cvtColor(photograph(path)[:, :512], cv2.COLOR_RGB2GRAY)
    crops = [
        cv2.cvtColor(faces.align(solvay, face.landmarks, 512)[0], cv2.COLOR_RGB2GRAY)
        for face in faces.detect(solvay, detector=retinaface)
    ]
    best = max(crops, key=lambda c: np.corrcoef(c.ravel(), published.ravel())[0, 1])
    start = np.eye(2, 3, dtype=np.float32)
    _, matrix = cv2.findTransformECC(published, best, start, cv2.MOTION_AFFINE)
    # upstream's landmarks come from a larger network, on the picture enlarged
    scale = np.sqrt(np.linalg.det(matrix[:, :2]))
    assert scale == pytest.approx(1, abs=0.04)
    middle = np.array([256, 256])
    assert np.abs(matrix[:, :2] @ middle + matrix[:, 2] - middle).max() < 10


def test_outside_of_the_picture_a_crop_is_black():
    landmarks = faces.TEMPLATE - 256  # the picture's corner in the crop's middle
    crop, _ = faces.align(np.full((300, 300, 3), 200, np.uint8), landmarks, 512)
    assert not crop[:250, :250].any()
    assert (crop[260:500, 260:500] == 200).all()


def test_a_crop_that_is_pasted_back_changes_next_to_nothing(astronaut, retinaface):
    (face,) = faces.detect(astronaut, detector=retinaface)
    crop, matrix = faces.align(astronaut, face.landmarks, 512)
    output = faces.paste(astronaut, [crop], [faces.soft_rectangle()], [matrix])
    assert output.dtype == astronaut.dtype
    assert np.abs(output.astype(int) - astronaut).mean() < 0.5
    far = np.ones(astronaut.shape[:2], bool)
    far[:260, 100:350] = False
    np.testing.assert_array_equal(output[far], astronaut[far])


def test_where_faces_overlap_the_larger_mask_wins():
    background = np.zeros((40, 40, 3), np.uint16)
    masks = [np.full((40, 40), share, np.float32) for share in (0.25, 0.5, 0.25)]
    pictures = [np.full((40, 40, 3), n * 1000, np.uint16) for n in (1, 2, 3)]
    here = np.array([[1, 0, 0], [0, 1, 0]], float)
    output = faces.paste(background, pictures, masks, [here] * 3)
    assert (output[5:35, 5:35] == 1000).all()  # half of 2000


def test_a_face_beyond_the_border_is_cut_off():
    background = np.zeros((50, 60, 3), np.uint8)
    face, mask = np.full((30, 30, 3), 100, np.uint8), np.ones((30, 30), np.float32)
    shifts = [(-45, -30), (20, 10), (500, 500)]
    matrices = [np.array([[1, 0, x], [0, 1, y]], float) for x, y in shifts]
    output = faces.paste(background, [face] * 3, [mask] * 3, matrices)
    assert (output[32:, 47:] == 100).all()
    assert (output[:18, :8] == 100).all()
    assert not output[22:28].any()


def test_the_soft_rectangle_ends_before_the_border():
    mask = faces.soft_rectangle()
    assert mask.shape == (512, 512)
    assert mask[256, 256] == pytest.approx(1)
    assert mask[26, 256] == pytest.approx(0.5, abs=0.05)  # the middle of its edge
    assert mask[:4].max() < 0.01


def test_background_hat_and_clothes_are_not_pasted():
    classes = np.repeat(np.arange(16, dtype=np.uint8), 32)[:, None].repeat(512, axis=1)
    mask = faces.parsed_mask(classes)
    middles = mask[16::32, 256]
    assert middles[0] < 0.3
    assert (middles[2:13] > 0.99).all()
    assert middles[14] < 0.3


@pytest.fixture(scope="module")
def random_parser(tmp_path_factory):
    """ParseNet with random weights, and a file of them."""
    from facexlib.parsing.parsenet import ParseNet

    network = ParseNet(in_size=512, out_size=512, parsing_ch=19).eval()
    chance = torch.Generator().manual_seed(4)
    for name, tensor in network.state_dict().items():
        if name.endswith("conv2d.bias"):
            tensor.normal_(generator=chance)
        elif tensor.ndim == 4:
            deviation = (2 / tensor[0].numel()) ** 0.5
            tensor.normal_(std=deviation, generator=chance)
    path = tmp_path_factory.mktemp("parser") / "parsenet.pth"
    torch.save(network.state_dict(), path)
    return network, WeightsInUse("parsenet", path, None, "user")


def test_parsing_is_facexlibs_parsing(astronaut, random_parser, monkeypatch):
    network, weights = random_parser
    monkeypatch.setattr(faces, "fetch", lambda name: weights)
    faces.load_parser(weights)
    monkeypatch.setattr("evalkit.faces.parser.SIDE", 128)  # 512 takes 16 times as long
    pixels = cv2.resize(astronaut, (128, 128)) / 255.0 * 2 - 1
    with torch.no_grad():
        batch = torch.from_numpy(pixels.transpose(2, 0, 1)[None]).float()
        expected = network(batch)[0][0].argmax(0).numpy()
    classes = faces.parse(astronaut)[2::4, 2::4]
    assert classes.dtype == np.uint8
    assert len(np.unique(expected)) > 5
    assert np.mean(classes == expected) > 0.9999


class Quarters(torch.nn.Module):
    """Class 1 in the upper left quarter, 13 elsewhere."""

    def forward(self, x):
        scores = torch.zeros(len(x), 19, 512, 512)
        scores[:, 13] = 1
        scores[:, 1, :256, :256] = 2
        return scores


def test_the_map_has_the_pictures_size(monkeypatch):
    parser = Parser(run_by_torch(Quarters()))
    monkeypatch.setattr(faces, "fetch", lambda name: name)
    monkeypatch.setattr(faces, "load_parser", lambda name: parser)
    classes = faces.parse(np.zeros((50, 30), np.uint16))
    assert classes.shape == (50, 30)
    assert (classes[:25, :15] == faces.CLASSES.index("skin")).all()
    assert (classes[25:] == faces.CLASSES.index("hair")).all()


def test_without_parsenet_it_is_said_what_to_do(astronaut, no_weights):
    with pytest.raises(WeightsError, match="parsing_parsenet"):
        faces.parse(astronaut)


def test_a_file_that_is_no_parsenet_is_refused(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "weights.pth")
    found = WeightsInUse("parsenet", tmp_path / "weights.pth", None, "user")
    with pytest.raises(WeightsError, match="no ParseNet"):
        load_parsenet(found)


def mean_shift(output: np.ndarray, source: np.ndarray, skin: np.ndarray) -> float:
    """Distance of the mean colours in CIE Lab, scikit-image's."""
    change = rgb2lab(output)[skin].mean(axis=0) - rgb2lab(source)[skin].mean(axis=0)
    return float(np.linalg.norm(change))


def detail(picture: np.ndarray) -> np.ndarray:
    lightness = rgb2lab(picture)[..., 0].astype(np.float32)
    return lightness - cv2.GaussianBlur(lightness, (0, 0), len(picture) / 64)


@pytest.mark.parametrize("path", PAIRS)
def test_protected_skin_keeps_colour_and_detail(photograph, path):
    both = photograph(f"gpen_official/{path}").astype(np.float32) / 255
    side = len(both)
    source, restored = both[:, :side].copy(), both[:, side:].copy()
    skin = faces.skin_of(np.rint(source * 255).astype(np.uint8), None)
    output = faces.protect_skin(source, restored, skin)
    inside = skin > 0.9
    assert mean_shift(output, source, inside) < 1
    correlation = np.corrcoef(detail(output)[inside], detail(restored)[inside])[0, 1]
    assert correlation > 0.98
    np.testing.assert_array_equal(output[skin == 0], restored[skin == 0])


def test_skin_is_found_where_the_face_is(astronaut, retinaface):
    found = faces.detect(astronaut, detector=retinaface)
    skin, notes = faces.skin_mask(astronaut, found)
    assert skin.shape == astronaut.shape[:2]
    cheek = found[0].landmarks[[2, 3]].mean(axis=0).round().astype(int)
    assert skin[cheek[1], cheek[0]] > 0.9
    assert skin[300:].max() == 0
    if not find("parsenet"):
        assert "ParseNet" in notes[0]


def test_skin_by_parsenet_is_skin_nose_ears_and_neck():
    classes = np.repeat(np.arange(19, dtype=np.uint8), 20)[:, None].repeat(380, axis=1)
    skin = faces.skin_of(np.zeros((380, 380, 3), np.uint8), classes)
    told = {faces.CLASSES[n] for n in range(19) if skin[20 * n + 10, 190] > 0.5}
    assert told == {"skin", "nose", "left ear", "right ear", "neck"}


def test_weights_are_told_apart_by_their_bytes(retinaface):
    weights = find(retinaface)
    assert weights.sha256 == hashlib.sha256(Path(weights.path).read_bytes()).hexdigest()
    assert faces.detector(retinaface).weights == weights
