"""HTML pages: elements, charts and the style that the report and the board share."""

from __future__ import annotations

from importlib.resources import files


def read_asset(name: str, package: str = __name__) -> str:
    """Return the text of a file beside the code.

    package : that the file belongs to
    """
    return files(package).joinpath(name).read_text(encoding="utf-8")
