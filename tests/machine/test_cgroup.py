"""Limits of control groups, read from trees laid out as the kernel's manual has them.

The texts are those of cgroups(7) and of the kernel's cgroup-v1/memory.rst and
cgroup-v2.rst: a container of each version, and a process of a host.
"""

import pytest

from evalkit.machine.cgroup import cpu_quota, memory_limit_bytes, oom_kills

V1 = {
    "proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/\n",
    "proc/self/mountinfo": (
        "1 0 0:1 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
        "2 0 0:2 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n"
        "3 0 0:3 / /proc rw - proc proc rw\n"
    ),
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "3221225472\n",
    "sys/fs/cgroup/memory/memory.oom_control": (
        "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"
    ),
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "150000\n",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    "proc/vmstat": "nr_free_pages 12\noom_kill 5\n",
}
V1_WITHOUT_LIMITS = V1 | {
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
}
V2 = {
    "proc/self/cgroup": "0::/user.slice/study.scope\n",
    "proc/self/mountinfo": "1 0 0:1 / /sys/fs/cgroup rw shared:4 - cgroup2 none rw\n",
    "sys/fs/cgroup/user.slice/study.scope/memory.max": "max\n",
    "sys/fs/cgroup/user.slice/memory.max": "2147483648\n",
    "sys/fs/cgroup/user.slice/study.scope/cpu.max": "200000 100000\n",
    "sys/fs/cgroup/user.slice/cpu.max": "max 100000\n",
    "sys/fs/cgroup/user.slice/study.scope/memory.events": "low 0\nmax 3\noom_kill 1\n",
}


def lay_out(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("files", "memory_bytes", "quota", "kills"),
    [
        (V1, 3 * 2**30, 1.5, 7),
        (V1_WITHOUT_LIMITS, None, None, 7),
        (V2, 2 * 2**30, 2.0, 1),
        ({}, None, None, 0),
    ],
    ids=["version 1", "version 1 without limits", "version 2", "no cgroups"],
)
def test_limits_are_read(tmp_path, files, memory_bytes, quota, kills):
    root = lay_out(tmp_path, files)
    assert memory_limit_bytes(root) == memory_bytes
    assert cpu_quota(root) == quota
    assert oom_kills(root) == kills


def test_this_machine_is_read_without_an_error():
    limit, quota = memory_limit_bytes(), cpu_quota()
    assert limit is None or limit > 2**20
    assert quota is None or quota > 0
    assert oom_kills() >= 0
