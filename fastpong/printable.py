"""Text made fit for screens and pages."""

from __future__ import annotations


def printable(text: str, keep: str = "") -> str:
    r"""Return text with its unprintable characters written out.

    Control characters could steer a terminal, and lone surrogates, as of a name that is not UTF-8,
    can be written nowhere. Both become what they are in Python's strings, such as ``\x1b``.

    keep : characters that stay as they are
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in keep else repr(letter)[1:-1] for letter in text
    )


def counted(number: int, noun: str) -> str:
    """Write a number of things, as in 1 episode and 2,000 episodes."""
    return f"{number:,} {noun}" + "s" * (number != 1)


def brief(value: object, most: int = 80) -> str:
    """Return a value as Python writes it, cut off where it is longer than ``most`` characters.

    It may be nested without end, or an integer of more digits than Python writes.
    """
    if isinstance(value, (str, bytes)):
        value = value[: most + 1]
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"a huge {type(value).__name__}"
    return shorten(text, most)


def summary(error: Exception) -> str:
    """Return another program's message in one line of at most 200 characters."""
    return shorten(" ".join(str(error).split()), 200) or type(error).__name__


def shorten(text: str, most: int = 80) -> str:
    """Return text, cut off after ``most`` characters."""
    return text if len(text) <= most else f"{text[:most]}..."
