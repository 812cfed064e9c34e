"""Pairs against brute force and against scipy's tree; the curve is continuous."""

import numpy as np
import pytest

from glassmodes.errors import InputError
from glassmodes.kernels import library, neighbours
from glassmodes.kernels.neighbours import distances_examined, find_pairs, hilbert_order

compiled = pytest.mark.skipif(library.load() is None, reason="no compiler here")


def brute_force(x, box, cutoff):
    i, j = np.triu_indices(len(x), 1)
    delta = x[j] - x[i]
    delta -= box * np.rint(delta / box)
    near = np.einsum("pc,pc->p", delta, delta) < cutoff**2
    return i[near], j[near]


BOXES = {
    "cube": lambda d: np.full(d, 6.0),
    "elongated": lambda d: np.array([25.0] + [2.3] * (d - 1)),
    "flat": lambda d: np.array([2.1] + [7.0] * (d - 1)),
    "just_two_cutoffs": lambda d: np.full(d, 2.0 * (1 + 1e-13)),
    "below_two_cutoffs": lambda d: np.linspace(1.2, 1.9, d),
    "three_cells": lambda d: np.full(d, 3.0),
}


@pytest.mark.parametrize("d", [2, 3, 4])
@pytest.mark.parametrize("shape", BOXES)
@pytest.mark.parametrize("tree", [False, True])
def test_pairs_equal_brute_force(d, shape, tree, monkeypatch):
    """Every pair once, ordered, whatever the number of cells along an axis."""
    if tree:
        monkeypatch.setattr(neighbours, "load", lambda: None)
    box = BOXES[shape](d)
    rng = np.random.default_rng(d)
    x = rng.uniform(-3, 5, (300, d)) * box  # far outside the box: wrapping is ours
    i, j = find_pairs(x, box, 1.0)
    want_i, want_j = brute_force(x - box * np.floor(x / box), box, 1.0)
    assert i.dtype == j.dtype == np.int32
    np.testing.assert_array_equal(i, want_i)
    np.testing.assert_array_equal(j, want_j)


@compiled
@pytest.mark.parametrize("d", [2, 3, 4])
def test_lattice_shells_are_complete(d):
    """Sites on cell walls: a hypercubic lattice has 2d nearest neighbours, 2d(d-1) next ones."""
    edge = 5
    grid = np.stack(np.meshgrid(*[np.arange(edge)] * d, indexing="ij"), -1).reshape(-1, d)
    box = np.full(d, float(edge))
    assert len(find_pairs(grid, box, 1.0 + 1e-9)[0]) == d * edge**d
    assert len(find_pairs(grid, box, 1.0)[0]) == 0  # strictly below the cutoff
    assert len(find_pairs(grid, box, 2**0.5 + 1e-9)[0]) == (d + d * (d - 1)) * edge**d


@compiled
def test_crowded_and_empty_boxes():
    """All sites in one corner, far more pairs than the density suggests; and hardly any."""
    box = np.full(3, 50.0)
    x = np.random.default_rng(1).uniform(0, 0.5, (200, 3))
    i, _ = find_pairs(x, box, 1.0)
    assert len(i) == 200 * 199 // 2
    assert len(find_pairs(x[:1], box, 1.0)[0]) == 0
    assert len(find_pairs(x[:0], box, 1.0)[0]) == 0
    far = find_pairs(np.array([[1e-20, 0.0, 0.0], [-1e-20, 0.0, 0.0]]), np.full(3, 1e4), 1e-3)
    assert len(far[0]) == 1


@compiled
@pytest.mark.parametrize("d", [2, 3, 4])
def test_cost_is_linear_at_fixed_density(d):
    """Distances computed per particle do not grow with N, and stay near 3^d cells' worth."""
    per_particle = []
    for edge in (8.0, 16.0) if d < 4 else (5.0, 8.0):
        n = int(edge**d)
        edge *= 1 + 1e-9  # just enough for cells of one cutoff
        x = np.random.default_rng(7).uniform(0, edge, (n, d))
        per_particle.append(distances_examined(x, np.full(d, edge), 1.0) / n)
    # a cell holds one site on average; itself is always met once more, and 3 sigma of noise
    assert per_particle[0] == pytest.approx(3**d + 1, rel=0.15)
    assert per_particle[1] == pytest.approx(3**d + 1, rel=0.05)


def test_bad_arguments_are_refused():
    box = np.ones(3)
    x = np.zeros((4, 3))
    x[2, 1] = np.nan
    with pytest.raises(InputError, match="particle 2 is not finite"):
        find_pairs(x, box, 0.3)
    with pytest.raises(InputError, match="cutoff"):
        find_pairs(np.zeros((4, 3)), box, 0.0)
    with pytest.raises(InputError, match="box edges"):
        find_pairs(np.zeros((4, 3)), -box, 0.3)
    with pytest.raises(InputError, match="do not fit together"):
        find_pairs(np.zeros((4, 2)), box, 0.3)


@pytest.mark.parametrize("d", [2, 3, 4])
def test_hilbert_curve_is_continuous(d):
    """On a grid of 2^m cells an axis each step of the curve goes to a touching cell."""
    edge = 8 if d < 4 else 4
    grid = np.stack(np.meshgrid(*[np.arange(edge)] * d, indexing="ij"), -1).reshape(-1, d)
    order = hilbert_order(grid + 0.5, np.full(d, float(edge)))
    assert sorted(order) == list(range(edge**d))
    steps = np.abs(np.diff(grid[order], axis=0)).sum(axis=1)
    assert (steps == 1).all()


def test_hilbert_order_ignores_periodic_images():
    x = np.random.default_rng(2).uniform(0, 1, (100, 3))
    box = np.array([1.0, 2.0, 0.5])
    images = np.random.default_rng(3).integers(-2, 3, (100, 3))
    np.testing.assert_array_equal(
        hilbert_order(x * box, box), hilbert_order((x + images) * box, box)
    )
