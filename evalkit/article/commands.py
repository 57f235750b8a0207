"""The article's own commands, as it prints them, and what each of them does."""

import shlex
import shutil
import subprocess
import time
from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from evalkit.article._register import load_programs
from evalkit.article._tables import COMMANDS
from evalkit.experiments.backends import GATE_DB, Row, Say, compute, one_picture
from evalkit.images import Picture, read_image, write_image
from evalkit.metrics.psnr import psnr
from evalkit.study.attempt import TIMEOUT_S
from evalkit.study.run_folder import Run

PROGRAM = "realesrgan-ncnn-vulkan"
AS_PRINTED = f"{PROGRAM} -i input.png -o output.png -s 4"
NETWORKS = {
    AS_PRINTED: "realesrgan-animevideo-x4",
    f"{AS_PRINTED} -n realesrgan-x4plus": "realesrgan-x4plus",
}
"""What they run; the program's own default is called realesr-animevideov3."""

GPEN_OPTIONS = (
    *("--model", "--task", "--key", "--in_size", "--out_size", "--channel_multiplier"),
    *("--narrow", "--alpha", "--use_sr", "--use_cuda", "--save_face", "--aligned"),
    *("--sr_model", "--sr_scale", "--tile_size", "--indir", "--outdir", "--ext"),
)
"""The options of demo.py in GPEN at 2c73670."""

FP16 = "fp16 is the default already, --fp32 switches it off"
TILE = "of the background's network, and only with --use_sr; faces are not tiled"


def try_commands(
    run: Run, images: pd.DataFrame, *, longest_px: int = 96, say: Say = print
) -> pd.DataFrame:
    """Try the article's commands, or what stands nearest to them on this machine.

    The ncnn program is run where it is on the PATH; elsewhere our ncnn restorer runs
    the network that it would. PSNR tells which network made an output. The two scripts
    are in no package: Python's own parser gets their options.

    Parameters
    ----------
    run
        Gets records of ``backend-gate``.
    images, longest_px, say
        As in `evalkit.experiments.compare_backends`.

    Returns
    -------
    DataFrame
        Table `COMMANDS`, also written to the run's tables.

    """
    picture = one_picture(run, images, longest_px)
    ours = {
        network: compute(run, f"ncnn-{network}", picture, say, is_gate=True).iloc[-1]
        for network in NETWORKS.values()
    }
    program = shutil.which(PROGRAM)
    rows = [_stand_in(command, ours[name]) for command, name in NETWORKS.items()]
    if program:
        outputs = {
            network: read_image(run.path / record["output"])
            for network, record in ours.items()
            if record["outcome"] == "ok"
        }
        path = Path(picture["path"].iloc[0])
        rows = [row | _run(program, row["command"], path, outputs) for row in rows]
    realesrgan = load_programs()["inference_realesrgan.py"].facts
    rows += [
        _parsed("inference_realesrgan.py -i input.png --fp16", realesrgan, FP16),
        _parsed("demo.py --tile 128", GPEN_OPTIONS, TILE),
    ]
    return run.keep(COMMANDS, rows)


def _stand_in(command: str, record: pd.Series) -> Row:
    """Our ncnn restorer's record, as if it were the program's."""
    is_made = record["outcome"] == "ok"
    text = load_programs()[PROGRAM].facts["-n"] if is_made else record["error"]
    return {
        "command": command,
        "source": record["source"],
        "tried": f"{record['condition']}: the program is not on the PATH",
        "network": NETWORKS[command] if is_made else None,
        "command_time_s": record["load_time_s"] + record["wall_time_s"],
        "output_width_px": record["output_width_px"],
        "output_height_px": record["output_height_px"],
        "does": f"{record['outcome']}; the program's README: {text}",
    }


def _run(program: str, command: str, source: Path, outputs: dict[str, Picture]) -> Row:
    """Run the program as printed; its network is the one whose output is the same."""
    with TemporaryDirectory() as folder:
        write_image(f"{folder}/input.png", read_image(source))
        words = [program, *shlex.split(command)[1:]]
        start = time.perf_counter()
        process = subprocess.run(
            words, cwd=folder, capture_output=True, check=False, timeout=TIMEOUT_S
        )
        row: Row = {"tried": program, "command_time_s": time.perf_counter() - start}
        row |= {"exit_code": process.returncode, "network": None}
        path = Path(folder) / "output.png"
        if not path.is_file():
            message = process.stderr.decode(errors="replace").strip()
            return row | {
                "output_width_px": None,
                "output_height_px": None,
                "does": message,
            }
        output = read_image(path)
    alike = {name: ours for name, ours in outputs.items() if ours.shape == output.shape}
    psnr_db = {name: psnr(output, ours) for name, ours in alike.items()}
    texts = [f"{value:.1f} dB from {name}'s output" for name, value in psnr_db.items()]
    return row | {
        "network": next((n for n, value in psnr_db.items() if value >= GATE_DB), None),
        "output_width_px": output.shape[1],
        "output_height_px": output.shape[0],
        "does": ", ".join(texts),
    }


def _parsed(command: str, options: Iterable[str], does: str) -> Row:
    """What Python's parser does with a command and a script's options."""
    parser = ArgumentParser(add_help=False)
    for option in options:
        parser.add_argument(option, nargs="?")
    arguments, unknown = parser.parse_known_args(shlex.split(command)[1:])
    recognised = {name: value for name, value in vars(arguments).items() if value}
    outcome = f"unrecognized arguments: {' '.join(unknown)}" if unknown else recognised
    return {
        "command": command,
        "tried": "an argument parser of its options: the script is in no package",
        "exit_code": 2 if unknown else 0,
        "does": f"{outcome}; {does}",
    }
