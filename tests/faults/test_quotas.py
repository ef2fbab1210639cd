"""Cores that a container's or a scheduler's quota allows, wherever the system writes it."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import PATIENCE

from fastpong.settings.cores import available_cores, quota

CORES = len(os.sched_getaffinity(0))
V2 = "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1 = "32 31 0:29 {root} /sys/fs/cgroup/{name} rw,relatime - cgroup cgroup rw,{name}"
UNIFIED = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw"
NO_QUOTA = "max 100000"


def machine(
    root: Path, groups: list[str], mounts: list[str], files: dict[str, str] | None = None
) -> Path:
    """Build the files in which a system tells of its control groups."""
    proc = root / "proc" / "self"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text("".join(f"{line}\n" for line in groups))
    (proc / "mountinfo").write_text("".join(f"{line}\n" for line in mounts))
    for name, text in (files or {}).items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        (NO_QUOTA, math.inf),
        ("50000 100000", 0.5),
        ("250000 100000", 2.5),
        ("150000 50000", 3),
        ("0 100000", math.inf),
        ("100000 0", math.inf),
        ("-1 100000", math.inf),
        ("", math.inf),
        ("100000", math.inf),
        ("many of them", math.inf),
    ],
)
def test_a_container_sees_its_group_as_the_root(tmp_path: Path, text: str, cores: float) -> None:
    assert quota(machine(tmp_path, ["0::/"], [V2], {"cpu.max": text})) == cores


def test_the_smallest_quota_of_all_groups_above_counts(tmp_path: Path) -> None:
    files = {
        "a.slice/cpu.max": "300000 100000",
        "a.slice/b.slice/cpu.max": "150000 100000",
        "a.slice/b.slice/c.scope/cpu.max": NO_QUOTA,
        "a.slice/other/cpu.max": "1000 100000",
    }
    assert quota(machine(tmp_path, ["0::/a.slice/b.slice/c.scope"], [V2], files)) == 1.5


def test_a_smaller_quota_in_the_group_itself(tmp_path: Path) -> None:
    files = {"a/cpu.max": "300000 100000", "a/b/cpu.max": "20000 100000"}
    assert quota(machine(tmp_path, ["0::/a/b"], [V2], files)) == 0.2


@pytest.mark.parametrize("name", ["cpu", "cpu,cpuacct", "cpuacct,cpu"])
def test_version_1_has_two_files(tmp_path: Path, name: str) -> None:
    groups = ["4:memory:/x", f"3:{name}:/batch/job", "1:name=systemd:/x"]
    mounts = [V1.format(name=name, root="/"), V1.format(name="memory", root="/")]
    files = {
        f"{name}/cpu.cfs_quota_us": "-1",
        f"{name}/cpu.cfs_period_us": "100000",
        f"{name}/batch/cpu.cfs_quota_us": "400000",
        f"{name}/batch/cpu.cfs_period_us": "100000",
        f"{name}/batch/job/cpu.cfs_quota_us": "125000",
        f"{name}/batch/job/cpu.cfs_period_us": "50000",
    }
    assert quota(machine(tmp_path, groups, mounts, files)) == 2.5


def test_a_container_of_version_1_has_the_name_that_the_host_knows(tmp_path: Path) -> None:
    """Docker without a namespace mounts the group as the root. No directory has its name."""
    files = {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}
    mounts = [V1.format(name="cpu", root="/docker/0123")]
    assert quota(machine(tmp_path, ["2:cpu:/docker/0123"], mounts, files)) == 2
    inner = {f"cpu/in/{name}": text for name, text in (("cpu.cfs_quota_us", "70000"),)}
    inner |= {"cpu/in/cpu.cfs_period_us": "100000"}
    other = machine(tmp_path / "inner", ["2:cpu:/docker/0123/in"], mounts, files | inner)
    assert quota(other) == 0.7


def test_both_versions_side_by_side(tmp_path: Path) -> None:
    """The cpu controller is in version 1. Version 2 holds other things, in the same group."""
    groups = ["1:cpu:/job", "0::/job"]
    mounts = [V1.format(name="cpu", root="/"), UNIFIED]
    files = {
        "cpu/job/cpu.cfs_quota_us": "100000",
        "cpu/job/cpu.cfs_period_us": "100000",
        "unified/job/cgroup.procs": "1",
    }
    assert quota(machine(tmp_path, groups, mounts, files)) == 1


def test_version_2_beside_controllers_of_version_1(tmp_path: Path) -> None:
    groups = ["1:memory:/job", "0::/job"]
    mounts = [V1.format(name="memory", root="/"), UNIFIED]
    files = {"unified/job/cpu.max": "350000 100000"}
    assert quota(machine(tmp_path, groups, mounts, files)) == 3.5


def test_a_mount_point_with_a_space(tmp_path: Path) -> None:
    mount = V2.replace("/sys/fs/cgroup", "/sys/fs/cgroup/my\\040groups")
    files = {"my groups/cpu.max": "100000 100000"}
    assert quota(machine(tmp_path, ["0::/"], [mount], files)) == 1


@pytest.mark.parametrize("mounted", ["/", "/mine"])
@pytest.mark.parametrize("group", ["/../other", "/elsewhere", "", "no path", "/a/../../other"])
def test_a_group_outside_of_the_mount(tmp_path: Path, group: str, mounted: str) -> None:
    files = {"cpu.max": "150000 100000", "a/none": "", "../other/cpu.max": "1 100000"}
    root = machine(tmp_path / "x", [f"0::{group}"], [V2.replace(" / ", f" {mounted} ")], files)
    assert quota(root) == 1.5


@pytest.mark.parametrize(
    ("groups", "mounts"), [(["nonsense", "::", ""], [V2]), (["0::/"], ["", " - ", "1 2 - cgroup2"])]
)
def test_files_that_nobody_can_read(tmp_path: Path, groups: list[str], mounts: list[str]) -> None:
    root = machine(tmp_path, groups, mounts, {"cpu.max/directory": ""})
    assert quota(root) == math.inf
    assert quota(tmp_path / "nowhere") == math.inf


@pytest.mark.parametrize(
    ("text", "cores"),
    [(NO_QUOTA, CORES), ("1000 100000", 1), ("100000 100000", 1), ("9900000 100000", CORES)],
)
def test_cores_are_those_of_the_affinity_within_the_quota(
    tmp_path: Path, text: str, cores: int
) -> None:
    assert available_cores(machine(tmp_path, ["0::/"], [V2], {"cpu.max": text})) == cores


def test_affinity_alone(tmp_path: Path) -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n" + PRINT
    assert run_python(code) == "1"


PRINT = "from fastpong.settings.cores import available_cores; print(available_cores())"


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


# --- a real group -------------------------------------------------------------------------------


@contextlib.contextmanager
def group_with_a_quota(microseconds: int) -> Iterator[Path]:
    """Yield a real control group, and one without a quota below it."""
    found: list[Path] = []
    for base, name, text in (
        (Path("/sys/fs/cgroup/cpu"), "cpu.cfs_quota_us", str(microseconds)),
        (Path("/sys/fs/cgroup"), "cpu.max", f"{microseconds} 100000"),
    ):
        group = base / f"fastpong-test-{os.getpid()}"
        try:
            group.mkdir()
            found.append(group)
            (group / name).write_text(text)
            (group / "below").mkdir()
            found.append(group / "below")
            break
        except OSError:
            continue
    try:
        if not found or found[-1].name != "below":
            pytest.skip("no control group of cores can be made here")
        yield found[-1]
    finally:
        for group in reversed(found):
            with contextlib.suppress(OSError):
                group.rmdir()


def test_a_process_in_a_real_group() -> None:
    """Its quota is that of the group above its own."""
    with group_with_a_quota(50_000) as group:
        code = "import sys, os; open(sys.argv[1], 'w').write(str(os.getpid()))\n"
        code += "from fastpong.settings.cores import available_cores, quota\n"
        code += "print(quota(), available_cores())"
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, str(group / "cgroup.procs")],
            capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        assert done.stdout.split() == ["0.5", "1"], done.stderr
