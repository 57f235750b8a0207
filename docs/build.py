"""Build the site: guide, the executed notebooks of a run, and the reference.

`python docs/build.py RUN` writes ``docs/_build/html``; without RUN it prints the table
of metrics. Nothing is fetched and nothing is executed but imports.
"""

import importlib
import inspect
import json
import pkgutil
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import evalkit
from evalkit.metrics import metrics
from evalkit.study import Run
from evalkit.study.trial import make_trial
from evalkit.tables import Table

DOCS = Path(__file__).resolve().parent
CLONE = DOCS.parent
SITE = DOCS / "site"
BUILD = DOCS / "_build"
GUIDE = ("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md")
LINKED = ("data", "figures", "CITATION.cff", "LICENSE", "study.yaml")
TRIAL = """Which looks better to you, without knowing what made it? Eight pairs, two
minutes; nothing is sent.

```{raw} html
<iframe class="trial" src="trial.html" title="A blind test of two minutes"></iframe>
<p class="trial"><a href="docs/rating.html">Rate your own album</a></p>
```"""
"""What the first page opens with, where a run has two restorers to compare."""

BETTER = {True: "higher", False: "lower", None: "0, or none"}
OF_PROGRAMS = {"__main__", "cli", "imports"}
"""Rooms that nobody imports from: the commands, and our own importing."""


