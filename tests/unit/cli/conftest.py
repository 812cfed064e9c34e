"""A folder with good files, and a way to call the program in this process."""

import numpy as np
import pytest
import scipy.sparse as sp
from command_line import arrays, chain, triangular

from glassmodes import cli


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a good sample in several formats and a foreign matrix."""
    sample = triangular()
    sample.write(tmp_path / "good.h5")
    np.savez(tmp_path / "good.npz", **arrays(sample))
    sp.save_npz(tmp_path / "matrix.npz", chain(40))
    return tmp_path


@pytest.fixture
def call(capfd):
    """Call the program in this process; return (exit code, stdout, stderr)."""

    def run(*words):
        code = cli.main([str(word) for word in words])
        return code, *capfd.readouterr()

    return run
