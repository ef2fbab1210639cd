"""Optional packages, and the command that installs them wherever fastpong was installed from.

``pip install "fastpong[plot]"`` works only where an index has the package. The requirements of an
extra are in the installed metadata, and ``pip install`` of those works everywhere.
"""

from __future__ import annotations

import re

from fastpong.printable import summary

_EXTRA = re.compile(r"extra\s*==\s*['\"]([\w-]+)['\"]")


def how_to_install(*extras: str) -> str:
    """Return the command that installs the packages of extras.

    extras : their names in pyproject.toml. Unknown ones are asked of pip by fastpong's name
    """
    needed = dict.fromkeys(package for extra in extras for package in _packages(extra))
    return "pip install " + " ".join(f'"{package}"' for package in needed)


def in_short(error: Exception) -> str:
    """Return the kind of an error and what it says, in one line.

    A broken package raises anything: with another NumPy most often AttributeError, with another
    protobuf TypeError, of many lines.
    """
    kind, said = type(error).__name__, summary(error)
    return kind if said == kind else f"{kind}: {said}"


def unusable(package: str, error: Exception) -> str:
    """Return why a package cannot be used, after its import has failed."""
    if isinstance(error, ModuleNotFoundError) and error.name == package:
        return "is not installed"
    return f"cannot be imported ({in_short(error)})"


def _packages(extra: str) -> list[str]:
    """Return the requirements of an extra, without environment markers."""
    from importlib.metadata import PackageNotFoundError, requires  # not at the start: 20 ms

    try:
        lines = requires("fastpong") or []
    except PackageNotFoundError:  # a source directory on the path
        lines = []
    found = []
    for line in lines:
        package, _, marker = line.partition(";")
        match = _EXTRA.search(marker)
        if match and match[1] == extra:
            found.append(package.strip().replace(" ", ""))
    return found or [f"fastpong[{extra}]"]
