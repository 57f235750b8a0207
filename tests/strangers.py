"""One study of all that albums of strangers hold, which several tests look at.

Odd pictures, broken files, every mark of ASCII, names that are code, in a locale
without UTF-8. A study takes a minute, so there is one for all of them.
"""

import json
import os
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from filelock import FileLock
from oddities import write_album
from PIL import Image, PngImagePlugin
from skimage import data

from evalkit.images import write_image

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
MARKS = string.punctuation.replace("/", "")
NAMES = [
    *(b"NA", b"\xb2\xe2\xca\xd4", "修".encode() * 83, b"x\r", b"a\nb", b"\x1b[31m"),
    *("相册".encode(), "\u202eגבר😀".encode(), b"=1+1", b"{draft}", MARKS.encode()),
    b"con",
]
SCRIPT = "document.title=`hacked`"
CODE = [
    f'x"><svg onload={SCRIPT}>y',
    f"<img src=x onerror={SCRIPT}>",
    f"'onmouseover={SCRIPT} x='",
    f"[a](javascript:{SCRIPT})",
    "{{7*7}} $(touch hacked) `touch hacked`",
    "=1+1|a|b",
]
BROKEN_CODE = f"<iframe onload={SCRIPT}> broken"


def write_names(album: Path) -> None:
    """Small faces, each another picture, under all names."""
    face = data.astronaut()[60:124, 190:254]
    for number, name in enumerate(NAMES):
        write_image(album / "made.png", np.roll(face, number, axis=1))
        (album / "made.png").rename(album / os.fsdecode(name + b".png"))
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Description", CODE[0])
    exif = Image.Exif()
    exif[0x010E] = exif[0x013B] = CODE[0]
    for number, name in enumerate(CODE):
        image = Image.fromarray(np.roll(face, 9 * number, axis=0))
        profile = CODE[0].encode()  # broken, and what it says is told in a warning
        image.save(album / f"{name}.png", pnginfo=texts, exif=exif, icc_profile=profile)
    (album / f"{BROKEN_CODE}.png").write_bytes(b"\x89PNG\r\n")


def run_study(folder: Path) -> dict[str, Any]:
    """How the study in `folder` ended: ``code``, ``said``; and its ``run`` folder."""
    album = write_album(folder / f"{{draft}} {MARKS}相册")
    write_names(album)
    outputs = folder / f"{{out}} {MARKS}"
    write_image(outputs / "NA.png", data.astronaut()[60:124, 190:254])
    study = {"name": "s", "conditions": ["lanczos", f"outputs:{outputs}"], "repeats": 1}
    study |= {"rating": {"conditions": ["lanczos"], "subjects": 1}}
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump(study, allow_unicode=True), encoding="utf-8")
    runs = folder / f"{{runs}} {MARKS}"
    done = subprocess.run(
        [sys.executable, "-m", "evalkit.cli", "study", file, "--images", album],
        env={**os.environ, **ASCII, "EVALKIT_RUNS": str(runs)},
        cwd=folder,
        capture_output=True,
        check=False,
        timeout=580,
    )
    said = (done.stdout + done.stderr).decode(errors="replace")
    run = (runs / "latest").resolve()
    return {"code": done.returncode, "said": said, "run": str(run)}


def study_once(folder: Path) -> Path:
    """The run folder of the study, which the first of several processes makes."""
    folder.mkdir(exist_ok=True)
    file = folder / "ended.json"
    with FileLock(folder / "lock"):
        if not file.is_file():
            file.write_text(json.dumps(run_study(folder)), encoding="utf-8")
    ended = json.loads(file.read_text(encoding="utf-8"))
    assert ended["code"] == 0, ended["said"][-3000:]
    return Path(ended["run"])
