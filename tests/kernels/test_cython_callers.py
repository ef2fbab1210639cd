"""A user's Cython module that cimports the cores of all kernels, built against this package."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from declared import raw_arguments
from kernel_cases import CASES, declaration
from tolerances import assert_same
from waiting import PATIENCE

import fastpong
from fastpong import kernels

GUEST = Path(__file__).parents[1] / "support" / "guest.pyx"
PACKAGE = Path(fastpong.__file__).parent
KERNELS = sorted({case.partition(", ")[0] for case in CASES})
SETUP = """
from setuptools import Extension, setup
setup(name="guest", ext_modules=[Extension("guest", ["guest.pyx"])])
"""

pytestmark = [
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
    pytest.mark.xdist_group("cython guest"),
]


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("guest")
    shutil.copy(GUEST, folder)
    (folder / "setup.py").write_text(SETUP)
    built = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        env=os.environ | {"CFLAGS": "-O0", "PYTHONPATH": str(PACKAGE.parent)},
        cwd=folder, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("guest.*.so")
    spec = importlib.util.spec_from_file_location("guest", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_cores_take_plain_buffers_and_give_the_same_bits(guest: Any) -> None:
    for name in KERNELS:
        kernel = declaration(name)
        mine, outputs = raw_arguments(kernel, "float64", read_only=False)
        other, wanted = raw_arguments(kernel, "float64", read_only=False)
        raw = kernels.get_backend("cython").raw[kernel]
        function = getattr(guest, name, None) or getattr(guest, kernel.raw)
        assert function(*mine) == raw(*other), name
        for key, output in outputs.items():
            assert_same(output, wanted[key])


def test_cores_of_a_tree_do_what_its_methods_do(guest: Any) -> None:
    one, other = kernels.SumTree(100), kernels.SumTree(100)
    places = np.arange(0, 100, 3)
    priorities = np.random.default_rng(1).random(len(places))
    one.update(places, priorities)
    assert guest.tree_update(other.nodes, 100, places, priorities) == -1
    assert_same(one.nodes, other.nodes)
    assert guest.tree_room(100) <= one.nodes.size
    sums = np.linspace(0, 0.99 * one.sum(), 7)
    found = np.empty(7, np.int64)
    assert guest.tree_find(other.nodes, 100, sums, found) == -1
    assert_same(found, one.find(sums))
    drawn, drawn_priorities = np.empty(7, np.int64), np.empty(7)
    uniforms = np.random.default_rng(2).random(7)
    assert guest.tree_sample(other.nodes, 100, uniforms, drawn, drawn_priorities) == -1
    assert_same(drawn_priorities, one.get(drawn))


def test_a_stack_is_gathered_over_the_end_of_the_buffer(guest: Any) -> None:
    frames = np.arange(5, dtype=np.uint8).repeat(3).reshape(5, 3)
    ages = np.array([9, 9, 0, 1, 9], np.uint8)
    out = np.empty((4, 3), np.uint8)
    guest.gather_stack(frames, ages, 5, False, 1, out)
    assert out[:, 0].tolist() == [3, 4, 0, 1]
    guest.gather_stack(frames, ages, 5, True, 3, out)
    assert out[:, 0].tolist() == [0, 0, 2, 3]


def test_optional_arguments_may_be_left_out(guest: Any) -> None:
    values = np.random.default_rng(1).standard_normal(99)
    out = np.zeros(99)
    guest.standardize_by_default(values, out, True)
    assert_same(out, kernels.standardize(values))


def test_gradients_are_clipped_by_the_cores(guest: Any) -> None:
    gradient, other = np.arange(99.0), np.arange(99.0)
    assert guest.clip_grad_norm(gradient, 2.0) == kernels.clip_grad_norm(other, 2.0)
    assert_same(gradient, other)


def test_all_cores_are_in_the_guest() -> None:
    used = GUEST.read_text()
    for path in (PACKAGE / "_kernels.pxd", *(PACKAGE / "kernels" / "cython").glob("*.pxd")):
        cores = set(re.findall(r"^cdef (?:\w+ )?(c_\w+)\(", path.read_text(), re.MULTILINE))
        assert cores
        for core in cores:
            assert f"{core}(" in used, core


def test_each_compiled_kernel_has_a_core() -> None:
    text = "".join(
        path.read_text()
        for path in (PACKAGE / "_kernels.pxd", *(PACKAGE / "kernels" / "cython").glob("*.pxd"))
    )
    for name in KERNELS:
        # Screens of palette indices and in colour are the core's argument.
        raw = declaration(name).raw.removesuffix("_palette").removesuffix("_rgb")
        assert f"c_{name}(" in text or f"c_{raw}(" in text, name
