"""A notebook's playground: pictures in, a restorer and its settings, pictures out."""

from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ipywidgets as widgets

from evalkit.comparisons.reasons import in_language
from evalkit.daily.advice import advise
from evalkit.daily.compare import SOURCE, Comparison, View, shown_as
from evalkit.daily.compare_widget import CompareWidget, SaveWidget
from evalkit.daily.fit import Fit, fit_size
from evalkit.daily.journal import Journal
from evalkit.daily.permitted import permitted_plan
from evalkit.daily.restore import Wish, restore_pictures
from evalkit.daily.settings_panel import NARROW, ROW, SettingsPanel
from evalkit.daily.tasks import Task, find_tasks
from evalkit.daily.zipped import zipped
from evalkit.errors import EvalkitError, ImageError, attempt
from evalkit.images import picture_files, read_image
from evalkit.paths import file_name
from evalkit.restorers import Plan, condition_name
from evalkit.texts import Language, text
from evalkit.texts.option import speaking

LANGUAGES: dict[str, Language] = {"English": "en", "中文": "zh"}

LEAST_GIB, MOST_GIB, USUAL_GIB = 0.5, 96.0, 8.0
"""Of a card's memory, on the slider."""


def playground(images: Path | str = "") -> "Playground":
    """Choose pictures, a restorer and its settings, and see what comes out.

    Parameters
    ----------
    images
        A picture, or a folder of some, to begin with; others are uploaded. A file of
        more than 10 MB, which is Jupyter's limit, can come in this way only.

    Returns
    -------
    Playground
        To be shown by a notebook. What is uploaded and made lies in a temporary folder,
        and goes with it.

    Raises
    ------
    ImageError
        There is no such picture or folder.

    """
    given: list[Path] = []
    if images:
        path = Path(images).expanduser()
        if not path.exists():
            raise ImageError(f"{path}: expected a picture or a folder, found nothing")
        given = picture_files(path) if path.is_dir() else [path]
    return Playground(given, TemporaryDirectory(prefix="evalkit-playground-"))


