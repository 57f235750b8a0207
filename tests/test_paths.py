"""Names of files: whatever a person called a picture, readable and never shared."""

import os
import random
import re

import pytest

from evalkit.paths import MAX_NAME_BYTES, atomic_path, file_name, remove_litter

MARKS = "".join(map(chr, range(32, 127)))
SCRIPTS = "aZ09 éßЖ中文修字아ไทย😀👩‍👩‍👧עברית\u202e\u0301"
RAW = "\x00\x01\t\n\r\x1b\x7f\x85\udc80\udcff"
DEVICES = ["con", "NUL", "aux.txt", "Com1", "lpt9.x.y", "COM¹", "PRN ", "nul .png"]


def random_names(n_names: int) -> list[str]:
    chance = random.Random(0)
    letters = MARKS * 2 + SCRIPTS * 3 + RAW
    names = {
        "".join(chance.choices(letters, k=chance.choice((1, 2, 3, 9, 60, 200))))
        for _ in range(n_names)
    }
    # neighbours: what differs in one mark, in case, or far behind where it is cut
    names |= {name.replace("/", "\\") for name in names}
    names |= {name + end for name in list(names)[:999] for end in ("a", "b", ".", " ")}
    # and names that look like those that are made
    names |= {file_name(name) for name in names}
    return sorted({*names, *DEVICES})


def test_no_two_names_share_a_file_and_every_file_system_takes_it():
    names = random_names(5000)
    files = [file_name(name) for name in names]
    assert len(set(files)) == len(names)
    for file in files:
        assert 0 < len(file.encode()) <= MAX_NAME_BYTES  # valid UTF-8, too
        assert not re.search(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|]', file)
        assert not re.search(r"^\.|[. ]$", file)
        stem = file.partition(".")[0].rstrip().upper()
        assert not re.fullmatch(r"CON|PRN|AUX|NUL|(COM|LPT)[0-9¹²³]", stem)


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "相册 2020",
        "😀",
        "IMG’",
        "{draft} $HOME 100% #1 [x] 'q' `;&",
        "-x",
        "=1+1",
    ],
)
def test_a_legal_name_is_kept_as_it_is(name):
    assert file_name(name) == name


def test_a_changed_name_stays_readable():
    assert re.fullmatch(
        r"outputs__home_相册~[0-9a-f]{8}", file_name("outputs:/home/相册")
    )
    assert re.fullmatch(r"修{53}~[0-9a-f]{8}", file_name("修" * 85))
    assert re.fullmatch(r"_NUL~[0-9a-f]{8}", file_name("NUL"))


def test_a_file_of_any_legal_name_is_written_whole_or_not_at_all(tmp_path):
    for name in ("修" * 83 + ".png", "a" * 255, "a." + "b" * 253):
        path = tmp_path / name
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"new")
        assert path.read_bytes() == b"new"


def test_what_a_dead_process_left_is_removed_and_what_a_live_one_writes_is_not(
    tmp_path,
):
    child = os.fork()
    if not child:
        for name in ("sub/20_restore-x.ipynb", "a.png"):
            with atomic_path(tmp_path / name) as temporary:
                if name == "a.png":
                    os._exit(0)  # as kill -9 does: nothing is cleaned up
                temporary.write_bytes(b"kept")
    os.waitpid(child, 0)
    with atomic_path(tmp_path / "mine.csv") as mine:
        assert len([*tmp_path.glob(".*")]) == 2
        remove_litter(tmp_path)
        assert [*tmp_path.glob(".*")] == [mine]
    assert (tmp_path / "sub/20_restore-x.ipynb").read_bytes() == b"kept"
