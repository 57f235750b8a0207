"""Every kind of stimulus of every odd picture; and which of them nobody could judge."""

from pathlib import Path

import oddities
import pandas as pd
import pytest
from PIL import Image

from evalkit.images import resize, write_image
from evalkit.rating import Item, find_unfair, name_stimuli, plan_session, write_stimuli
from evalkit.rating.items import GOLDS, TRAPS
from evalkit.rating.stimuli import keeps_proportions, shown_size


def outputs_of(folder: Path, *names: str) -> pd.DataFrame:
    """Source, anchor, reference, and two systems: one larger, one of rounded sides."""
    rows = []
    for name in names:
        source = oddities.PICTURES[name]()
        height, width = source.shape[:2]
        larger = resize(source, 2 * width, 2 * height)
        # a restorer that rounds to whole pixels
        third = resize(source, max(1, round(width / 3)), max(1, round(height / 3)))
        pictures = {
            ("source", "source"): source,
            ("bicubic", "anchor"): source,
            ("reference", "reference"): source,
            ("double", "system"): larger,
            ("third", "system"): third,
        }
        for (condition, role), picture in pictures.items():
            path = folder / f"{name}-{condition}.png"
            write_image(path, picture)
            row = {"source": name, "condition": condition, "role": role}
            row |= {"width_px": width, "height_px": height, "weights_kind": "none"}
            rows.append(row | {"path": str(path), "picture": f"{name} {condition}"})
    return pd.DataFrame(rows)


@pytest.mark.parametrize("name", oddities.PICTURES)
def test_every_role_can_be_drawn(name, tmp_path):
    outputs = outputs_of(tmp_path, name)
    conditions = ["double", "third", "bicubic", "reference", *GOLDS, *TRAPS]
    items = [
        Item(kind="acr", role="system", source=name, left=condition)
        for condition in conditions
    ]
    items.append(
        Item(kind="ab", role="system", source=name, left="double", right="bicubic")
    )
    stimuli = name_stimuli(outputs, 7)
    write_stimuli(items, outputs, stimuli, tmp_path / "stimuli")
    size = shown_size(*oddities.PICTURES[name]().shape[1::-1])
    files = list((tmp_path / "stimuli").iterdir())
    assert len(files) == len(conditions) + 1 + len(TRAPS)  # in the other language
    assert {Image.open(file).size for file in files} == {size}
    assert len({file.stat().st_size for file in files}) == 1


def test_what_nobody_could_judge_is_left_out_and_the_rest_planned(tmp_path):
    names = [n for n in oddities.PICTURES if "1500" not in n]
    outputs = outputs_of(tmp_path, *names, "banner 1500x18", "banner 18x1500")
    found = find_unfair(outputs)
    whole = {one.source: one.why for one in found if one.condition is None}
    assert "shown at 1280x15 px it would be under 64 px" in whole["banner 1500x18"]
    assert "shown at 4x4 px" in whole["tiny 1x1"]
    for even in ("black", "white", "mid-grey", "transparent", "one colour with alpha"):
        assert whole[even] == "it looks the same under every condition"
    fair = outputs[~outputs["source"].isin(whole)]
    assert {"RGB 8 bit", "grey 16 bit", "checkerboard"} <= set(fair["source"])
    items = plan_session(fair, number=0, seed=7, mode="both", minutes=600)
    assert {item.source for item in items} == set(fair["source"])


def test_one_output_that_is_broken_or_cropped_costs_that_output_only(tmp_path):
    outputs = outputs_of(tmp_path, "RGB 8 bit", "noise")
    (tmp_path / "RGB 8 bit-double.png").write_bytes(b"no picture")
    write_image(tmp_path / "noise-double.png", oddities.PICTURES["tiny 9x9"]())
    first, second = find_unfair(outputs)
    assert first[:2] == ("RGB 8 bit", "double")
    assert second[:2] == ("noise", "double")
    assert "other proportions than its source's, 48x40" in second.why


def test_a_source_that_is_gone_is_left_out(tmp_path):
    outputs = outputs_of(tmp_path, "RGB 8 bit", "noise")
    (tmp_path / "noise-source.png").unlink()
    assert [one.source for one in find_unfair(outputs)] == ["noise"]


@pytest.mark.parametrize(
    ("size", "of_size", "keeps"),
    [
        ((6000, 72), (1500, 18), True),
        ((333, 4), (1000, 11), True),  # 3.66 rounded
        ((1000, 4), (1000, 11), False),
        ((400, 300), (401, 300), True),
        ((400, 300), (440, 300), False),
    ],
)
def test_a_pixel_of_rounding_distorts_nothing(size, of_size, keeps):
    assert keeps_proportions(*size, *of_size) is keeps
