"""``evalkit publish``: a run as one archive that may be shown to anybody."""

import json
import os
import re
import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import yaml

from evalkit.archive.bare import bare_copy
from evalkit.archive.scrub import Scrubber
from evalkit.downloads.files import digest
from evalkit.errors import ImageError, StudyError
from evalkit.paths import atomic_path, file_name
from evalkit.study.forgetting import MADE_OF_ANSWERS
from evalkit.study.run_folder import SQLITE, Run, ratings_store, write_text
from evalkit.tables import IMAGES, TEXT, Table
from evalkit.texts import Language, spoken, tell, text

if TYPE_CHECKING:
    from evalkit.rating import Store

KEEP = ("window", "times", "text")
"""What is left out unless asked for: of screens and windows, when people answered, and
what the organiser wrote."""

COPIED = ("environment.json", "timing.json", "crops.json", "records.jsonl")
TABLES, NOTEBOOKS, PICTURES = "tables", "notebooks", "pictures"
FREE_TEXT = {"organiser": "", "question": "quality"}
"""Keys of a study's rating for a person's own words, and what takes their place."""

QUESTIONS = ("quality", "fidelity", "identity")
"""Questions in nobody's own words."""

LEFT_OUT = Table(name="left_out", columns={"what": TEXT, "why": TEXT}, key=("what",))
TEXTS = (".csv", ".html", ".ipynb", ".json", ".jsonl", ".md", ".yaml")
EPOCH = (1980, 1, 1, 0, 0, 0)


def publish(
    run: Run,
    out: Path,
    *,
    keep: Collection[str] = (),
    say: Callable[[str], None] = print,
) -> Path:
    """Write all of a run that may be shown as one ZIP file.

    It holds the study, environment, records, tables, executed notebooks, the report, a
    digest of every file, and the scores of those subjects who agreed to it. Analysis,
    verdicts and report are made anew of these scores alone, so that nobody can reckon
    those of another from them. Pictures whose licence is not known are left out, of the
    report and of notebooks too, and named in ``tables/left_out.csv``.

    Parameters
    ----------
    run
        A finished run.
    out
        The file to write.
    keep
        Any of `KEEP`.
    say
        Gets a line for what is left out.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    StudyError
        The folder is no finished run: it has no report.

    """
    if not (run.path / "report.html").is_file():
        raise StudyError(f"{run.path}: expected a finished run, found no report.html")
    with TemporaryDirectory(dir=run.path.parent, prefix=".publish-") as folder:
        stage = Stage(run, Run(Path(folder) / run.name))
        with _answered(run) as answers:
            stage.copy_pictures()
            stage.copy_texts(keep)
            if answers:
                stage.answer_anew(answers, keep)
            stage.copy_notebooks(is_rated=answers is not None)
            stage.report()
        stage.scrub()
        for what, why in stage.left_out.items():
            told = {"what": why.named(what, spoken()), "why": why.said(spoken())}
            say(tell("publish.left", **told))
        _pack(stage.to.path, out)
    return out


@contextmanager
def _answered(run: Run) -> Iterator["Store | None"]:
    """The store that people answered into; in the block a copy is not taken for it."""
    store = ratings_store(run) if run.has_ratings else None
    is_answered = store is not None and store.progress()["answered"].any()
    url = os.environ.pop("EVALKIT_RATINGS", None)
    try:
        yield store if is_answered else None
    finally:
        if url is not None:
            os.environ["EVALKIT_RATINGS"] = url


class Why(NamedTuple):
    """Why something is left out: a text of the page ``publish``, or an error."""

    key: str
    error: str | None = None
    people: tuple[int, int] | None = None

    def said(self, language: Language) -> str:
        """The reason in a language; an error as it is."""
        return self.error or text(f"publish.{self.key}", language)

    def named(self, what: str, language: Language) -> str:
        """What is left out: a notebook's pictures, people's answers, else `what`."""
        if self.key == "pictures":
            return text("publish.pictures-of", language, name=what)
        if self.people is None:
            return what
        n, total = self.people
        return text("publish.others.name", language, n=n, total=total)


