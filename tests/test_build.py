"""Building from source: without a compiler, for others, and for Cython code that cimports us."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import numpy as np
import pytest
from waiting import PATIENCE

import fastpong

ROOT = Path(__file__).resolve().parent.parent
# Where fastpong itself is, if it is not installed beside the other packages.
EXTRA_PATH = [str(Path(fastpong.__file__).parent.parent)]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the sources, so that no build leaves anything behind in the tree.

    All builds here are of one kind, so that one may take the C files of another.
    """
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    ignore = shutil.ignore_patterns("*.so", "*.c", "__pycache__")
    shutil.copytree(ROOT / "fastpong", copy / "fastpong", ignore=ignore)
    setup = (copy / "setup.py").read_text()
    assert "force=True" in setup
    (copy / "setup.py").write_text(setup.replace("force=True", "force=False"))
    return copy


def install(source, target, **environment):
    """Run pip install into ``target`` with a compiler that does not work."""
    command = [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps"]
    command += ["--no-index", "--target", str(target), str(source)]
    env = os.environ | {"CC": "/bin/false", "CXX": "/bin/false"} | environment
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE)


def run(code, target):
    """Run Python with ``target`` before all other packages, and without .pth files: an editable
    install of fastpong would otherwise lend its extension to the copy under test."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("FASTPONG")}
    env["PYTHONPATH"] = os.pathsep.join([str(target), sysconfig.get_path("platlib"), *EXTRA_PATH])
    return subprocess.run(
        [sys.executable, "-S", "-c", code], env=env, cwd=target, capture_output=True, text=True,
        timeout=PATIENCE,
    )  # fmt: skip


def test_without_a_compiler_numba_steps_in_and_says_so_once(source, tmp_path):
    target = tmp_path / "site"
    installed = install(source, target)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    assert not list(target.rglob("_kernels*.so"))
    result = run(
        "import numpy as np\n"
        "from fastpong import kernels\n"
        "print(kernels.__file__, kernels.get_backend().name)\n"
        "print(kernels.discount_rewards(np.array([0.0, 1.0]), 0.5))",
        target,
    )
    assert result.returncode == 0, result.stderr
    assert (
        str(target) in result.stdout and "numba" in result.stdout and "[0.5 1. ]" in result.stdout
    )
    assert result.stderr.count("built without one") == 1
    asked = run("from fastpong import kernels; kernels.get_backend('cython')", target)
    assert "ImportError: backend 'cython' cannot be loaded" in asked.stderr
    assert "install a C compiler" in asked.stderr


def test_a_source_directory_names_itself_as_the_cause(source):
    result = run("from fastpong import kernels; print(kernels.get_backend().name)", source)
    assert result.stdout.strip() == "numba"
    assert f"leave {source}" in result.stderr and f"pip install -e {source}" in result.stderr
    assert "built without" not in result.stderr


def test_a_build_for_others_fails_without_a_compiler(source, tmp_path):
    installed = install(source, tmp_path / "site", FASTPONG_REQUIRE_EXTENSION="1")
    assert installed.returncode != 0
    assert "/bin/false" in installed.stdout + installed.stderr


def copied(directory):
    """Return the checkout's files by their paths, but for what a build or a test leaves there."""
    made = {path.with_suffix(".c") for path in (ROOT / "fastpong").rglob("*.pyx")}
    names = ("tests", "benchmarks", "examples", "docs", "fastpong", ".ci")
    files = [path for name in names for path in (ROOT / name).rglob("*") if path.is_file()]
    files += [ROOT / n for n in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md")]
    files += [ROOT / n for n in ("LICENSE", "CHANGELOG.md", "CONTRIBUTING.md")]
    files = [path for path in files if "__pycache__" not in path.parts and path not in made]
    files = [path for path in files if path.suffix not in (".so", ".html")]
    for path in files:
        place = directory / path.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    return {path.relative_to(ROOT).as_posix() for path in files}


def test_a_source_distribution_has_all_that_its_tests_need(tmp_path):
    files = copied(tmp_path / "source")
    code = "from setuptools import build_meta; print(build_meta.build_sdist('dist'))"
    built = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "source", capture_output=True, text=True,
        timeout=PATIENCE,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    (archive,) = (tmp_path / "source" / "dist").glob("fastpong-*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(tmp_path, filter="data")
    (home,) = tmp_path.glob("fastpong-*")
    found = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}
    assert sorted(files - found) == []
    assert not [name for name in found if name.endswith((".so", ".pyc"))]
    tests = ["tests/settings/test_stages.py", "tests/kernels/test_frames.py"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=home, env=os.environ | {"PYTHONPATH": EXTRA_PATH[0]}, capture_output=True, text=True,
        timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


PROGRAM = """
from fastpong._kernels cimport c_discount_rewards, c_sparse_difference_frame

def run(const double[::1] rewards, double[::1] out):
    with nogil:
        c_discount_rewards(rewards, 0.5, out, True)
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_other_cython_code_can_cimport_the_cores(tmp_path):
    (tmp_path / "guest.pyx").write_text(PROGRAM)
    built = subprocess.run(
        [sys.executable, "-m", "Cython.Build.Cythonize", "-3", "-i", "guest.pyx"],
        env=os.environ | {"PYTHONPATH": EXTRA_PATH[0]},
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    # It imports the compiled modules before fastpong.kernels, which must find them all the same.
    result = run(
        "import guest, numpy as np; out = np.zeros(3); guest.run(np.array([0.0, 1.0, 1.0]), out);"
        "from fastpong import kernels; print(*out, kernels.get_backend().name)",
        tmp_path,
    )
    assert result.stdout.split() == ["0.5", "1.0", "1.0", "cython"], result.stderr
    assert not result.stderr


def test_the_compiled_module_is_the_default():
    from fastpong import kernels

    if "FASTPONG_BACKEND" not in os.environ:
        assert kernels.get_backend().name == "cython"
    np.testing.assert_array_equal(
        kernels.discount_rewards(np.array([0.0, 1.0]), 0.5), np.array([0.5, 1.0])
    )
