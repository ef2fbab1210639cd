"""Names of pools: this machine's own, or an address of Ray. Imports no Ray."""

from __future__ import annotations

import re

from fastpong.printable import brief

LOCAL, OWN_RAY = "local", "ray"

ALL = 1024
"""Workers that stand for all CPUs of a cluster: the most that a run may have."""

_ADDRESS = re.compile(r"(?:ray://)?(?P<host>[\w.-]+|\[[\da-fA-F:]+\]):(?P<port>\d{1,5})", re.ASCII)


def check_pool(name: str) -> None:
    """Check the name of a pool.

    Raises ValueError.
    """
    if name in (LOCAL, OWN_RAY):
        return
    match = _ADDRESS.fullmatch(name)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise ValueError(
            f"pool: expected local, ray, HOST:PORT or ray://HOST:PORT, got {brief(name)}; the "
            "first address is for a machine of the cluster, the second for one outside"
        )


def in_cluster(name: object) -> bool:
    """Return whether a pool is a cluster at an address."""
    return name not in (LOCAL, OWN_RAY)


def is_outside(name: str) -> bool:
    """Return whether an address is for a machine outside of the cluster, by Ray Client."""
    return name.startswith("ray://")


def endpoint(name: str) -> tuple[str, int]:
    """Return host and port of an address."""
    match = _ADDRESS.fullmatch(name)
    assert match is not None
    return match["host"].strip("[]"), int(match["port"])
