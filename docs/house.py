"""Draw the two pictures of house.md: `python docs/house.py` writes them beside it.

Rooms and arrows come from the imports, rows from the test that holds them.
"""

import runpy
from html import escape
from pathlib import Path
from textwrap import wrap

import networkx as nx

from evalkit.paths import PACKAGE, SHIPPED

DOCS = Path(__file__).resolve().parent
ROOM_PX, ROW_PX, GAP_PX, LEFT_PX = (112, 34), 92, 18, 96
"""A room's width and height, from row to row, from room to room, the rows' names."""

LINE_PX, STEP_PX = 17, 104
HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" width="{0}"
 height="{1}" font-family="DejaVu Sans, Verdana, sans-serif" font-size="13">
<title>{2}</title>
<style>.box {{ fill: #eef3f8; stroke: #3a5a7d }}
.arrow {{ fill: none; stroke: #7a8794 }}
.small {{ font-size: 11.5px; fill: #444 }}</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7"
 markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#7a8794"/></marker></defs>
<rect width="100%" height="100%" fill="white"/>"""

PROCESSES = (
    (
        "make",
        "Makefile",
        "sets up .venv from the lock, then runs one command in a shell",
        "you",
        "Ctrl-C, which reaches the next one, too",
    ),
    (
        "evalkit study",
        "study/launch.py",
        "resolves study.yaml, fetches pictures and weights, locks the run folder, "
        "shows progress",
        "make, or you",
        "Ctrl-C or a kill; the lock is the system's and goes with it",
    ),
    (
        "snakemake",
        "Snakefile",
        "decides which notebooks are out of date, and in which order they run",
        "evalkit study, in a process group of its own",
        "Linux kills it when evalkit ends (PDEATHSIG)",
    ),
    (
        "step",
        "study/notebooks.py",
        "runs one notebook by papermill, with checked parameters, and keeps the "
        "executed copy",
        "snakemake, by a job that lets the study fork it (study/job.py)",
        "its job ends, or the server that it is forked from",
    ),
    (
        "Jupyter kernel",
        "notebooks/, study/runner.py",
        "runs the cells; finds which cells of the study are missing, and writes their "
        "records",
        "the step, by a fork before it does anything else",
        "Linux kills it when the step ends (PDEATHSIG)",
    ),
    (
        "fork server",
        "profiling/_server.py",
        "has imported torch and run nothing; forks, watches and ends workers",
        "the notebook's first cell that needs one; one for each set of libraries",
        "its socket closes, or its parent is another: it asks each second",
    ),
    (
        "worker",
        "profiling/_worker.py",
        "loads one restorer, restores one picture, sends what it measured, ends; "
        "whatever happens to it is a record",
        "the fork server: a fork, or for CUDA a fresh interpreter",
        "Linux kills it when the server ends; the server kills what it left behind",
    ),
)
"""Name, where its code is, what it does, who starts it, what it ends with."""

BESIDE = (
    "Beside the steps: the server that they are forked from (study/forked.py), which "
    "has imported what all need. Beside a worker: the monitor (profiling/_sampler.py), "
    "which samples its memory and the GPU and dies with it; and, under ncnn, the "
    "program that does the work (restorers/ncnn/), which is ended with it."
)


def rooms():
    """The graph of rooms: an arrow to each room that one imports from."""
    house = runpy.run_path(str(SHIPPED / "tests" / "test_architecture.py"))
    graph, row = nx.DiGraph(), house["ROW"]
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if not room.startswith("__"):
            graph.add_node(room)
            others = house["imports"](path) - {room}
            # one that climbs is refused by that test, and would close a circle here
            down = [other for other in sorted(others) if row[other] <= row[room]]
            graph.add_edges_from((room, other) for other in down)
    return graph, [sorted(names & {*graph}) for names in house["ROWS"]]


def _placed(graph, rows):
    """The middle of each room, in px; each row in the order of what it leans on."""
    middle = {}
    longest = max(len(row) for row in rows)
    for number, row in enumerate(rows):

        def leans(room):
            below = [middle[other][0] for other in graph[room] if other in middle]
            return (sum(below) / len(below) if below else 0, room)

        step = ROOM_PX[0] + GAP_PX
        start = LEFT_PX + (longest - len(row)) * step / 2 + step / 2
        y = (len(rows) - number) * ROW_PX - ROW_PX / 2
        for index, room in enumerate(sorted(row, key=leans)):
            middle[room] = (start + index * step, y)
    return middle, LEFT_PX + longest * (ROOM_PX[0] + GAP_PX), len(rows) * ROW_PX


def _text(x, y, text, style="", anchor="start"):
    place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}"'
    return f"<text {place} {style}>{escape(text)}</text>"


def house_svg():
    """The rooms in their rows; an arrow that others imply is left out."""
    graph, rows = rooms()
    rows = [row for row in rows if row]
    middle, width, height = _placed(graph, rows)
    # the golden angle sets neighbours apart
    hues = {room: 137.5 * n % 360 for n, room in enumerate(sorted(graph))}
    parts = [
        HEAD.format(f"{width:g}", height, "The rooms of evalkit and their imports")
    ]
    for room, other in sorted(nx.transitive_reduction(graph).edges):
        (x, y), (to_x, to_y) = middle[room], middle[other]
        y, to_y = y + ROOM_PX[1] / 2, to_y - ROOM_PX[1] / 2
        bend = ROW_PX * 0.4 if to_y > y else ROW_PX * 0.25
        if to_y < y:  # of one row: from below to below
            to_y += ROOM_PX[1]
            path = f"M{x:g} {y:g}C{x:g} {y + bend:g} {to_x:g} {to_y + bend:g}"
        else:
            path = f"M{x:g} {y:g}C{x:g} {y + bend:g} {to_x:g} {to_y - bend:g}"
        parts.append(
            f'<path class="arrow" style="stroke: hsl({hues[room]:g} 55% 42%)" '
            f'marker-end="url(#tip)" d="{path} {to_x:g} {to_y:g}"/>'
        )
    for number, row in enumerate(rows):
        y = middle[row[0]][1] + 5
        parts.append(_text(12, y, f"row {number + 1}", 'class="small"'))
    for room, (x, y) in sorted(middle.items()):
        left, top = x - ROOM_PX[0] / 2, y - ROOM_PX[1] / 2
        parts.append(
            f'<rect class="box" x="{left:g}" y="{top:g}" width="{ROOM_PX[0]}" '
            f'height="{ROOM_PX[1]}" rx="5"/>' + _text(x, y + 5, room, anchor="middle")
        )
    return "\n".join([*parts, "</svg>\n"])


def _lines(x, y, text, n_letters):
    return [
        _text(x, y + LINE_PX * n, line, 'class="small"')
        for n, line in enumerate(wrap(text, n_letters))
    ]


def processes_svg():
    """From `make study` to a restored pixel: who starts whom, what ends with whom."""
    width, height = 1000, STEP_PX * len(PROCESSES) + 100
    parts = [HEAD.format(width, height, "From make study to a restored pixel")]
    columns = ((250, "does"), (545, "started by"), (775, "ends by"))
    parts += [_text(x, 24, name, 'font-weight="bold"') for x, name in columns]
    for number, (name, place, *facts) in enumerate(PROCESSES):
        y = 40 + number * STEP_PX
        parts += [
            f'<rect class="box" x="12" y="{y}" width="212" height="58" rx="5"/>',
            _text(118, y + 25, f"{number + 1} · {name}", anchor="middle"),
            _text(118, y + 44, place, 'class="small"', anchor="middle"),
        ]
        if number:
            start = y - STEP_PX + 58
            parts.append(
                f'<path class="arrow" marker-end="url(#tip)" d="M118 {start}V{y - 1}"/>'
            )
        for (x, _), text, n_letters in zip(columns, facts, (42, 32, 32), strict=True):
            parts += _lines(x, y + 16, text, n_letters)
    parts += _lines(12, height - 54, BESIDE, 145)
    return "\n".join([*parts, "</svg>\n"])


PICTURES = {"house.svg": house_svg, "processes.svg": processes_svg}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (DOCS / name).write_text(draw(), encoding="utf-8")
