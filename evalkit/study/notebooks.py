"""Notebooks executed by papermill, strictly; as a program, the Snakefile's step."""

import atexit
import gc
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from traitlets.config import Config

from evalkit.errors import EvalkitError, StudyError
from evalkit.errors.one_line import errors_in_a_line
from evalkit.imports import without_collector
from evalkit.paths import atomic_path, point
from evalkit.profiling.parents import die_with_parent
from evalkit.study.parameters import check_parameters, notebook_path
from evalkit.study.progress import STEP, tell_progress

KERNELS = Config(
    {
        "KernelManager": {"transport_encryption": "auto"},
        "NotebookClient": {
            "shutdown_kernel": "immediate",
            "extra_arguments": ["--log-level=ERROR"],
        },
    }
)
"""TCP between papermill and a kernel: parallel runs clash over IPC sockets (papermill
#511); encrypted where the kernel can, since any local user may connect. What a kernel
has to keep is on the disk before its last cell ends: no need to wait for its leave.
One whose parent was stopped would say so, after the line that ends the study."""


FIRST_STEP = "10_images"
"""Once its notebook has run, a study has pictures: ``latest`` may point at it."""

STEP_OF = ("condition", "network", "part")
"""The parameters that tell apart the steps of one notebook."""


@contextmanager
def without_grammars() -> Iterator[None]:
    """Import papermill without what no notebook of a study needs.

    By way of jsonschema that is a grammar of addresses, for 0.8 s in every step, and
    pyarrow, for Hadoop's files, 0.2 s; both go on without. Here they are as before.
    """
    hidden = {"rfc3987_syntax", "pyarrow"} - {*sys.modules}
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def run_notebook(
    name: str, output: Path, parameters: dict[str, Any], **engine: Any
) -> None:
    """Execute a notebook by papermill, refusing what it does not declare.

    `engine` goes to nbclient's client, as ``kernel_manager_class``.

    Raises
    ------
    StudyError
        An undeclared parameter, or a cell that failed; the executed notebook is
        kept beside `output` with the suffix ``.failed.ipynb``.
    KeyboardInterrupt
        Ctrl-C reached the kernel, too.

    """
    with without_collector(), without_grammars():
        import papermill

    check_parameters(name, parameters)
    source = notebook_path(name)
    with atomic_path(output) as temporary:
        try:
            papermill.execute_notebook(
                # papermill fills in a path's braces
                *(re.sub("[{}]", r"\g<0>\g<0>", str(p)) for p in (source, temporary)),
                parameters=parameters,
                cwd=str(output.parent),
                kernel_name="python3",
                config=KERNELS,
                progress_bar=False,
                **engine,
            )
        except papermill.PapermillExecutionError as error:
            if error.ename == "KeyboardInterrupt":
                raise KeyboardInterrupt from error
            failed = output.with_suffix(".failed.ipynb")
            temporary.rename(failed)
            raise StudyError(
                f"{name} stopped: {error.ename}: {error.evalue}; see {failed}"
            ) from error
    output.with_suffix(".failed.ipynb").unlink(missing_ok=True)


def point_latest(run_dir: Path) -> None:
    """Let ``latest``, beside the run folder, point at it."""
    point(run_dir.with_name("latest"), run_dir.name)


def run_step(
    name: str, output: Path, parameters: dict[str, Any], **engine: Any
) -> None:
    """Run a notebook and tell its progress; see `evalkit.study.progress`."""
    values = (str(parameters[key]) for key in STEP_OF if key in parameters)
    os.environ[STEP] = " ".join([name, *values])
    # the libraries of a kernel keep to the threads that Snakemake gives a step;
    # OpenCV alone has a variable of its own
    if threads := os.environ.get("OMP_NUM_THREADS"):
        os.environ.setdefault("OPENCV_FOR_THREADS_NUM", threads)
    tell_progress(begins=True)
    try:
        run_notebook(name, output, parameters, **engine)
    except Exception as error:
        is_ours = isinstance(error, EvalkitError)
        tell_progress(error=str(error) if is_ours else f"{name} stopped: {error!r}")
        raise
    if name == FIRST_STEP:
        point_latest(output.parent.parent)
    tell_progress(ends=True)


def main(arguments: list[str], **engine: Any) -> None:
    """Be the program of a step: its name, its output and its parameters as JSON."""
    name, output, parameters = arguments
    with errors_in_a_line():
        run_step(name, Path(output).resolve(), json.loads(parameters), **engine)


if __name__ == "__main__":
    die_with_parent()
    atexit.register(gc.freeze)  # as in `evalkit.cli.main`
    main(sys.argv[1:])
