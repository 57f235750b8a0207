"""Publish a run in `figures/`, and write the answer of one into both READMEs.

`python docs/readme.py` reads the run folder that the READMEs name. With the path of a
run its tables, records and machine are first put there, without the paths of pictures,
and those of its figures that lie there already are drawn anew; a second path is of
another folder for it, such as `figures/intel-xeon-2c/verdicts`.
"""

import re
import shutil
import sys
from pathlib import Path

from evalkit.article._tables import COMMANDS
from evalkit.report import answer
from evalkit.report._answer import Answer
from evalkit.study.answer_lines import answer_lines
from evalkit.tables import (
    AGREEMENT,
    BACKENDS,
    COST,
    FLOORS,
    IMAGES,
    METRICS,
    PATHOLOGIES,
    VERDICTS,
    Table,
)

CLONE = Path(__file__).resolve().parent.parent
READMES = {"en": CLONE / "README.md", "zh": CLONE / "README.zh-CN.md"}
TABLES = (
    AGREEMENT,
    BACKENDS,
    COMMANDS,
    COST,
    FLOORS,
    METRICS,
    PATHOLOGIES,
    VERDICTS,
)
FILES = ("study.yaml", "environment.json", "records.jsonl")
WIDTH = 88
BLOCK = re.compile(r"(<!-- answer of (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def publish(run: Path, folder: Path) -> None:
    """Take what the answer is made of."""
    (folder / "tables").mkdir(exist_ok=True, parents=True)
    for name in FILES:
        shutil.copy(run / name, folder / name)
    for figure in folder.glob("*.png"):
        shutil.copy(run / "figures" / figure.name, figure)
    for table in TABLES:
        if table.path(run / "tables").is_file():
            table.write(read(table, run), folder / "tables")
    images = read(IMAGES, run)
    for column in ("path", "reference"):
        images[column] = images[column].str.rsplit("/", n=1).str[-1]
    IMAGES.write(images, folder / "tables")


def read(table: Table, run: Path):
    """A table of a run."""
    return table.read(table.path(run / "tables"))


def block(published: Answer) -> str:
    """The answer as Markdown; its names are ours."""
    rows = published.frame[published.frame["part"].isin(["label", "answer"])]
    return "\n".join([*answer_lines(rows, WIDTH), ""])


def with_answer(text: str, language: str) -> str:
    """The text of a README with the answer of the run that it names."""
    folder = BLOCK.search(text)[2]
    told = block(answer(CLONE / folder, language=language))
    return BLOCK.sub(lambda found: f"{found[1]}{told}{found[3]}", text)


def main() -> None:
    """Publish, where a run is given; write both READMEs."""
    texts = {la: path.read_text(encoding="utf-8") for la, path in READMES.items()}
    if sys.argv[1:]:
        run, folder, *_ = [*sys.argv[1:], CLONE / BLOCK.search(texts["en"])[2]]
        publish(Path(run), Path(folder))
    for language, path in READMES.items():
        path.write_text(with_answer(texts[language], language), encoding="utf-8")


if __name__ == "__main__":
    main()
