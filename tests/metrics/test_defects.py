"""Each metric moves with its own defect, and not with the eleven others."""

import runpy
from functools import cache

import cv2
import numpy as np
import pytest
from skimage import data

from evalkit.metrics import metrics
from evalkit.paths import SHIPPED

PROGRAM = runpy.run_path(str(SHIPPED / "benchmarks" / "defects.py"))
PLANTED = {planted.metric: planted for planted in PROGRAM["PLANTED"]}
FEW = ("clean_man_600x900", "street_sign_chinese")
"""A face and text; the slow test takes all."""


@cache
def sources(which):
    crops = PROGRAM["pictures"]()
    return {n: crop for n, crop in crops.items() if n in which} if which else crops


def is_apart(times):
    own = [
        PLANTED[metric].defect.__name__ for metric in times["metric"]
    ] == times.defect
    assert (times["times"][own] >= 1).all(), times[own & (times["times"] < 1)]
    moved = times["times"] >= 1  # null, which is said, is no movement
    assert not moved[~own].any(), times[~own & moved]
    assert own.sum() == len(PLANTED) * times["picture"].nunique()


def test_a_metric_moves_with_its_defect_and_not_with_the_eleven_others(mirror):
    is_apart(PROGRAM["moved"](sources(FEW)))


@pytest.mark.slow
def test_that_holds_for_every_picture(mirror):
    crops = sources(())
    assert len(crops) == 9, "see PROGRAM's pictures"
    is_apart(PROGRAM["moved"](crops))


def test_without_a_mirror_it_holds_for_the_photographs_that_are_carried():
    times = PROGRAM["moved"]({"astronaut": sources(())["astronaut"]})
    is_apart(times)


BARE = ("astronaut", "chelsea")
NOISES = pytest.mark.parametrize("noise", PROGRAM["NOISES"], ids=lambda f: f.__name__)
texture = metrics()["texture_energy"].compute


def are_blind(largest):
    """The limits are those that the defects must pass."""
    assert (largest["halo"] < PLANTED["halo"].threshold).all(), largest
    limit = abs(PLANTED["texture_energy"].threshold)
    assert not (largest["texture_energy"] >= limit).any(), largest
    assert (largest.loc["enlarged"] < 0.01).all()


def test_brightness_contrast_noise_and_clean_enlargement_are_no_outline_no_detail():
    largest = PROGRAM["harmless"]({n: sources(())[n] for n in BARE})
    assert len(largest) == 14
    assert largest.notna().to_numpy().all()  # one of the two always has texture to tell
    assert (largest["halo"] < 0.2 * PLANTED["halo"].threshold).all(), largest
    are_blind(largest)


@pytest.mark.slow
def test_they_are_none_on_every_picture(mirror):
    are_blind(PROGRAM["harmless"](sources(())))


def cup():
    return np.ascontiguousarray(data.coffee()[100:356, 150:406])


def is_no_texture(noise, source):
    noised = noise(source)
    for output, before in ((noised, source), (source, noised)):
        value = texture(output, before)
        assert np.isnan(value) or abs(value) < 1


@NOISES
@pytest.mark.parametrize("name", ["clean_man_600x900", "adele_old_colour"])
def test_no_noise_is_texture(mirror, noise, name):
    """Added or removed; where it hides all texture, null."""
    is_no_texture(noise, sources(())[name])


@NOISES
def test_no_noise_is_texture_on_a_photograph_of_dark_and_bright_places(noise):
    is_no_texture(noise, cup())


@NOISES
def test_texture_is_lost_or_gained_whatever_noise_lies_over_it(noise):
    source = sources(())["chelsea"]
    sharper = 2.5 * source - 1.5 * cv2.GaussianBlur(source, (0, 0), 2)
    waxen, crisp = PROGRAM["plastic"](source), PROGRAM["in_levels"](sharper)
    assert texture(waxen, noise(source)) < -1
    assert texture(crisp, noise(source)) > 1
    assert texture(noise(crisp), source) > 1
    if noise.__name__ != "noisiest":  # which leaves too little to be seen: null
        assert texture(noise(waxen), source) < -1


@NOISES
def test_noise_that_was_removed_is_no_dead_area(mirror, noise):
    source = sources(())["clean_man_600x900"]  # before an even wall
    assert metrics()["dead_area"].compute(source, noise(source)) == 0


@NOISES
def test_noise_without_texture_is_null(noise):
    even = cv2.GaussianBlur(cup(), (0, 0), 24)
    assert np.isnan(texture(noise(even), even))
    assert np.isnan(texture(even, noise(even)))


@pytest.mark.parametrize("name", ["dead_area", "highlights"])
def test_a_share_of_the_picture_is_one_value_at_every_size(name):
    values = []
    for side in (512, 256, 128):
        source = cv2.resize(
            data.astronaut(), (side, side), interpolation=cv2.INTER_AREA
        )
        output = source.copy()
        place = slice(side // 2, side // 2 + side // 8)
        output[place, place] = {"dead_area": 90, "highlights": 250}[name]
        values.append(metrics()[name].compute(output, source))
    assert values == pytest.approx([100 / 64] * 3, rel=0.15)


@pytest.mark.parametrize("level", [0, 60, 128, 255])
def test_a_block_on_even_ground_is_dead_as_large_as_it_is(level):
    ground = np.full((128, 128, 3), 100, np.uint8)
    ground[:, :32] = data.astronaut()[200:328, 100:132]
    output = ground.copy()
    output[40:72, 80:112] = level
    value = metrics()["dead_area"].compute(output, ground)
    assert value == pytest.approx(100 * 32**2 / 128**2, rel=0.05)


def test_whites_that_more_light_burns_are_not_dead():
    source = data.astronaut()[:256, 100:356]
    assert metrics()["dead_area"].compute(PROGRAM["more_contrast"](source), source) == 0


@pytest.mark.parametrize(
    ("name", "lips"),
    [
        ("astronaut", np.s_[120:155, 100:150]),
        ("clean_man_600x900", np.s_[120:150, 95:165]),
        ("adele_old_colour", np.s_[170:215, 90:170]),
    ],
)
def test_lips_that_are_crisper_and_without_noise_are_not_plastic(mirror, name, lips):
    """The noise of the source is not detail that was lost."""
    clean = sources(())[name]
    mask = np.zeros(clean.shape[:2], bool)
    mask[lips] = True
    noise = np.random.default_rng(0).normal(0, 4, clean.shape)
    source = PROGRAM["in_levels"](clean + noise)
    crisper = 1.5 * clean - 0.5 * cv2.GaussianBlur(clean, (0, 0), 2)
    assert texture(PROGRAM["in_levels"](crisper), source, mask=mask) > 0
    assert texture(clean, source, mask=mask) > -1
    waxen = cv2.GaussianBlur(clean, (0, 0), 1.5)
    assert texture(waxen, clean, mask=mask) < -1


def test_hardly_an_edge_and_hardly_any_texture_are_null():
    blurred = cv2.GaussianBlur(data.astronaut()[:256, 100:356], (0, 0), 24)
    assert np.isnan(metrics()["halo"].compute(blurred, blurred))
    assert np.isnan(texture(blurred, blurred))


@pytest.mark.parametrize(("side", "is_known"), [(575, False), (576, True)])
def test_niqe_needs_a_block_for_each_of_its_features(side, is_known, astronaut):
    picture = cv2.resize(astronaut, (side, side), interpolation=cv2.INTER_CUBIC)
    assert np.isnan(metrics()["niqe"].compute(picture)) != is_known
