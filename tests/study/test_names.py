"""Names are people's: one study of what file systems, tools and languages allow."""

import os
import re
import string
import subprocess
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import yaml
from skimage import data

from evalkit.images import write_image
from evalkit.paths import file_name, runs_dir
from evalkit.records import RecordStore
from evalkit.tables import IMAGES

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
MARKS = string.punctuation.replace("/", "")
NAMES = [
    *(b"NA", b"\xb2\xe2\xca\xd4", "修".encode() * 83, b"x\r", b"a\nb", b"\x1b[31m"),
    *(
        "相册".encode(),
        "\u202eגבר😀".encode(),
        b"=1+1",
        b"{draft}",
        MARKS.encode(),
        b"con",
    ),
]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_of_any_names_ends_in_any_locale(tmp_path, monkeypatch):
    """Pictures, their folder, that of outputs, that of runs: every mark of ASCII."""
    album = tmp_path / f"{{draft}} {MARKS}相册"
    face = data.astronaut()[60:124, 190:254]
    for number, name in enumerate(NAMES):
        write_image(album / "made.png", np.roll(face, number, axis=1))
        (album / "made.png").rename(album / os.fsdecode(name + b".png"))
    outputs = tmp_path / f"{{out}} {MARKS}"
    write_image(outputs / "NA.png", face)
    monkeypatch.setenv("EVALKIT_RUNS", str(tmp_path / f"{{runs}} {MARKS}"))
    study = {"name": "s", "conditions": ["lanczos", f"outputs:{outputs}"], "repeats": 1}
    study |= {"rating": {"conditions": ["lanczos"], "subjects": 1}}
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(study, allow_unicode=True), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "evalkit.cli", "study", file, "--images", album],
        env={**os.environ, **ASCII},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    run = (runs_dir() / "latest").resolve()
    assert re.fullmatch("s-draft-[0-9a-f]{8}", run.name)
    sources = IMAGES.read(run / "tables" / "images.csv")["source"].tolist()
    assert {"NA", "相册", "=1+1", "{draft}", "x%0d", "%b2%e2%ca%d4"} <= {*sources}
    records = RecordStore(run).read()
    made = records[(records["condition"] == "lanczos") & records["output"].notna()]
    assert {*made["source"]} == {*sources}
    assert len(sources) == len(NAMES)
    for source in sources:
        assert (run / f"outputs/lanczos/{file_name(source)}.png").is_file()
        assert (run / f"figures/60_{file_name(source)}.png").is_file()
    ours = [p for p in run.rglob("*") if ".snakemake" not in p.parts]
    longest = max(len(os.fsencode(path.name)) for path in ours)
    assert longest <= 200
    report = (run / "report.html").read_text(encoding="utf-8")
    links = [unquote(unescape(link)) for link in re.findall(r'href="([^"#]+)"', report)]
    links = [link for link in links if not link.startswith("data:")]
    assert len(links) > len(NAMES)
    assert not [link for link in links if not Path(run, link).exists()]
