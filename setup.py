"""Build the Cython kernels; everything else is in pyproject.toml.

FASTPONG_DEBUG=1              every check on (bounds, initialisation), assertions of C kept
FASTPONG_SANITIZE=1           AddressSanitizer and UndefinedBehaviorSanitizer of GCC or Clang in all
                              compiled code. It loads only where their library is loaded first,
                              as .ci/sanitize does
FASTPONG_REQUIRE_EXTENSION=1  a failing C compiler fails the build: set it for wheels that are
                              given to others. Without it a source install on a machine that has
                              no compiler still succeeds, and fastpong runs on Numba.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

DEBUG = os.environ.get("FASTPONG_DEBUG") == "1"
SANITIZED = os.environ.get("FASTPONG_SANITIZE") == "1"
REQUIRED = os.environ.get("FASTPONG_REQUIRE_EXTENSION") == "1"

# -ffp-contract=off: no fused multiply-add, so that every machine computes the same bits.
# The -fno flags give up errno and signalling NaNs, not bits; they let loops be vectorised.
UNIX_FLAGS = ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
UNIX_FLAGS += ["-O1", "-g", "-UNDEBUG"] if DEBUG or SANITIZED else ["-O3"]
# Unroll-and-jam fuses two rounds of the loop over pixels and loses its vector form: 1.9 us
# instead of 0.4 for a forward pass, GCC 12. Other compilers do not know the flag.
GCC_FLAGS = ["-fno-loop-unroll-and-jam"]
MSVC_FLAGS = ["/O2", "/fp:precise"]

# What is undefined ends the process, in files of C of the debug build by traps, which need no
# library. All of "undefined" takes four times as long to compile.
SANITIZE = "bounds,shift,signed-integer-overflow,integer-divide-by-zero,bool,enum"
GCC_TRAPS = [f"-fsanitize={SANITIZE}", "-fsanitize-undefined-trap-on-error"]
CLANG_TRAPS = [f"-fsanitize={SANITIZE}", f"-fsanitize-trap={SANITIZE}"]

# The first finding ends the process, with a report. The code is that of the release build: the
# checks of the debug build would raise before a sanitizer sees anything.
SANITIZERS = [f"-fsanitize=address,{SANITIZE}", "-fno-sanitize-recover=all"]
SANITIZERS += ["-fno-omit-frame-pointer"]

CORE = Path("fastpong/console/core")
"""The console's chips, in C."""

FAMILIES = ("cells", "conv", "losses", "optimizers", "replay", "returns", "statistics")
"""Those with a file of their own. _kernels.pyx holds the others, for others to cimport."""

FRAMES_CORE = Path("fastpong/kernels/cython/core")
"""The family "atari", in C."""

DIRECTIVES = {
    "language_level": 3,
    "binding": False,
    "embedsignature": True,
    "cdivision": not DEBUG,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "overflowcheck": DEBUG,
}


class BuildExt(build_ext):
    """Chooses the flags once the compiler is known; may do without the extension."""

    def build_extensions(self):
        msvc, gcc = self.compiler.compiler_type == "msvc", self.is_gcc()
        if SANITIZED and (msvc or DEBUG):
            raise SystemExit("FASTPONG_SANITIZE: expected GCC or Clang, and no FASTPONG_DEBUG")
        flags = MSVC_FLAGS if msvc else list(UNIX_FLAGS)
        if gcc:
            flags += GCC_FLAGS
        traps = [] if msvc or not DEBUG else GCC_TRAPS if gcc else CLANG_TRAPS
        for extension in self.extensions:
            in_c = extension.name in ("fastpong.console.machine", "fastpong.kernels.cython.atari")
            extension.extra_compile_args = flags + traps * in_c + SANITIZERS * SANITIZED
            extension.extra_link_args = SANITIZERS * SANITIZED
        super().build_extensions()

    def is_gcc(self):
        """Ask the compiler; one that does not answer is none."""
        command = getattr(self.compiler, "compiler_so", None)
        if not command:
            return False
        try:
            answer = subprocess.run([command[0], "--version"], capture_output=True, text=True)
        except OSError:
            return False
        return "Free Software Foundation" in answer.stdout

    def build_extension(self, extension):
        # Extension(optional=True) would do, but cythonize() drops it.
        try:
            super().build_extension(extension)
        except (CCompilerError, BaseError) as error:
            if REQUIRED:
                raise
            print(
                f"warning: {extension.name} is left out, fastpong runs without it, slower: {error}"
            )
            extension.optional = True  # what setuptools asks before it copies or lists the file


def extensions():
    """Return the kernels, a file each, and the console."""
    kernels = ["fastpong._kernels", "fastpong.kernels.fit"]
    kernels += (f"fastpong.kernels.cython.{f}" for f in FAMILIES)
    for name in (*kernels, "fastpong.envs.uniforms", "fastpong.acting.loop"):
        # The loop runs the console, whose header it reads.
        headers = [str(CORE), numpy.get_include()]
        yield Extension(name, [f"{name.replace('.', '/')}.pyx"], include_dirs=headers)
    yield Extension(
        "fastpong.kernels.cython.atari",
        ["fastpong/kernels/cython/atari.pyx", *sorted(str(p) for p in FRAMES_CORE.glob("*.c"))],
        include_dirs=[str(FRAMES_CORE), numpy.get_include()],
        depends=sorted(str(path) for path in FRAMES_CORE.glob("*.h")),
    )
    yield Extension(
        "fastpong.console.machine",
        ["fastpong/console/machine.pyx", *sorted(str(path) for path in CORE.glob("*.c"))],
        include_dirs=[str(CORE)],
        depends=sorted(str(path) for path in CORE.glob("*.h")),
    )


def describes_only():
    """Return whether nothing is compiled: pip asks for metadata twice before it builds."""
    words = {*sys.argv[1:]}
    builds = [word for word in words if word.startswith(("build", "bdist", "develop", "install"))]
    return bool(words & {"sdist", "egg_info", "dist_info"}) and not builds


def compiled(modules):
    """Translate the modules to C, unless only their names are asked for."""
    if describes_only():
        return modules
    # A debug build must never reuse the C file of a release build, nor the other way round.
    return cythonize(modules, compiler_directives=DIRECTIVES, force=True)


setup(
    ext_modules=compiled(list(extensions())),
    cmdclass={"build_ext": BuildExt},
)
