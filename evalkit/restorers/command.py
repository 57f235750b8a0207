"""``command:<program {in} {out}>``: other people's restorers, as the program they are.

The program is started by its argument list, without a shell. It runs as the reader,
and may do all that the reader may, so it runs only where the reader names it: on the
command line, or in a study of their own with ``accept: [command]``. Nothing that came
from others, and no request to a service, starts one.
"""

import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from evalkit.downloads.files import digest
from evalkit.errors import EvalkitError, KilledError, OutOfMemoryError, SettingError
from evalkit.images import Picture, picture_files, read_image, write_image
from evalkit.machine.out_of_memory import sign_in
from evalkit.restorers._arguments import whole as whole_argument
from evalkit.restorers._options import Option
from evalkit.restorers._protocol import (
    Context,
    Plan,
    Restorer,
    RestorerSpec,
    Settings,
    stop_if,
)
from evalkit.restorers.outputs import with_dtype

IN, OUT = "{in}", "{out}"
VARIABLE = "EVALKIT_COMMANDS"
"""The commands that the reader has named, in JSON; inherited by a study's processes."""

POLL_S = 0.05
"""How often memory is looked at, and the caller and the clock are asked."""

KILLED = (-9, -15)
"""Exit codes of a process that SIGKILL or SIGTERM ended."""


def accept(texts: Iterable[str]) -> None:
    """Let this process, and those that it starts, run these commands."""
    named = {*_accepted(), *(whole(text) for text in texts)}
    os.environ[VARIABLE] = json.dumps(sorted(named))


def accept_named(names: Iterable[str], say: Callable[[str], None]) -> None:
    """Let the commands among these names of restorers run, and say each of them."""
    texts = [name.partition(":")[2] for name in names if name.startswith("command:")]
    commands = [whole(whole_argument("command", text)) for text in texts]
    for command in commands:
        say(f"accepted, and run for each picture: {command}")
    accept(commands)


def accept_typed(arguments: Iterable[str]) -> None:
    """Let the commands run that stand on a command line of evalkit's."""
    from evalkit.restorers import parse_condition

    values = (argument.removeprefix("--with=") for argument in arguments)
    typed = [parse_condition(v) for v in values if v.startswith("command:")]
    accept(parameters["name"].partition(":")[2] for parameters in typed)


def _accepted() -> list[str]:
    texts: list[str] = json.loads(os.environ.get(VARIABLE, "[]"))
    return texts


def whole(text: str) -> str:
    """The command as it holds in any folder: its program and its files with their path.

    Raises
    ------
    SettingError
        A quote that does not end.

    """
    program, *arguments = _split(text)
    places = [_absolute(argument) for argument in arguments]
    return shlex.join([str(Path(shutil.which(program) or program).absolute()), *places])


def _absolute(argument: str) -> str:
    is_there = not argument.startswith("-") and Path(argument).expanduser().exists()
    return str(Path(argument).expanduser().absolute()) if is_there else argument


def _split(text: str) -> list[str]:
    try:
        arguments = shlex.split(text)
    except ValueError as error:
        raise SettingError(f"command {text!r}: {error}; quote as in a shell") from error
    if not arguments:
        raise SettingError(
            f"command: expected a program and its arguments, {IN} and {OUT} among them"
        )
    return arguments


def shown(argument: str) -> tuple[str, str | None]:
    """The program's stem, of an interpreter with that of its script; see `Shown`."""
    arguments = _split(argument)
    if IN not in argument:
        return argument, None
    names = [Path(arguments[0]).stem]
    names += [Path(a).stem for a in arguments[1:] if Path(a).suffix in (".py", ".sh")]
    return names[min(1, len(names) - 1)], whole(argument)


class Command(Restorer):
    """Starts the program for each picture, in a folder of its own."""

    def _restore(self, image: Picture, context: Context) -> Picture:
        requested = self.plan.requested
        with TemporaryDirectory(prefix="evalkit-command-") as name:
            folder = Path(name).resolve()
            source, output = folder / "source.png", folder / "out" / "output.png"
            output.parent.mkdir()
            with context.watch("write"):
                write_image(source, image)
            arguments = [
                argument.replace(IN, str(source)).replace(OUT, str(output))
                for argument in shlex.split(requested["command"])
            ]
            with context.watch("program"):
                peak_mib = _run(arguments, folder, requested["timeout_s"], context)
            # many programs add to the name, or choose another format
            made = [output] if output.is_file() else picture_files(output.parent)
            if len(made) != 1:
                raise EvalkitError(
                    f"{Path(arguments[0]).name} ended well, and made no picture: "
                    f"expected one at {OUT}, found {len(made)} beside it; "
                    f"{_last_words(folder)}"
                )
            with context.watch("read"):
                restored = with_dtype(read_image(made[0]), image.dtype)
        context.notes.append(
            f"peak memory of the program and what it started: {peak_mib:.0f} MiB"
        )
        context.progress(1, 1)
        return restored


