"""The compiled kernels: built once by whoever comes first; numpy serves where no compiler is."""

import os
import subprocess
import sys

LOAD = "from glassmodes.kernels.library import load; print(load() is not None)"


def start(code, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_processes_that_start_together_share_one_library(tmp_path):
    together = [start(LOAD, GLASSMODES_CACHE=str(tmp_path)) for _ in range(2)]
    for process in together:
        output, errors = process.communicate(timeout=300)
        assert output.strip() == "True", errors
    built = list(tmp_path.iterdir())
    assert len(built) == 1 and built[0].suffix == ".so"
    before = built[0].stat().st_mtime_ns
    # A compute node without a compiler uses what the set-up built.
    late = start(LOAD, GLASSMODES_CACHE=str(tmp_path), PATH="", CXX="")
    assert late.communicate(timeout=60)[0].strip() == "True"
    assert built[0].stat().st_mtime_ns == before


def test_without_a_compiler_the_numpy_twins_serve_with_one_warning(tmp_path):
    code = """
import numpy as np
from glassmodes.kernels.neighbours import find_pairs
from glassmodes.kernels.block import EdgeProduct
points = np.array([[0.1, 0.1, 0.1], [0.4, 0.1, 0.1], [1.9, 0.1, 0.1]])
i, j = find_pairs(points, np.full(3, 2.0), 0.5)
assert list(zip(i, j)) == [(0, 1), (0, 2)], (i, j)
product = EdgeProduct(3, 3, i, j, np.eye(3)[:2], np.ones(2), np.zeros(2))
x, y = np.arange(9.0).reshape(9, 1), np.zeros((9, 1))
product.accumulate(x, y, 1.0, 0.0)
assert np.array_equal(y, product.to_csr() @ x)
"""
    process = start(code, GLASSMODES_CACHE=str(tmp_path), PATH=str(tmp_path), CXX="")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert errors.count("running on the slow numpy kernels") == 1
    assert "install g++" in errors
