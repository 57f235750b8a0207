"""A study whose steps are jobs of Slurm: as it would be on this machine alone."""

import signal
import subprocess
import sys
import time
from datetime import datetime

import numpy as np
import pytest
import slurm as slurms
import yaml

from evalkit.images import read_image, write_image
from evalkit.paths import SHIPPED
from evalkit.records import RecordStore

EVALKIT = [sys.executable, "-m", "evalkit.cli", "study"]
SHIPPED_PROFILE = SHIPPED / "data" / "profiles" / "slurm" / "config.yaml"
SAME = ["experiment", "condition", "source", "key", "run", "phase", "machine"]


@pytest.fixture
def slurm(need, tmp_path):
    need(slurms.is_installed(), slurms.MISSING)
    try:
        import snakemake_executor_plugin_slurm  # noqa: F401
    except ImportError:
        need(False, "pip install evalkit[slurm]")
    folder = tmp_path / "slurm"
    folder.mkdir()
    with slurms.running(folder) as slurm:
        yield slurm


@pytest.fixture
def profile(tmp_path):
    """The shipped profile, as docs/cluster.md has it changed for this cluster."""

    def make(parts):
        content = yaml.safe_load(SHIPPED_PROFILE.read_text(encoding="utf-8"))
        content |= {"config": ["cores=2", f"parts={parts}"], "latency-wait": 5}
        content |= {"slurm-no-account": True, "slurm-status-command": "squeue"}
        content |= {"slurm-init-seconds-before-status-checks": 1}
        content |= {"seconds-between-status-checks": 1}
        content |= {"default-resources": ["mem_mb=2000", "runtime=60"]}
        folder = tmp_path / "profile"
        folder.mkdir(exist_ok=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        return folder

    return make


def test_a_profile_that_is_not_there_is_refused(refused, light_file):
    line = refused("study", light_file, "--profile", "no_such")
    assert "expected a folder with a config.yaml" in line
    assert "slurm" in line


def test_what_stands_behind_the_dashes_is_for_snakemake(told, monkeypatch, light_file):
    given = {}
    monkeypatch.setattr(
        "evalkit.study.run_study", lambda file, **how: given.update(how)
    )
    told("study", light_file, "--profile", "slurm", "--", "--jobs", "2")
    assert given["arguments"] == ["--jobs", "2"]
    assert given["profile"] == "slurm"


def test_the_shipped_profile_is_of_rules_that_there_are():
    content = yaml.safe_load(SHIPPED_PROFILE.read_text(encoding="utf-8"))
    rules = (SHIPPED / "Snakefile").read_text(encoding="utf-8")
    for resource in content["set-resources"]:
        assert f"rule {resource.partition(':')[0]}:" in rules


def jobs_of(slurm, rule):
    """Begin and end of each job of a rule, by Slurm's clock."""
    lines = slurm.ask("squeue", "-h", "-t", "all", "-o", "%S %e %k").splitlines()
    found = [line.split(maxsplit=2) for line in lines]
    times = [row[:2] for row in found if row[2].startswith(f"rule_{rule}_")]
    return sorted(tuple(map(datetime.fromisoformat, row)) for row in times)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_has_the_records_of_a_local_run_though_its_node_was_lost_for_a_while(
    slurm, profile, album, light_file, tmp_path, monkeypatch
):
    command = [*EVALKIT, str(light_file), "--images", str(album)]
    monkeypatch.setenv("EVALKIT_RUNS", str(tmp_path / "local"))
    subprocess.run(command, check=True)
    expected = RecordStore(tmp_path / "local" / "mine-album").read()

    environ = {**slurm.environ, "EVALKIT_RUNS": str(tmp_path / "cluster")}
    command += ["--profile", str(profile(parts=2))]
    run = tmp_path / "cluster" / "mine-album"
    study = subprocess.Popen(command, env=environ)
    try:
        while not RecordStore(run).cells():
            assert study.poll() is None
            time.sleep(0.1)
        slurm.kill("slurmd")
        time.sleep(3)
        slurm.start_node()
        assert study.wait(600) == 0
    finally:
        study.send_signal(signal.SIGINT)
        study.wait(60)
    found = RecordStore(run).read()
    assert set(found["outcome"]) == {"ok"}
    names = [*SAME, "output_sha256"]
    expected, found = (
        frame[names].sort_values(SAME, ignore_index=True) for frame in (expected, found)
    )
    assert found.equals(expected)
    assert (run / "report.html").is_file()

    (begin, end), (other_begin, other_end) = jobs_of(slurm, "restore_part")
    assert begin < other_end
    assert other_begin < end, "the two parts did not overlap"
    assert len(jobs_of(slurm, "cost")) == 1


def seconds_of(slurm, command, environ):
    before = len(jobs_of(slurm, "restore_part"))
    subprocess.run(command, env=environ, check=True)
    jobs = jobs_of(slurm, "restore_part")[before:]
    assert len(jobs) == 12
    return (max(end for _, end in jobs) - jobs[0][0]).total_seconds()


@pytest.mark.soak
def test_twelve_cells_in_two_slots_take_half_the_time(
    slurm, profile, album, light_file, tmp_path
):
    for number in range(2, 12):
        picture = np.roll(read_image(album / "cup.png"), number, axis=1)
        write_image(album / f"{number}.png", picture)
    command = [*EVALKIT, str(light_file), "--images", str(album)]
    command += ["--profile", str(profile(parts=12)), "--", "--until", "restore_part"]
    wall_s = {}
    for slots in (1, 2):
        # a job that takes both CPUs leaves one slot
        more = ["--set-resources", f"restore_part:cpus_per_task={3 - slots}"]
        environ = {**slurm.environ, "EVALKIT_RUNS": str(tmp_path / f"{slots}")}
        wall_s[slots] = seconds_of(slurm, [*command, *more], environ)
    assert wall_s[2] <= wall_s[1] / 1.8, wall_s
