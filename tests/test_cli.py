"""The command as a person types it."""

import subprocess
import sys

import pytest


def evalkit(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evalkit.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_doctor_names_what_is_missing_and_how_to_get_it():
    done = evalkit("doctor")
    assert done.returncode == 0, done.stderr
    assert "processor" in done.stdout
    assert "evalkit weights fetch gpen-bfr-512 --accept gpen" in done.stdout
    assert "realesrgan-x4plus" in done.stdout


def test_weights_list_has_a_line_for_each():
    done = evalkit("weights", "list")
    lines = done.stdout.splitlines()
    (x4plus,) = [line for line in lines if line.split()[0] == "realesrgan-x4plus"]
    assert "here" in x4plus
    assert "package" in x4plus


def test_weights_verify_reads_what_a_package_carries():
    done = evalkit("weights", "verify", "realesrgan-x4plus")
    assert done.returncode == 0, done.stderr
    assert "package" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("weights", "verify", "gpen-bfr-512"), "not on this machine: gpen-bfr-512"),
        (("weights", "fetch", "gpen-bfr-513"), "unknown weights 'gpen-bfr-513'"),
        (("study", "no-such.yaml"), "expected a study file at no-such.yaml"),
    ],
)
def test_an_error_of_ours_is_one_line_and_no_traceback(arguments, said):
    done = evalkit(*arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
