"""What one core of this machine can do: stream triad and matrix times matrix."""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np
from rows import measure

_TRIAD = """
extern "C" void triad(long n, double *a, const double *b, const double *c, double s) {
    for (long i = 0; i < n; i++) a[i] = b[i] + s * c[i];
}
"""
_LENGTH = 20_000_000  # three arrays of 160 MB: far beyond every cache
_ORDER = 2000


@cache
def triad() -> float:
    """Return the bandwidth of a_i = b_i + s c_i in GB/s, 24 bytes an element."""
    sweep = _sweep()
    _, seconds = measure(sweep)
    return 24e-9 * _LENGTH / seconds


def shared_triad(comm) -> float:
    """Return the bandwidth a rank in GB/s while all ranks of `comm` run the triad.  Collective."""
    sweep, repeats = _sweep(), 5
    sweep()
    comm.Barrier()
    begin = time.perf_counter()
    for _ in range(repeats):
        sweep()
    comm.Barrier()
    return 24e-9 * _LENGTH * repeats / (time.perf_counter() - begin)


@cache
def dgemm() -> float:
    """Return the speed of a product of two dense matrices in GF/s."""
    matrix = np.random.default_rng(0).random((_ORDER, _ORDER))
    _, seconds = measure(lambda: matrix @ matrix)
    return 2e-9 * _ORDER**3 / seconds


def _sweep():
    """Compile the triad; return a call that runs it once over its arrays."""
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "triad.cpp"), Path(folder, "triad.so")
        source.write_text(_TRIAD)
        flags = ["-O3", "-march=native", "-fPIC", "-shared"]
        compiler = os.environ.get("CXX", "g++")
        subprocess.run([compiler, *flags, "-o", str(library), str(source)], check=True)
        kernel = ctypes.CDLL(str(library)).triad
    arrays = [np.ones(_LENGTH) for _ in range(3)]
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
    return lambda: (kernel(ctypes.c_long(_LENGTH), *pointers, ctypes.c_double(3.0)), arrays)
