"""Debian's Slurm on this machine alone: one node of two CPUs, no accounting."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "squeue", "sbatch")
MISSING = "as root: apt-get install slurmctld slurmd slurm-client munge"

CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MinJobAge=300
SlurmdTimeout=10
SchedulerParameters=sched_interval=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 CoresPerSocket=2 RealMemory=8000
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


class Slurm:
    """A controller and a node, whose daemon a test may kill and start again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self.environ["PATH"] = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._daemons[name] = subprocess.Popen(
                [name, *arguments], env=self.environ, stdout=log, stderr=log
            )

    def start_node(self) -> None:
        self.start("slurmd", "-D", "-N", socket.gethostname().partition(".")[0])

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        daemon = self._daemons.pop(name)
        daemon.send_signal(how)
        daemon.wait(30)

    def ask(self, *command: str) -> str:
        done = subprocess.run(
            command, env=self.environ, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    def wait_for_node(self, state: str) -> None:
        end = time.monotonic() + 60
        while state not in (found := self.ask("sinfo", "-h", "-o", "%T")):
            logs = [path.read_text() for path in self.folder.glob("*.log")]
            assert time.monotonic() < end, "\n".join([found, *logs])
            time.sleep(0.2)

    def stop(self) -> None:
        self.ask("scancel", "--user=root")
        for name in reversed([*self._daemons]):
            self.kill(name, signal.SIGTERM)


def _free_ports() -> list[int]:
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
        return [one.getsockname()[1], two.getsockname()[1]]


@contextmanager
def running(folder: Path) -> Iterator[Slurm]:
    """Start Slurm below a folder, which munge wants to be root's alone."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    host = socket.gethostname().partition(".")[0]
    text = CONFIGURATION.format(host=host, folder=folder, ports=_free_ports())
    (folder / "slurm.conf").write_text(text, encoding="utf-8")
    # the executor starts srun without the variable that names the configuration
    srun = folder / "bin" / "srun"
    srun.parent.mkdir()
    text = (
        f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n'
    )
    srun.write_text(text, encoding="utf-8")
    srun.chmod(0o755)
    slurm = Slurm(folder)
    files = {"socket": "socket", "pid-file": "pid", "seed-file": "seed"}
    files |= {"key-file": "key", "log-file": "log"}
    munge = [f"--{name}={folder}/munge.{end}" for name, end in files.items()]
    try:
        slurm.start("munged", "--foreground", "--force", *munge)
        slurm.start("slurmctld", "-D")
        slurm.start_node()
        slurm.wait_for_node("idle")
        yield slurm
    finally:
        slurm.stop()


def is_installed() -> bool:
    return os.geteuid() == 0 and all(map(shutil.which, PROGRAMS))
