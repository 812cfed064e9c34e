"""Windows inside the spectrum at any number of ranks."""

import numpy as np
import pytest
from lattices import SpringLattice, disordered_operator, translation_vectors

from glassmodes.spectra import window_costs, windows
from glassmodes.spectra.window_transforms import Incomplete
from glassmodes.spectra.windows import modes_in_window, slice_window


def build(comm):
    operator = disordered_operator(comm, 260, 3, 1)
    operator.null_space = translation_vectors(operator)
    return operator


@pytest.mark.parametrize("method", ["filtered", "shift-invert", "lowest", "slepc", "dense"])
@pytest.mark.parametrize("certificate", ["inertia", "count"])
def test_windows(comm, comm_self, method, certificate):
    exact = np.linalg.eigvalsh(build(comm_self).local_rows().toarray())[3:]
    low, high = (exact[99] + exact[100]) / 2, (exact[159] + exact[160]) / 2
    operator = build(comm)
    modes = modes_in_window(operator, low, high, slices=2, method=method, certificate=certificate)
    np.testing.assert_allclose(modes.values, exact[100:160], rtol=1e-9)
    overlaps = operator.inner(modes.vectors, modes.vectors)
    # Two slices: residual / distance, 1e-8 / 1e-4 at worst.
    np.testing.assert_allclose(overlaps, np.eye(60), atol=1e-4)
    assert modes.certified == (certificate == "inertia")
    alone = slice_window(build(comm_self), low, high, 2)
    np.testing.assert_allclose(modes.cuts, alone.cuts, rtol=1e-9)
    # The same random vectors on any number of ranks.
    assert modes.expected == pytest.approx(alone.density.between(low, high)[0], abs=1e-6)


@pytest.mark.parametrize("method", ["filtered", "shift-invert"])
def test_degenerate_lattice(comm, method):
    lattice = SpringLattice("fcc", 4)
    exact = lattice.exact_eigenvalues()
    modes = modes_in_window(lattice.operator(comm), 0.9, 2.5, method=method)
    inside = exact[(exact > 0.9) & (exact < 2.5)]
    np.testing.assert_allclose(modes.values, inside, atol=1e-11)
    assert modes.certified and modes.counted == len(inside)


@pytest.mark.parametrize("certificate", ["inertia", "none"])
def test_a_multiplet_at_an_end_that_lanczos_does_not_get(comm, monkeypatch, certificate):
    """What `auto` falls back on lists all copies, on every rank."""

    def solve(*arguments, **options):
        raise Incomplete("the basis is full")

    monkeypatch.setattr(windows, "window_lanczos", solve)
    monkeypatch.setattr(window_costs, "choose", lambda costs, room: "filtered")
    lattice = SpringLattice("fcc", 4)
    exact = lattice.exact_eigenvalues()
    levels, copies = np.unique(np.round(exact, 9), return_counts=True)
    end = levels[np.flatnonzero(copies > 8)[2]]
    operator = lattice.operator(comm)
    modes = modes_in_window(operator, 0.5, end * (1 - 1e-14), certificate=certificate)
    inside = exact[(exact > 0.5) & (exact < end + 1e-6)]
    np.testing.assert_allclose(modes.values, inside, atol=1e-11)
    assert modes.solver["slices"][0]["method"] == "dense"
