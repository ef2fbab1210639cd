"""The cores that a process may use: its affinity, within the quotas of its containers.

A quota is a share of time: 250 ms of every 100 ms are two and a half cores. Schedulers and
container engines set one on a control group, and any group above it may have a smaller one. Version
2 of control groups has a quota in cpu.max, version 1 in cpu.cfs_quota_us. Machines with both have
the cpu controller in one of the two.

Source: Linux, Documentation/admin-guide/cgroup-v2.rst and Documentation/scheduler/sched-bwc.rst,
proc_pid_mountinfo(5), cgroups(7).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

_ESCAPE = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """Hold a mount of control groups.

    root  : the group that is mounted
    point : the directory where it is
    """

    root: str
    point: str


def available_cores(root: Path = Path("/")) -> int:
    """Return the cores that this process may use, one at least.

    root : of the file system that tells of control groups
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, quota(root))))


def quota(root: Path = Path("/")) -> float:
    """Return the smallest quota of this process's control groups, in cores.

    Infinite without one, and where nothing can be read.
    """
    return min(_quotas(root), default=math.inf)


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas of the groups of both versions and of all above them."""
    version_1, version_2 = _mounts(root)
    for controllers, group in _groups(root):
        mounts = version_1 if "cpu" in controllers else version_2 if controllers == [""] else []
        for mount in mounts:
            for directory in _lineage(root, mount, group):
                yield from _quota_of(directory)


def _groups(root: Path) -> Iterator[tuple[list[str], str]]:
    """Yield this process's groups by their controllers, [""] for version 2."""
    for line in _lines(root / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, found, group = rest.partition(":")
        if found:
            yield controllers.split(","), group


def _mounts(root: Path) -> tuple[list[Mount], list[Mount]]:
    """Return the mounts of the cpu controller of version 1, and those of version 2."""
    version_1, version_2 = [], []
    for line in _lines(root / "proc/self/mountinfo"):
        mounted, found, kind = line.partition(" - ")
        fields, (name, *rest) = mounted.split(" "), kind.split(" ")
        if not found or len(fields) < 5:
            continue
        mount = Mount(_plain(fields[3]), _plain(fields[4]))
        if name == "cgroup" and rest and "cpu" in rest[-1].split(","):
            version_1.append(mount)
        elif name == "cgroup2":
            version_2.append(mount)
    return version_1, version_2


def _lineage(root: Path, mount: Mount, group: str) -> Iterator[Path]:
    """Yield the directory of a group and those above it, as far as they are mounted.

    A container sees its own group as the root of the mount, while the group's name may be the one
    that the host knows.
    """
    top, own = PurePosixPath(mount.root), PurePosixPath(group)
    inside = own.relative_to(top) if own.is_relative_to(top) else PurePosixPath()
    parts = () if ".." in inside.parts else inside.parts
    directory = root / mount.point.lstrip("/")
    yield directory
    for part in parts:
        directory = directory / part
        yield directory


def _quota_of(directory: Path) -> Iterator[float]:
    """Yield a group's quota in cores, if it has one."""
    text = [*_lines(directory / "cpu.max")] or [
        " ".join(
            [*_lines(directory / "cpu.cfs_quota_us"), *_lines(directory / "cpu.cfs_period_us")]
        )
    ]
    try:
        allowed, period = map(int, text[0].split())
    except ValueError:  # "max", or no such files
        return
    if allowed > 0 and period > 0:  # -1 stands for none
        yield allowed / period


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _plain(text: str) -> str:
    """Return a path of mountinfo, in which spaces are written as \\040."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)