class Playground(widgets.VBox):  # type: ignore[misc]
    """The widgets, by names under which a cell may set them, too.

    Attributes
    ----------
    language, upload, panel, memory, picture
        Chosen by the reader: pictures; restorer and settings; a card's memory, GiB;
        which picture is shown.
    ask, go
        Buttons.
    advice, fitting, said, saved, view
        What is answered.

    """

    def __init__(
        self, given: Sequence[Path], folder: "TemporaryDirectory[str]"
    ) -> None:
        self._given, self._folder, self._count = tuple(given), folder, 0
        self._comparisons: list[Callable[[], Comparison]] = []
        self.language = widgets.ToggleButtons(
            options=LANGUAGES, style={"button_width": "6em"}
        )
        self.upload = widgets.FileUpload(multiple=True, layout={"width": "auto"})
        self.panel = SettingsPanel()
        self.memory = widgets.FloatSlider(
            value=USUAL_GIB,
            min=LEAST_GIB,
            max=MOST_GIB,
            step=LEAST_GIB,
            continuous_update=False,
            style=NARROW,
            layout={"width": "auto", "max_width": "40em"},
        )
        self.picture = widgets.Dropdown(style=NARROW)
        self.ask = widgets.Button(layout={"width": "auto"})
        self.go = widgets.Button(layout={"width": "auto"}, button_style="primary")
        self.caution, self.advice, self.fitting, self.said = (
            widgets.HTML() for _ in range(4)
        )
        self.saved = SaveWidget(name="evalkit.zip")
        self.view = widgets.VBox()
        super().__init__(
            [
                self.language,
                self.caution,
                widgets.Box([self.upload, self.ask], layout=ROW),
                self.advice,
                self.panel,
                self.memory,
                self.fitting,
                widgets.Box([self.go, self.saved], layout=ROW),
                self.said,
                self.picture,
                self.view,
            ]
        )
        self._speak()
        self.ask.on_click(partial(self._tried, self._advise))
        self.go.on_click(partial(self._tried, self._restore))
        for widget, answer in (
            (self.language, self._speak),
            (self.panel.parameters, self._plan),
            (self.memory, self._fit),
        ):
            widget.observe(partial(self._tried, answer), "value")
        self.picture.observe(lambda _: self._show(), "value")

    def pictures(self) -> list[Path]:
        """Write what was uploaded, each into a folder of its own; all pictures.

        Raises
        ------
        ImageError
            There is none.

        """
        sent = []
        for number, upload in enumerate(self.upload.value):
            folder = Path(self._folder.name) / "in" / str(number)
            folder.mkdir(parents=True, exist_ok=True)
            sent.append(folder / file_name(upload.name))
            sent[-1].write_bytes(upload.content)
        if not (self._given or sent):
            raise ImageError(self._t("none"))
        return [*self._given, *sent]

    def _tried(self, work: Callable[[], Any], _: object) -> None:
        """Do what may be refused, and say why it was."""
        self.said.value = ""
        try:
            work()
        except EvalkitError as error:
            self.said.value = escape(self._t("failed", error=error))

    def _t(self, key: str, **values: object) -> str:
        return text(f"service.{key}", self.language.value, **values)

    def _speak(self) -> None:
        language: Language = self.language.value
        self.caution.value = escape(text("compare.caution", language))
        self.upload.description = text("playground.upload", language)
        self.memory.description = text("playground.memory", language)
        self.picture.description = text("playground.picture", language)
        self.ask.description, self.go.description = self._t("ask"), self._t("go")
        self.saved.label = self._t("zip")
        self.panel.speak(language)
        self.advice.value = self.fitting.value = ""  # of the other language
        self._show()

    def _plan(self) -> Plan:
        return permitted_plan(self.panel.settings)

    def _advise(self) -> None:
        self.advice.value = ""
        for path in self.pictures():
            advice, why = attempt(partial(advise, path), path.name, lambda _: None)
            said = advice.words(self.language.value) if advice else str(why)
            line = f"{path.name}: {said.replace(str(path), path.name)}"
            reasons = advice.reasons if advice else ()
            noted = (in_language(each, self.language.value) for each in reasons)
            title = escape("\n".join(noted))
            self.advice.value += f'<div title="{title}">{escape(line)}</div>'

    def _fit(self) -> None:
        """Say what fits the memory, of the first picture that can be read."""
        settings, whys = self.panel.settings, []
        for path in self.pictures():
            picture, why = attempt(partial(read_image, path), path.name)
            if picture is not None:
                break
            whys.append(str(why).replace(str(path), path.name))
        else:
            raise ImageError("; ".join(whys))
        height, width = picture.shape[:2]
        with speaking(self.language.value):
            fit = Fit(str(settings.get("device", "auto")), 1024 * self.memory.value)
            lines = [*fit_size(fit, (width, height), [condition_name(**settings)])]
        self.fitting.value = f"<pre>{escape(chr(10).join(lines))}</pre>"

    def _restore(self) -> None:
        """Restore all; whatever cannot be is named with its reason."""
        self.saved.content, self.view.children, self.picture.options = b"", (), ()
        plan, paths = self._plan(), self.pictures()
        self._count += 1
        out = Path(self._folder.name) / "out" / str(self._count)
        wish = Wish(paths=paths, out=out, plan=plan)
        say = partial(self._say, paths)
        with speaking(self.language.value):
            restoring = restore_pictures(wish, say=say)
        journal = Journal(out)
        journal.read()
        made = journal.done
        names = [str(row["output"]) for row in made]
        lines = [self._t("sum", n=len(made), failed=len(restoring.failures))]
        say("\n".join([*lines, *restoring.failures]))
        tasks = find_tasks(paths, out, recursive=False, say=say)
        by_title = {task.title: task for task in tasks}
        self._comparisons = [
            partial(_comparison, by_title[row["source"]], out, row) for row in made
        ]
        self.picture.options = [(name, n) for n, name in enumerate(names)]
        if made:
            files = {name: out / name for name in names}
            self.saved.content = b"".join(zipped(files))
            self.picture.value = 0

    def _say(self, paths: Sequence[Path], line: str) -> None:
        """Show what is said of pictures, which are called without their folders."""
        for path in paths:
            line = line.replace(str(path), path.name)
        self.said.value = f"<pre>{escape(line)}</pre>"

    def _show(self) -> None:
        if self.picture.value is not None:
            comparison = self._comparisons[self.picture.value]()
            widget = CompareWidget([comparison], self.language.value)
            self.view.children = (widget,)


def _comparison(task: Task, out: Path, row: dict[str, Any]) -> Comparison:
    """A picture beside what was made of it, by a row of the journal."""
    before = read_image(task.source, page=task.page or 0)
    after = read_image(out / row["output"], max_megapixels=999)
    made = View(
        row["condition"],
        settings=f"{row['seconds']:.3g} s",
        notes=[str(note) for note in row["notes"]],
    )
    views = [shown_as(View(SOURCE), before), shown_as(made, after)]
    return Comparison(name=task.stem, views=views)
