"""Vibrations and mechanics of glasses and disordered lattices.

Importing the package pins every BLAS to one thread before numpy loads: the
parallelism of glassmodes is MPI ranks and samples side by side, and a threaded
BLAS under ranks only slows them down.  ``GLASSMODES_BLAS_THREADS`` overrides it.
"""

import os

_threads = os.environ.get("GLASSMODES_BLAS_THREADS", "1")
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = _threads

__version__ = "0.1.0"