class Stage:
    """The folder that becomes the archive: a run folder of what may be shown."""

    def __init__(self, run: Run, to: Run) -> None:
        self.run, self.to = run, to
        self.left_out: dict[str, Why] = {}
        self.words: set[str] = set()
        self.images = run.read(IMAGES)
        is_licensed = self.images["licence"].notna() & self.images["error"].isna()
        self.licensed = set(self.images.loc[is_licensed, "source"])
        self.shows_all = self.licensed == set(run.usable["source"])

    def copy_pictures(self) -> None:
        """Sources, references and outputs under a licence; their table."""
        images = self.images.copy()
        for column in ("path", "reference"):
            images[column] = [
                self._picture(row, column) for row in images.to_dict("records")
            ]
        self.to.write(IMAGES, images)
        made = self.run.at_hand("quality")
        made = made[(made["outcome"] == "ok") & made["output"].notna()]
        made = made[made["source"].isin(self.licensed)]
        for row in made.itertuples():
            if row.weights_kind == "random":
                self.left_out[row.output] = Why("random")
            elif (file := self.run.path / row.output).is_file():
                target = (self.to.path / row.output).with_suffix("")
                target.parent.mkdir(parents=True, exist_ok=True)
                bare_copy(file, target)

    def _picture(self, row: dict[str, Any], column: str) -> str | None:
        """The copy of a picture's file, or where none is."""
        if pd.isna(row[column]):
            return None
        name = row["source"] + ("" if column == "path" else " (reference)")
        nowhere = f"{PICTURES}/none"
        if row["source"] not in self.licensed:
            self.left_out[name] = Why(
                "licence", None if pd.isna(row["error"]) else row["error"]
            )
            return nowhere
        target = self.to.path / PICTURES / file_name(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            return str(bare_copy(Path(row[column]), target))
        except (ImageError, OSError):
            self.left_out[name] = Why("file")
            return nowhere

    def copy_texts(self, keep: Collection[str]) -> None:
        """Study, environment, records, tables; figures if every picture is licensed."""
        for name in COPIED:
            if (file := self.run.path / name).is_file():
                self._copy(file)
        study = self.run.study
        if "text" not in keep:
            rating = study.get("rating") or {}
            unsaid = {k: v for k, v in FREE_TEXT.items() if k in rating}
            study["rating"] = rating | unsaid
            self.words = {str(rating[key]) for key in unsaid} - {"", *QUESTIONS}
        text = yaml.safe_dump(study, sort_keys=False, allow_unicode=True)
        write_text(self.to.path / "study.yaml", text)
        for file in sorted((self.run.path / TABLES).glob("*.*")):
            if file.stem != IMAGES.name:
                self._copy(file)
        for file in sorted(self.run.figures.glob("*.*")):
            if self.shows_all:
                self._copy(file)
            else:
                self.left_out[f"figures/{file.name}"] = Why("figure")

    def answer_anew(self, answers: "Store", keep: Collection[str]) -> None:
        """Scores of those who agreed; what is made of answers, of theirs alone."""
        from evalkit.comparisons import analyse_scores
        from evalkit.rating import Store
        from evalkit.rating.publishing import publish_answers
        from evalkit.report import write_verdicts

        for made in MADE_OF_ANSWERS:
            for file in self.to.path.glob(made):
                file.unlink()
                if file.parent.name == "figures":
                    self.left_out[f"figures/{file.name}"] = Why("answers")
        if (plan := self.run.path / "rating" / "plan.json").is_file():
            self._copy(plan)
        copy = Store(self.to.path / SQLITE)
        path = self.to.path / "scores.csv"
        agreed = publish_answers(answers, copy, path, keep)
        if others := agreed.n_subjects - agreed.n_agreed:
            people = (others, agreed.n_subjects)
            self.left_out["answers"] = Why("others", people=people)
        analyse_scores(self.to, say=lambda _: None)
        write_verdicts(self.to.path)

    def copy_notebooks(self, *, is_rated: bool) -> None:
        """Executed notebooks, without those that show answers, or such pictures."""
        for file in sorted((self.run.path / NOTEBOOKS).glob("*.ipynb")):
            name = f"{NOTEBOOKS}/{file.name}"
            if is_rated and name in MADE_OF_ANSWERS:
                self.left_out[name] = Why("pseudonyms")
                continue
            notebook = json.loads(file.read_text(encoding="utf-8"))
            if not self.shows_all and _without_pictures(notebook):
                self.left_out[name] = Why("pictures")
            text = json.dumps(notebook, ensure_ascii=False, indent=1)
            write_text(self.to.path / name, text)

    def report(self) -> None:
        """What is left out, and the report; then what only that needed goes."""
        from evalkit.report import write_report

        left_out = [
            {"what": why.named(what, "en"), "why": why.said("en")}
            for what, why in self.left_out.items()
        ]
        self.to.write(LEFT_OUT, LEFT_OUT.frame(left_out))
        write_report(self.to.path)
        for file in [
            *self.to.path.glob(f"{SQLITE}*"),
            self.to.path / "rating/plan.json",
        ]:
            file.unlink(missing_ok=True)

    def scrub(self) -> None:
        """Take paths, and what the organiser wrote, out of every text."""
        forms = {form(word) for word in self.words for form in (str, escape, _in_json)}
        words = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, forms))})(?!\w)")
        images = Path(str(self.run.study.get("images", "")))
        elsewhere = [images] if images.is_absolute() else []
        conditions = self.run.study.get("conditions") or ()
        scrub = Scrubber([self.run.path, self.to.path], elsewhere, conditions)
        for file in sorted(self.to.path.rglob("*"), reverse=True):
            file = file.rename(file.with_name(scrub(file.name)))
            if file.suffix in TEXTS:
                text = file.read_text(encoding="utf-8")
                text = words.sub("…", scrub(text)) if forms else scrub(text)
                file.write_text(text, encoding="utf-8", newline="")

    def _copy(self, file: Path) -> None:
        target = self.to.path / file.relative_to(self.run.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())


def _in_json(word: str) -> str:
    return json.dumps(word, ensure_ascii=False)[1:-1]


def _without_pictures(notebook: dict[str, Any]) -> bool:
    """Take out outputs that hold a picture; whether there was one."""
    found = False
    for cell in notebook["cells"]:
        outputs = cell.get("outputs", [])
        kept = [
            output
            for output in outputs
            if "data:image/" not in (text := json.dumps(output))
            and '"image/' not in text
        ]
        found |= len(kept) < len(outputs)
        if outputs:
            cell["outputs"] = kept
    return found


def _pack(folder: Path, out: Path) -> None:
    """All files as a ZIP that is the same whenever it is made, with their digests."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path: path.relative_to(folder).as_posix() for path in files}
    lines = [
        f"{digest(path)}  {name}\n"
        for path, name in names.items()
        if not path.name.startswith(".")
    ]
    with (
        atomic_path(out) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for path, name in names.items():
            if not path.name.startswith("."):
                archive.writestr(zipfile.ZipInfo(name, EPOCH), path.read_bytes())
        archive.writestr(zipfile.ZipInfo("SHA256SUMS", EPOCH), "".join(lines))