def metrics_table():
    """Every metric, with what it says: the first line of its docstring."""
    head = ("name", "what", "unit", "better", "needs", "map")
    rows = [head, [":---"] * len(head)]
    rows += [
        (
            f"`{metric.name}`",
            (metric.compute.__doc__ or "-").partition("\n")[0],
            metric.unit or "-",
            BETTER[metric.higher_is_better],
            metric.needs,
            "yes" if metric.where else "",
        )
        for metric in metrics().values()
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def public_names(module):
    """The functions and classes that a module or room offers and has made itself."""
    names = getattr(module, "__all__", None) or dir(module)
    for name in sorted(names):
        thing = inspect.unwrap(getattr(module, name), stop=inspect.isclass)
        is_code = inspect.isfunction(thing) or inspect.isclass(thing)
        is_ours = getattr(thing, "__module__", "").startswith(module.__name__)
        if is_code and is_ours and not name.startswith("_"):
            yield name, "class" if inspect.isclass(thing) else "function"


def reference_page(room):
    """A page in reStructuredText: the room, then all that it offers."""
    module = importlib.import_module(f"evalkit.{room}")
    modules = [module]
    if not [*public_names(module)] or room == "metrics":
        infos = pkgutil.iter_modules(module.__path__)
        modules += [
            importlib.import_module(f"{module.__name__}.{info.name}")
            for info in infos
            if not info.name.startswith("_")
        ]
    lines = []
    for each in modules:
        title = each.__name__
        lines += [title, "=" * len(title), "", f".. automodule:: {title}", ""]
        lines += [f".. currentmodule:: {title}", ""]
        for name, kind in public_names(each):
            lines += [f".. auto{kind}:: {name}", "   :members:" * (kind == "class"), ""]
        for name, table in sorted(vars(each).items()):
            if isinstance(table, Table):
                columns = ", ".join(f"``{column}``" for column in table.columns)
                lines += [f".. rubric:: {name}", "", f"``{table.name}``: {columns}."]
                lines.append("")
    return "\n".join(lines)


def stage(run, folder):
    """Lay out what Sphinx reads, so that links are what they are in the clone."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "notebooks").mkdir(parents=True)
    (folder / "reference").mkdir()
    for name in GUIDE:
        shutil.copy(CLONE / name, folder)
    for name in LINKED:
        copy = shutil.copytree if (CLONE / name).is_dir() else shutil.copy
        copy(CLONE / name, folder / name)
    for page in SITE.glob("*.md"):
        shutil.copy(page, folder)
    (folder / "extra").mkdir()
    has_trial = make_trial(Run(run), folder / "extra" / "trial.html")
    page = folder / "index.md"
    text = page.read_text(encoding="utf-8")
    text = text.replace("<!-- the blind test -->", TRIAL if has_trial else "")
    page.write_text(text, encoding="utf-8")
    (folder / "docs").mkdir()
    for page in [*DOCS.glob("*.md"), *DOCS.glob("*.svg")]:
        shutil.copy(page, folder / "docs")
    page = folder / "docs" / "metrics.md"
    text = page.read_text(encoding="utf-8")
    text = text.replace("<!-- the metrics -->", metrics_table())
    page.write_text(text, encoding="utf-8")
    for table in sorted(folder.glob("figures/*/*.md")):
        title = f"{table.parent.name}: {table.stem}"
        text = table.read_text(encoding="utf-8")
        text = f"---\norphan: true\n---\n\n# {title}\n\n{text}"
        table.write_text(text, encoding="utf-8")
    for notebook in sorted((run / "notebooks").glob("[0-9]*.ipynb")):
        if not notebook.name.endswith(".failed.ipynb"):
            text = without_paths(without_widgets(notebook), run)
            (folder / "notebooks" / notebook.name).write_text(text, encoding="utf-8")
    for info in pkgutil.iter_modules(evalkit.__path__):
        if info.name not in OF_PROGRAMS:
            page = folder / "reference" / f"{info.name}.rst"
            page.write_text(reference_page(info.name), encoding="utf-8")


def without_widgets(path):
    """An executed notebook whose title says of what it is, and that loads no script."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["metadata"].pop("widgets", None)
    _, _, condition = path.stem.partition("-")
    title = notebook["cells"][0]["source"]
    of_what = f" ({condition})" if condition else ""
    title = "".join(title).replace("\n", f"{of_what}\n", 1)
    notebook["cells"][0]["source"] = title
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    return json.dumps(notebook)


def without_paths(text, run):
    """What a notebook says of a run, without where it lay on whose machine."""
    found = run.resolve()
    known = {found: f"runs/{found.name}", found.parent: "runs", Path.home(): "~"}
    for path, name in known.items():
        if path != path.parent:  # a home that is the root, of some containers
            text = text.replace(str(path), name)
    return text


class Links(HTMLParser):
    """What a page links to, loads, and can be linked to by."""

    def __init__(self):
        super().__init__()
        self.targets, self.loaded, self.names = [], [], {"", "top"}

    def handle_starttag(self, tag, attrs):
        """Called by `HTMLParser` for each element."""
        attributes = dict(attrs)
        self.names |= {attributes.get("id"), attributes.get("name")}
        if href := attributes.get("href"):
            (self.targets if tag == "a" else self.loaded).append(href)
        if tag in ("script", "img", "iframe", "video", "source"):
            self.loaded.append(attributes.get("src") or "")


def broken_links(site):
    """Links of the site to nothing, and what its pages load from elsewhere."""
    pages = {}
    for path in sorted({*site.rglob("*.html")} - {*site.glob("_static/**/*.html")}):
        pages[path] = Links()
        pages[path].feed(path.read_text(encoding="utf-8"))
    wrong = []
    for path, links in pages.items():
        for link in links.loaded + links.targets:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in links.loaded and parts.scheme != "data":
                    wrong.append(f"{path.relative_to(site)} loads {link}")
                continue
            target = (path.parent / unquote(parts.path)).resolve()
            target = path if not parts.path else target
            fragment = unquote(parts.fragment)
            if not target.is_file():
                wrong.append(f"{path.relative_to(site)} links to {link}: no such file")
            elif target in pages and fragment not in pages[target].names:
                wrong.append(f"{path.relative_to(site)} links to {link}: no such place")
    return wrong


def main(run):
    """Build the site of a run folder; anything that is not right is an error."""
    if not [*run.glob("notebooks/90_verdict.ipynb")]:
        sys.exit(
            f"expected a finished run with notebooks/90_verdict.ipynb, found none in "
            f"{run}; make one with `make study IMAGES=quick`, or name it: "
            "make docs RUN=runs/<study>"
        )
    from sphinx.cmd.build import main as sphinx_build

    stage(run, BUILD / "source")
    shutil.rmtree(BUILD / "html", ignore_errors=True)
    options = ["-q", "-W", "--keep-going", "-E", "-c", str(SITE)]
    source, site = BUILD / "source", BUILD / "html"
    code = sphinx_build([*options, "-d", str(BUILD / "trees"), str(source), str(site)])
    wrong = broken_links(site) if not code else []
    if code or wrong:
        sys.exit("\n".join(wrong) or code)
    print(f"docs: {site / 'index.html'}")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(metrics_table())
    else:
        main(Path(sys.argv[1]).resolve())
