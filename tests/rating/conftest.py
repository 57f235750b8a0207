"""A small panel of real pictures, and both kinds of store for real."""

import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from skimage import data

from evalkit.rating import Store, name_stimuli, plan_session, write_stimuli

SEED = 7


@pytest.fixture(scope="session")
def outputs(tmp_path_factory) -> pd.DataFrame:
    """4 sources of 48 x 36 px, two systems, the low anchor; half have a reference."""
    folder = tmp_path_factory.mktemp("outputs")
    rows = []
    photographs = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    for number, photograph in enumerate(photographs):
        pristine = Image.fromarray(photograph[40:184, 100:292])
        source = pristine.resize((48, 36), Image.Resampling.BOX)
        pictures = {
            "source": ("source", source),
            "bicubic": ("anchor", source),
            "sharp-x4": ("system", source.resize((192, 144), Image.Resampling.LANCZOS)),
            "soft-x2": ("system", source.resize((96, 72), Image.Resampling.BILINEAR)),
        }
        if number % 2 == 0:
            pictures["reference"] = ("reference", pristine)
        for condition, (role, picture) in pictures.items():
            path = folder / f"{number}-{condition}.png"
            picture.save(path)
            rows.append(
                {
                    "source": f"photo-{number}",
                    "condition": condition,
                    "role": role,
                    "weights_kind": "none",
                    "path": str(path),
                    "picture": hashlib.sha256(np.asarray(picture)).hexdigest(),
                    "width_px": 48,
                    "height_px": 36,
                }
            )
    return pd.DataFrame(rows)


@pytest.fixture
def panel(outputs, tmp_path):
    """``panel(store, n_subjects, **plan)``: planned sessions; the stimuli's folder."""

    def prepare(store: Store, n_subjects: int = 1, **plan) -> Path:
        stimuli = name_stimuli(outputs, SEED)
        shown = []
        for number in range(n_subjects):
            subject = f"s{number + 1:02}"
            assert store.add_subject(subject) == number
            items = plan_session(outputs, number=number, seed=SEED, **plan)
            store.set_plan(subject, items, stimuli)
            shown += items
        write_stimuli(shown, outputs, stimuli, tmp_path / "stimuli")
        return tmp_path / "stimuli"

    return prepare


@pytest.fixture
def answer():
    """``answer(view, value)``: the event that answers the item in sight."""

    def event(view, value=3, attempt=None, **more):
        return {
            "type": "answer",
            "item": view["item"]["id"],
            "attempt": attempt or uuid.uuid4().hex,
            "value": value,
            "seconds": 1.5,
            **more,
        }

    return event


@pytest.fixture
def free_port():
    """``free_port()``: a port of this machine that nobody listens on."""

    def find() -> int:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            return listener.getsockname()[1]

    return find


@pytest.fixture(scope="session")
def cluster():
    """The URL of a PostgreSQL server of our own; None where none is installed."""
    found = shutil.which("initdb")
    if not found:
        yield None
        return
    # PostgreSQL refuses to run as root; pytest's own folders are closed to others
    is_root = os.geteuid() == 0
    user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if is_root else {}
    folder = Path(tempfile.mkdtemp(prefix="evalkit-postgres-"))
    if is_root:
        shutil.chown(folder, "nobody", "nogroup")

    def run(program: str, *arguments: str) -> None:
        command = [
            str(Path(found).with_name(program)),
            "-D",
            str(folder / "data"),
            *arguments,
        ]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command, check=True, cwd=folder, **quiet, **user)

    run("initdb", "--username", "evalkit", "--auth", "trust", "--encoding", "UTF8")
    options = f"-k {folder} -c listen_addresses= -c fsync=off"
    run("pg_ctl", "start", "--wait", "-o", options)
    yield f"postgresql+psycopg://evalkit@/postgres?host={folder}"
    run("pg_ctl", "stop", "--mode", "immediate")
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path, need):
    """``database()``: another `Store` of the same database."""
    if request.param == "sqlite":
        return lambda: Store(tmp_path / "ratings.sqlite")
    url = request.getfixturevalue("cluster")
    need(url, "install PostgreSQL (Debian: apt install postgresql)")
    schema = f"study-{uuid.uuid4().hex}"
    return lambda: Store(url, schema=schema)


@pytest.fixture
def store(database):
    return database()
