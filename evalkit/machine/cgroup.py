"""Limits and counters of this process's control groups, versions 1 and 2."""

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")


def memory_limit_bytes(root: Path = ROOT) -> int | None:
    """The smallest memory limit that holds here, or None without one."""
    texts = _read(root, "memory", "memory.max", "memory.limit_in_bytes")
    limits = [int(text) for text in texts if text.strip() != "max"]
    limits = [limit for limit in limits if limit < 2**60]  # version 1's "no limit"
    return min(limits, default=None)


def memory_bytes() -> int:
    """The memory for this process: the machine's, or the limit that holds here."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(total, memory_limit_bytes() or total)


def cpu_quota(root: Path = ROOT) -> float | None:
    """The smallest share of processors that holds here (1.5, say), or None."""
    shares = []
    for text in _read(root, "cpu", "cpu.max", ""):
        quota, period = text.split()
        if quota != "max":
            shares.append(int(quota) / int(period))
    quotas = _read(root, "cpu", "", "cpu.cfs_quota_us")
    periods = _read(root, "cpu", "", "cpu.cfs_period_us")
    for quota, period in zip(quotas, periods, strict=True):
        if int(quota) > 0:
            shares.append(int(quota) / int(period))
    return min(shares, default=None)


def oom_kills(root: Path = ROOT) -> int:
    """A number that grows when the kernel kills for want of memory; 0 if unknown.

    The groups' own counters and the system's are added: only a growth means
    something.
    """
    texts = list(_read(root, "memory", "memory.events", "memory.oom_control"))
    vmstat = root / "proc/vmstat"
    if vmstat.is_file():
        texts.append(vmstat.read_text(encoding="utf-8"))
    fields = [line.split() for text in texts for line in text.splitlines()]
    return sum(int(value) for name, value, *_ in fields if name == "oom_kill")


def _read(root: Path, controller: str, v2_name: str, v1_name: str) -> Iterator[str]:
    """The texts of a file in this process's groups, from its own up to the mount."""
    groups = _groups(root)
    for mount, inside, options, is_v2 in _mounts(root):
        name = v2_name if is_v2 else v1_name
        if not name or not (is_v2 or controller in options):
            continue
        group = Path(groups.get("" if is_v2 else controller, "/"))
        # a container may see its group as the mount's root, or by the host's name
        below = group.relative_to(inside) if group.is_relative_to(inside) else Path()
        folder = mount / below
        for level in (folder, *folder.parents):
            if (level / name).is_file():
                yield (level / name).read_text(encoding="utf-8")
            if level == mount:
                break


def _groups(root: Path) -> dict[str, str]:
    """The group's path by controller; the empty name is version 2."""
    file = root / "proc/self/cgroup"
    groups = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            groups[controller] = path
    return groups


def _mounts(root: Path) -> Iterator[tuple[Path, str, list[str], bool]]:
    """Mount point, the group at it, options, and whether it is version 2."""
    file = root / "proc/self/mountinfo"
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            _, _, _, inside, mount, *_ = left.split()
            point = root / mount.lstrip("/")
            yield point, inside, options.split(","), kind == "cgroup2"