def _run(
    arguments: list[str], folder: Path, timeout_s: float, context: Context
) -> float:
    """Run a program to its end; the most memory that it and its children held, MiB.

    Raises
    ------
    EvalkitError
        It cannot be started, took too long or failed, with its last words.
    OutOfMemoryError, KilledError
        As its last words, or its exit code, say.
    CancelledError
        `cancel` returned true; the program was ended.

    """
    largest_before_mib, peak_mib = _largest_child_mib(), 0.0
    program = Path(arguments[0]).name
    try:
        with (folder / "log").open("wb") as log:
            process = psutil.Popen(
                arguments,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
    except OSError as error:
        raise EvalkitError(
            f"{program} cannot be started: {error.strerror}; give the program's "
            "whole path"
        ) from error
    end_s = time.monotonic() + timeout_s
    try:
        while True:
            peak_mib = max(peak_mib, _resident_mib(process))
            try:
                code = process.wait(POLL_S)
                break
            except psutil.TimeoutExpired:
                stop_if(context.cancel)
            if time.monotonic() > end_s:
                raise EvalkitError(
                    f"{program} had not ended after {timeout_s:g} s, and was "
                    f"ended; timeout_s is the limit; {_last_words(folder)}"
                )
    finally:
        _end(process)
    if code:
        reason = f"{program} ended with exit code {code}; {_last_words(folder)}"
        if sign_in(reason):
            raise OutOfMemoryError(f"out of memory: {reason}")
        raise (KilledError if code in KILLED else EvalkitError)(reason)
    # the kernel misses no peak, but tells only the largest of all children so far
    largest_mib = _largest_child_mib()
    return max(peak_mib, largest_mib if largest_mib > largest_before_mib else 0.0)


def _tree(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return [*process.children(recursive=True), process]
    return []


def _resident_mib(process: psutil.Process) -> float:
    n_bytes = 0
    for member in _tree(process):
        with suppress(psutil.Error):  # it has just ended
            n_bytes += member.memory_info().rss
    return n_bytes / 2**20


def _largest_child_mib() -> float:
    """The largest resident set of a process that has ended, of this one's children."""
    units = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return units * (1 if sys.platform == "darwin" else 1024) / 2**20


def _end(process: psutil.Popen) -> None:
    for member in _tree(process):
        with suppress(psutil.Error):
            member.kill()
    process.wait()


def _last_words(folder: Path) -> str:
    text = (folder / "log").read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"its last words: {' | '.join(lines[-5:]) or 'nothing'}"


def plan(spec: RestorerSpec, settings: Settings) -> Plan:
    """Check the command, and that the reader has named it.

    Raises
    ------
    SettingError
        It does not say where the picture is and where it goes, its program is not
        there, or nobody here has said that it may run.

    """
    text = settings["command"]
    program, *arguments = _split(whole(text))
    if IN not in text or OUT not in text:
        raise SettingError(
            f"{spec.name}: expected {IN} and {OUT} among the arguments, for the "
            f"picture's file and the one that the program writes; found {text} (a "
            "short name means something only in the study that named it)"
        )
    if whole(text) not in _accepted():
        raise SettingError(
            f"{spec.name}:{text} is a program, and runs only where you name it yourself"
            ": by --with of restore or compare, or in your study's own file with "
            "accept: [command]"
        )
    if shutil.which(program) is None:
        raise SettingError(f"{spec.name}: there is no program {program}")
    files = [Path(part) for part in (program, *arguments) if Path(part).is_file()]
    resolved = {
        "command": settings["label"] or shown(text)[0],
        # what it is told, without where things lie on this machine
        "arguments": [Path(a).name if Path(a).is_absolute() else a for a in arguments],
        "files_sha256": [digest(file) for file in files],
        "timeout_s": settings["timeout_s"],
    }
    requested = {**settings, "command": whole(text)}
    return Plan(spec=spec, requested=requested, resolved=resolved)


ENTRIES = (
    RestorerSpec(
        name="command",
        task="whatever the program was made for",
        scale=1,
        citation="the program's own",
        licence="the program's own",
        plan=plan,
        build=Command,
        argument="command",
        shown=shown,
        starts_programs=True,
        options={
            "command": Option(
                default=None,
                is_text=True,
                description=f"a program and its arguments, {IN} and {OUT} among them",
            ),
            "timeout_s": Option(
                default=600,
                low=0.01,
                high=86_400,
                description="seconds after which a picture's program is ended",
            ),
            "label": Option(
                default=None,
                choices=(None,),
                is_text=True,
                description="what it is called in place of the program's name",
            ),
        },
    ),
)
