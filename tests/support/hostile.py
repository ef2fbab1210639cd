"""A directory of modules that nobody may import: each writes its name into a file and fails."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path

PACKAGES = (
    "PIL", "ale_py", "av", "click", "cloudpickle", "contourpy", "cycler", "cython", "dateutil",
    "farama_notifications", "fastpong", "google", "gymnasium", "kiwisolver", "llvmlite",
    "markdown_it", "matplotlib", "mpl_toolkits", "numba", "numpy", "packaging", "psutil", "pygame",
    "pygments", "pyparsing", "rich", "safetensors", "sitecustomize", "six", "tensorboardX",
    "typing_extensions", "usercustomize", "wandb", "mlflow",
)  # fmt: skip
"""Names that some command imports or looks for, besides those of Python."""

_PROGRAM = """\
with open({marker!r}, "a") as file:
    file.write(__name__ + "\\n")
raise ImportError(__name__ + " of the current directory was imported")
"""


def fill(directory: Path, marker: Path, besides: Collection[str] = ()) -> Path:
    """Fill a directory with modules of all names but some, and return it.

    marker : the file that they write their names into
    """
    directory.mkdir(parents=True, exist_ok=True)
    program = _PROGRAM.format(marker=str(marker))
    for name in {*sys.stdlib_module_names, *PACKAGES} - {*besides}:
        (directory / f"{name}.py").write_text(program)
    if "fastpong" not in besides:
        package = directory / "fastpong"
        package.mkdir()
        for name in ("__init__", "__main__"):
            (package / f"{name}.py").write_text(program)
    return directory


def imported(marker: Path) -> list[str]:
    """Return the names of modules that were imported."""
    return marker.read_text().split() if marker.exists() else []
