"""Names are people's: a study of what file systems, tools and languages allow."""

import os
import re
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest
from strangers import CODE, NAMES

from evalkit.paths import file_name
from evalkit.records import RecordStore
from evalkit.tables import IMAGES

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def images(strangers):
    return IMAGES.read(strangers / "tables" / "images.csv")


def test_every_name_is_a_source(images, strangers):
    assert re.fullmatch("s-draft-[0-9a-f]{8}", strangers.name)
    names = {"NA", "相册", "=1+1", "{draft}", "x%0d", "%b2%e2%ca%d4", *CODE}
    assert names <= {*images["source"]}
    faces = images[(images["width_px"] == 64) & (images["height_px"] == 64)]
    assert len(faces) == len(NAMES) + len(CODE)


def test_every_name_has_its_output_and_figure(images, strangers):
    sources = images.loc[images["error"].isna(), "source"]
    records = RecordStore(strangers).read()
    made = records[(records["condition"] == "lanczos") & records["output"].notna()]
    assert {*made["source"]} == {*sources}
    for source in sources:
        assert (strangers / f"outputs/lanczos/{file_name(source)}.png").is_file()
        assert (strangers / f"figures/60_{file_name(source)}.png").is_file()


def test_no_file_has_a_name_that_some_system_lacks_room_for(strangers):
    ours = [path for path in strangers.rglob("*") if ".snakemake" not in path.parts]
    assert max(len(os.fsencode(path.name)) for path in ours) <= 200


def test_every_link_of_the_report_leads_somewhere(strangers):
    report = (strangers / "report.html").read_text(encoding="utf-8")
    links = [unquote(unescape(link)) for link in re.findall(r'href="([^"#]+)"', report)]
    links = [link for link in links if not link.startswith("data:")]
    assert len(links) > len(NAMES) + len(CODE)
    assert not [link for link in links if not Path(strangers, link).exists()]
