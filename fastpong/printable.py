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
