"""Compile translated code with llvmlite, to bytes that run anywhere in memory."""

from __future__ import annotations

import platform
import struct

import llvmlite.binding as llvm

X86_PC32, X86_PLT32, X86_PC64 = 2, 4, 24


def compile_assembly(text: str, level: int = 1) -> bytes:
    """Return an object file of LLVM's assembly, for any CPU of this kind."""
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
