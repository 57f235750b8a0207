"""The contract of a restorer, over all that are registered: a new one is tested too."""

import json
import re

import numpy as np
import pytest

from evalkit.comparisons.reasons import in_language
from evalkit.errors import CancelledError, EvalkitError, ImageError, UnknownNameError
from evalkit.restorers import load_restorer, plan_restorer, restorers
from evalkit.weights import find, registry

pytestmark = pytest.mark.usefixtures("shared_cache")

every_spec = pytest.mark.parametrize("spec", restorers().values(), ids=restorers())


def is_at_hand(spec):
    """No argument, and nothing to download: a package or a mirror has the weights."""
    found = [find(name) for name in spec.weights[:1]]
    return not spec.argument and all(w and w.kind != "released" for w in found)


MARKS = {
    "auto": [pytest.mark.slow],
    "onnx-realesrgan-x4plus-anime": [pytest.mark.soak, pytest.mark.timeout(900)],
    "onnx-realesrgan-x4plus": [pytest.mark.soak, pytest.mark.timeout(900)],
}
"""Loading takes 20 s, 50 s and two minutes; smaller networks keep the contract."""

every_restorer = pytest.mark.parametrize(
    "restorer",
    [
        pytest.param(name, marks=MARKS.get(name, []))
        for name, spec in restorers().items()
        if is_at_hand(spec)
    ],
    indirect=True,
)


@pytest.fixture(scope="module")
def loaded():
    """By name, so that each is loaded once."""
    return {}


@pytest.fixture
def restorer(request, loaded, need):
    name = request.param
    if name not in loaded:
        try:
            loaded[name] = load_restorer(name)
        except EvalkitError as error:  # an extra, or a library of the system
            loaded[name] = str(error)
    need(not isinstance(loaded[name], str), loaded[name])
    return loaded[name]


@pytest.fixture
def image():
    """(11, 13, 3), even and with an edge."""
    image = np.full((11, 13, 3), (90, 120, 150), np.uint8)
    image[:, 6:] += 60
    return image


@every_spec
def test_the_facts_are_complete(spec):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", spec.name)
    assert spec.task
    assert spec.citation
    assert spec.licence
    assert spec.scale >= 1
    assert set(spec.weights) <= set(registry())


@every_spec
def test_every_option_has_a_description_and_takes_its_own_default(spec):
    for name, option in spec.all_options.items():
        assert option.description
        if name != spec.argument:
            option.check(name, option.default)


@every_spec
def test_an_unknown_option_is_refused_and_the_known_are_named(spec, tmp_path):
    name = f"{spec.name}:{tmp_path}" if spec.argument else spec.name
    with pytest.raises(UnknownNameError, match="'colour'") as caught:
        plan_restorer(name, colour="red")
    assert all(option in str(caught.value) for option in spec.all_options)


@every_restorer
@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        lambda image: image[..., 0],
        lambda image: np.dstack([image, image[..., :1]]),
        lambda image: image.astype(np.uint16) * 257,
        lambda image: image[:1, :1],
    ],
    ids=["colour", "grey", "alpha", "16-bit", "1x1"],
)
def test_the_output_has_the_promised_size_and_the_sources_dtype(
    restorer, image, change
):
    source = change(image)
    made = restorer.restore(source)
    height, width = (restorer.plan.spec.scale * side for side in source.shape[:2])
    assert made.image.shape == (height, width, *source.shape[2:])
    assert made.image.dtype == source.dtype
    assert all(in_language(note, "zh") != note for note in made.notes)
    assert all(seconds >= 0 for seconds in made.stages_s.values())


@every_restorer
def test_the_output_is_the_source_enlarged_and_not_another_picture(restorer, image):
    scale = restorer.plan.spec.scale
    output = restorer.restore(image).image.astype(float)
    small = output.reshape(11, scale, 13, scale, 3).mean(axis=(1, 3))
    assert np.abs(small - image).mean() < 10


@every_restorer
def test_the_same_picture_gives_the_same_output_whatever_came_between(restorer, image):
    first = restorer.restore(image).image.copy()
    restorer.restore(255 - image[:7])
    np.testing.assert_array_equal(restorer.restore(image).image, first)


@every_restorer
def test_the_source_is_left_alone(restorer, image):
    before = image.copy()
    image.flags.writeable = False
    restorer.restore(image)
    np.testing.assert_array_equal(image, before)


@every_restorer
def test_parameters_are_json_and_plan_the_same_again(restorer):
    parameters = json.loads(json.dumps(restorer.parameters))
    assert parameters == restorer.parameters
    assert plan_restorer(**parameters).resolved == restorer.plan.resolved


@every_restorer
@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4), np.uint8),
        "a.png",
    ],
    ids=["float", "two channels", "empty", "path"],
)
def test_what_is_no_picture_is_refused(restorer, wrong):
    with pytest.raises(ImageError, match="expected"):
        restorer.restore(wrong)


@every_restorer
def test_it_can_be_cancelled_before_it_begins(restorer, image):
    with pytest.raises(CancelledError):
        restorer.restore(image, cancel=lambda: True)


@every_restorer
def test_progress_ends_with_all_done(restorer, image):
    told = []
    restorer.restore(image, progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 0
    assert told == sorted(told)
