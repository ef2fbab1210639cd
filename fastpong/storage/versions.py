"""The software and the machine that a run computes with."""

from __future__ import annotations

import contextlib
import json
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from fastpong.printable import brief
from fastpong.storage.opening import read_regular

VERSIONS = "versions.json"
"""Name of the record in a run's directory."""
_MAX_BYTES = 16 << 20

_PACKAGES = ("fastpong", "numpy", "numba", "cython", "ale-py", "gymnasium", "safetensors")


def versions(backend: str) -> dict[str, object]:
    """Return the time, versions of packages, machine and commit.

    It imports nothing. None stands for a missing package or an unknown value.
    """
    found: dict[str, object] = {name: _version(name) for name in _PACKAGES}
    return found | {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "commit": _commit(),
        "backend": backend,
    }


def read_versions(directory: Path) -> Mapping[str, object]:
    """Return what a run's versions.json says, nothing if it cannot be read."""
    try:
        found = json.loads(read_regular(directory / VERSIONS, _MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def written_by(directory: Path) -> str:
    """Return a clause about the fastpong that began a run, empty if it is this one."""
    found = read_versions(directory)
    version, commit = found.get("fastpong"), found.get("commit")
    if not version or (version, commit) == (_version("fastpong"), _commit()):
        return ""
    named = f", commit {brief(commit)}" if commit else ""
    return f"; it was begun by another fastpong, version {brief(version)}{named}"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu() -> str | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine() or None


def _commit() -> str | None:
    """Return the commit of fastpong's checkout.

    It ends in -dirty if the checkout was changed.
    """
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / ".git").exists():  # installed: a repository further up is not ours
        return None
    # Without locks: one that is killed would leave its own, and nobody could commit.
    command = ["git", "--no-optional-locks", "-C", str(checkout)]
    command += ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        result = subprocess.run(command, capture_output=True, text=True, timeout=2, check=True)
        return result.stdout.strip()
    return None
