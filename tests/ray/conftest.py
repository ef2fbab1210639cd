"""A Ray cluster of several nodes on this machine, all real. Skipped where Ray is not installed."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AUTH_MODE", "token")  # before Ray is imported
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(16))
# Ray waits half a minute before it takes a silent node for dead.
os.environ.setdefault("RAY_health_check_period_ms", "500")
os.environ.setdefault("RAY_health_check_failure_threshold", "4")

pytest.importorskip("ray")

import ray_nodes

from fastpong.runtime.cluster import leftovers


@pytest.fixture(scope="session")
def nodes() -> Iterator[ray_nodes.Nodes]:
    """Return a head without CPUs, to which tests add nodes."""
    directory = tempfile.mkdtemp(prefix="frt-", dir="/tmp")  # its sockets have long names
    before = os.environ.get("RAY_TMPDIR")
    os.environ["RAY_TMPDIR"] = directory
    try:
        nodes = ray_nodes.Nodes()
        yield nodes
        nodes.close()
    finally:
        leftovers.remove(Path(directory))
        os.environ.pop("RAY_TMPDIR")
        if before is not None:
            os.environ["RAY_TMPDIR"] = before
