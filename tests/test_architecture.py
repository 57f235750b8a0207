"""The house of the design: rows, rooms, light imports, modules of readable size."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from evalkit.paths import PACKAGE
from evalkit.restorers.engines.torch import GPU_FILES

ROWS = [
    {"errors", "paths", "discover", "imports", "texts"},
    {"downloads", "machine", "provenance", "tables"},
    {"images", "weights", "records"},
    {"faces", "features", "viewer"},
    {"imagesets", "restorers", "metrics", "profiling", "rating", "stats", "figures"},
    {"study"},
    {"experiments", "comparisons"},
    {"article", "report", "daily", "archive"},
    {"service"},
    {"cli", "__main__"},
]
ROW = {name: row for row, names in enumerate(ROWS) for name in names}
ROW_OF_ROOMS = 4
"""The rooms of the design's row 5 do not know each other; in lower rows one may use
another."""


def imports(path: Path) -> set[str]:
    """The first part behind ``evalkit`` of every import, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {n.split(".")[1] for n in names if n.startswith("evalkit.")}
    return found


def test_arrows_point_down():
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        for other in imports(path) - {room}:
            is_sideways = ROW[other] == ROW[room] == ROW_OF_ROOMS
            if ROW[other] > ROW[room] or is_sideways:
                wrong.append(f"{path.relative_to(PACKAGE)} -> {other}")
    assert not wrong


def test_no_rooms_need_each_other():
    needs: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        needs.setdefault(room, set()).update(imports(path) - {room})
    TopologicalSorter(needs).prepare()  # raises CycleError, which names the circle


ALLOWED = {
    ("records/keys.py", 'for room in ("article", "comparisons", "experiments", '),
    ("study/config.py", 'chosen = "article" if has_cuda else "quick"'),
}
"""The name of a room, and that of an image set."""


def test_outside_its_room_and_the_report_the_article_is_data_only():
    texts = [
        p for p in PACKAGE.rglob("*") if p.suffix not in (".pyc", "") and p.is_file()
    ]
    lines = [
        (path.relative_to(PACKAGE).as_posix(), line.strip())
        for path in texts
        if path.relative_to(PACKAGE).parts[0] not in ("article", "report")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "article" in line.lower()
    ]
    allowed = [
        (path, line)
        for path, line in lines
        if any(path == p and line.startswith(start) for p, start in ALLOWED)
    ]
    assert lines == allowed
    assert len(lines) == len(ALLOWED)


def test_no_private_module_stands_outside_a_room():
    own = {"__init__", "__main__"}
    assert {path.stem for path in PACKAGE.glob("_*.py")} == own


def test_no_module_takes_the_place_of_a_name_of_its_package():
    """Whoever imports the module would change what the name in the package is."""
    wrong = []
    for init in PACKAGE.rglob("__init__.py"):
        modules = {path.stem for path in init.parent.iterdir()}
        tree = ast.parse(init.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {(alias.asname or alias.name) for alias in node.names}
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                names = {node.name}
            else:
                names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            wrong += [f"{init.relative_to(PACKAGE)}: {n}" for n in names & modules]
    assert not wrong


def test_no_module_has_outgrown_one_subject():
    sizes = {
        p: p.read_text(encoding="utf-8").count("\n") for p in PACKAGE.rglob("*.py")
    }
    assert {p.name: n for p, n in sizes.items() if n > 350} == {}


def test_importing_evalkit_takes_under_half_a_second():
    code = "import time as t; a = t.time(); import evalkit; print(t.time() - a)"
    seconds = [
        float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(3)
    ]
    assert min(seconds) < 0.5


def test_importing_evalkit_loads_nothing_heavy():
    code = "import sys, evalkit; print({'torch', 'pandas', 'cv2'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code]).strip() == b"set()"


HEAVY = ("torch", "torchvision", "scipy", "matplotlib", "pydantic", "sqlalchemy", "cv2")
"""None of these is needed by every step, and each takes a part of a second."""

LIGHT = {
    "a study is launched, where there is no driver": (
        "from evalkit.study import run_study; from evalkit.study import launch; "
        "launch._has_cuda()",
        {"torch", "scipy", "matplotlib"},
    ),
    "a step begins and shows what is saved": (
        "from evalkit import figures, study; study.begin; study.restore; figures.show",
        {*HEAVY},
    ),
    "a step has pictures": (
        "from evalkit import study; run = study.open_run(sys.argv[1]); run.study; "
        "from evalkit.study.looks import with_kinds",
        {*HEAVY},
    ),
    "a process is ready for restorers without a network": (
        "from evalkit.restorers import restorers; restorers(); "
        "from evalkit.study import worker",
        {*HEAVY, "pandas"} - {"cv2"},
    ),
    "every experiment is found": (
        "from evalkit.study.experiment import experiments; experiments()",
        {*HEAVY} - {"cv2"},
    ),
    "nobody has rated": (
        "from evalkit import comparisons, study; run = study.open_run(sys.argv[1]); "
        "comparisons.draw_scores(run, comparisons.analyse_scores(run))",
        {"torch", "scipy", "matplotlib"},
    ),
    "claims are judged of a run in which nobody has rated": (
        "from pathlib import Path; from evalkit import article, report; "
        "article.evaluate(Path(sys.argv[1]))",
        {"torch", "scipy", "matplotlib", "sqlalchemy"},
    ),
}


@pytest.mark.parametrize("doing", LIGHT)
def test_what_is_not_needed_is_not_imported(doing, tmp_path):
    code, heavy = LIGHT[doing]
    gpus = [found for name in GPU_FILES for found in Path("/dev").glob(name)]
    if "driver" in doing and gpus:
        pytest.skip("this machine has a driver")
    code = f"import sys; {code}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, check=True
    )
    assert not heavy & {*done.stdout.decode().splitlines()[-1].split()}
