"""Compile a cartridge with llvmlite. Run in a process of its own, see child.py.

That keeps LLVM's 100 MB and the GIL that writing assembly takes out of the process that plays.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import signal
import sys
from pathlib import Path

import numpy as np

from fastpong.console.cartridge import Rom
from fastpong.console.machine import Cartridge, facts
from fastpong.console.translate.cache import write_file
from fastpong.console.translate.emitter import Emitter
from fastpong.console.translate.image import Image, image_key
from fastpong.console.translate.link import link
from fastpong.console.translate.reach import explore

LEVEL = 2
"""Of LLVM's optimisation."""

PROFILED_FRAMES = 1000
"""Played to see where pointers lead. 0.1 s."""

NICE = 10
LIMIT_SECONDS = 120


def compile_image(rom: Rom) -> Image:
    """Translate a cartridge. 1 s, of which LLVM takes nine tenths.

    Raises ImportError without llvmlite.
    """
    code = explore(rom.data, Cartridge(rom).profile(PROFILED_FRAMES))
    if not code.entries:
        raise ValueError(f"{rom.name}: expected a cartridge that starts within its ROM")
    machine_code = link(compile_assembly(Emitter(code, facts()).emit(), LEVEL))
    entries = np.array(sorted(code.entries), np.uint16)
    return Image(np.frombuffer(machine_code, np.uint8), entries)


def compile_assembly(text: str, level: int) -> bytes:
    """Return an object file of LLVM's assembly, for every CPU of this kind."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = f"{platform.machine()}-unknown-linux-gnu"
    target = llvm.Target.from_triple(triple)
    machine = target.create_target_machine(opt=level, reloc="pic", codemodel="small")
    module = llvm.parse_assembly(text)
    module.verify()
    module.triple = triple
    module.data_layout = str(machine.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=level)
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return bytes(machine.emit_object(module))


def main(arguments: dict[str, str | None]) -> None:
    """Compile the ROM on standard input, keep the image and write it to standard output.

    arguments : of ``child.compile_kept``
    """
    os.nice(NICE)
    signal.alarm(LIMIT_SECONDS)  # whatever LLVM does
    data = sys.stdin.buffer.read()
    rom = Rom(str(arguments["name"]), data, hashlib.sha256(data).hexdigest())
    content = compile_image(rom).to_bytes(image_key(rom))
    if arguments["directory"]:
        with contextlib.suppress(OSError):  # a full disk costs the next process a compilation
            write_file(Path(arguments["directory"]), str(arguments["file"]), content)
    sys.stdout.buffer.write(content)
