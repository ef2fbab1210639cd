"""Give a cartridge its machine code: from the cache, or compiled in the background.

The interpreter plays until the code is there. Both give the same bits, so it does not matter when
that is.
"""

from __future__ import annotations

import platform
import sys
import threading
import warnings
from collections.abc import Callable

from fastpong.console.machine import Cartridge
from fastpong.console.translate import cache
from fastpong.console.translate.image import Image, image_key

Warn = Callable[[str], object]

_said: set[str] = set()


def attach(
    cartridge: Cartridge, background: bool = True, warn: Warn = warnings.warn
) -> threading.Thread | None:
    """Run a cartridge as machine code, as soon as that is there.

    background : compile in a thread, which is returned. Code from the cache is there at once, 1 ms
    warn       : is told once of what is wrong. The interpreter plays on
    """
    if cartridge.translated or not is_supported():
        return None
    key = image_key(cartridge.rom)
    if _attach_kept(cartridge, key, warn):
        return None
    thread = threading.Thread(
        target=_compile, args=(cartridge, key, warn), name="translation", daemon=True
    )
    thread.start()
    if background:
        return thread
    thread.join()  # its waits have timeouts
    return None


def is_supported() -> bool:
    """Say whether machine code can be made for this system."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


def file_name(cartridge: Cartridge, key: bytes) -> str:
    """Return the name of the file that keeps a cartridge's code."""
    return f"console-{cartridge.rom.sha256[:8]}-{key.hex()[:16]}.code"


def _say(warn: Warn, message: str) -> None:
    """Warn, once a process."""
    if message not in _said:
        _said.add(message)
        warn(message)


def _attach_kept(cartridge: Cartridge, key: bytes, warn: Warn) -> bool:
    """Attach code from the cache. Returns whether there is nothing to compile."""
    try:
        content = cache.read_file(file_name(cartridge, key))
        if content is None:
            return False
        image = Image.from_bytes(key, content)
    except ValueError as error:
        _say(warn, f"translation cache: {error}. It is compiled anew")
        return False
    _attach(cartridge, image, warn)
    return True


def _attach(cartridge: Cartridge, image: Image, warn: Warn) -> None:
    try:
        cartridge.attach(image.code, image.entries)
    except OSError as error:
        _say(
            warn,
            f"translation: expected to be allowed to run compiled code, got {error}. The console "
            f"runs on its interpreter, at half the speed. SELinux: allow execmem",
        )


def _compile(cartridge: Cartridge, key: bytes, warn: Warn) -> None:
    from fastpong.console.translate import child  # 4 ms that most processes do not need

    directory = cache.writable_directory()
    if directory is None:
        _say(
            warn,
            "translation cache: expected a directory of your own to write to, got none of "
            f"{', '.join(map(str, cache.candidates()))}. Every process compiles for itself: set "
            "XDG_CACHE_HOME",
        )
    name = file_name(cartridge, key)
    try:
        with child.locked(directory, name):
            # Another process may have compiled it meanwhile. What is wrong was said before.
            if not _attach_kept(cartridge, key, lambda message: None):
                content = child.compile_kept(cartridge.rom, directory, name)
                _attach(cartridge, Image.from_bytes(key, content), warn)
    except (OSError, ValueError, child.SubprocessError) as error:
        _say(
            warn,
            f"translation: expected to compile the cartridge, got {error}. The console runs on its "
            f"interpreter, at half the speed{hint(error)}",
        )


def hint(error: Exception) -> str:
    """Return what to do, where that is known."""
    return ": pip install llvmlite" if "ModuleNotFoundError" in str(error) else ""
