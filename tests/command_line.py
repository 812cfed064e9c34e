"""Small samples and the expectations that all tests of the command line share."""

import re

import numpy as np
import scipy.sparse as sp

from glassmodes import models
from glassmodes.sample import Sample


def triangular(columns=6, rows=6, density=0.86):
    """Return a triangular lattice of one species: force-free by symmetry and stable."""
    a = np.sqrt(2 / (np.sqrt(3) * density))
    x, y = np.meshgrid(np.arange(columns), np.arange(rows), indexing="ij")
    positions = np.stack([(x + 0.5 * (y % 2)) * a, y * a * np.sqrt(3) / 2], axis=-1).reshape(-1, 2)
    box = [columns * a, rows * a * np.sqrt(3) / 2]
    return Sample(positions, box, model=models.named("ipl_2d").spec())


def square(edge=6, density=0.86):
    """Return a square lattice: force-free by symmetry, unstable against shear."""
    a = density**-0.5
    sites = np.stack(np.meshgrid(*[np.arange(edge)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    return Sample(sites * a, [edge * a] * 2, model=models.named("ipl_2d").spec())


def arrays(sample, **changes):
    content = {"positions": sample.positions, "box": sample.box, "species": sample.species}
    return content | changes


def chain(n):
    """Return the Laplacian of a ring of n masses: eigenvalues 4 sin²(πk/n)."""
    return sp.diags([2.0, -1.0, -1.0, -1.0, -1.0], [0, 1, -1, n - 1, 1 - n], shape=(n, n)).tocsr()


def assert_one_line(code, out, err, *expected):
    """A bad call: exit code 2, an empty stdout, one line on stderr that says `expected`."""
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert err.startswith("glassmodes: error: ")
    for text in expected:
        assert re.search(text, err), f"{text!r} not in {err!r}"
