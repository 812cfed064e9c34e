"""Dipole stiffness against the spectral sum, both ways to solve, and bounds."""

from dataclasses import replace

import numpy as np
import pytest

from glassmodes.domain import Domain
from glassmodes.errors import InputError
from glassmodes.kernels.neighbours import hilbert_order
from glassmodes.mechanics import hessian
from glassmodes.mechanics.interactions import domain_interactions, find_interactions
from glassmodes.observables import dipoles
from glassmodes.observables.dipoles import (
    all_contacts,
    check_pairs,
    dipole_stiffness,
    random_contacts,
)
from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.observables.stability import find_floppy_modes, require_stable
from glassmodes.sample import Sample


@pytest.fixture(scope="module")
def contacts(glass, dense_system):
    """Return all contacts; in 4D, where they are many, those of a quarter of the particles."""
    pairs = all_contacts(dense_system.interactions)
    quarter = glass.wrapped()[:, :2] < 0.55 * glass.box[:2]
    inside = quarter.all(axis=1) if glass.dimension == 4 else np.full(len(quarter), True)
    return pairs[inside[pairs].all(axis=1)]


@pytest.fixture(scope="module")
def by_pairs(dense_system, contacts):
    return dipole_stiffness(dense_system, contacts, column_memory=0)


def test_stiffness_is_the_spectral_sum_in_mass_weighted_modes(glass, dense_system, contacts):
    """κ = Σ c²/ω² / Σ c²/ω⁴ with c the overlap of ∂r_ij/∂q and a mode, q = √m x."""
    inter = dense_system.pairs
    values, modes = np.linalg.eigh(hessian.sparse(inter, glass.masses).toarray())
    values, modes = values[inter.d :], modes[:, inter.d :]
    chosen = contacts[::7]
    response = dipole_stiffness(dense_system, chosen)
    for k, (i, j) in enumerate(chosen):
        force = np.zeros((inter.n, inter.d))
        (p,) = np.flatnonzero((inter.i == i) & (inter.j == j))
        force[j] = inter.vector[p] / inter.distance[p]
        force[i] = -force[j]
        overlap = modes.T @ (force / np.sqrt(glass.masses)[:, None]).ravel()
        expected = (overlap**2 / values).sum() / (overlap**2 / values**2).sum()
        assert response.stiffness[k] == pytest.approx(expected, rel=1e-9)


def test_stiffness_lies_within_the_spectrum(glass, dense_system, by_pairs):
    values = np.linalg.eigvalsh(hessian.sparse(dense_system.pairs, glass.masses).toarray())
    assert values[glass.dimension] <= by_pairs.stiffness.min()
    assert by_pairs.stiffness.max() <= values[-1]
    assert by_pairs.residuals.max() < 1e-11
    assert by_pairs.solves == len(by_pairs.pairs)


def test_responses_of_particles_combine_to_those_of_pairs(glass, dense_system, contacts, by_pairs):
    by_columns = dipole_stiffness(dense_system, contacts)
    assert by_columns.solves == len(np.unique(contacts)) * glass.dimension < len(contacts)
    np.testing.assert_allclose(by_columns.stiffness, by_pairs.stiffness, rtol=1e-9)
    assert by_columns.residuals.max() < 1e-11


def test_order_of_pairs_and_ends_does_not_matter(dense_system, contacts, by_pairs):
    order = np.random.default_rng(0).permutation(len(contacts))
    turned = contacts[order][:, ::-1]
    for memory in (0, 2**30):
        found = dipole_stiffness(dense_system, turned, column_memory=memory)
        np.testing.assert_array_equal(found.pairs, turned)
        np.testing.assert_allclose(found.stiffness, by_pairs.stiffness[order], rtol=1e-9)


def test_batches_do_not_matter(dense_system, contacts, by_pairs, monkeypatch):
    found = dipole_stiffness(dense_system, contacts[:40], batch=7)
    np.testing.assert_allclose(found.stiffness, by_pairs.stiffness[:40], rtol=1e-11)
    monkeypatch.setattr(dipoles, "BLOCK_MEMORY", 1)  # as in samples too large for two columns
    found = dipole_stiffness(dense_system, contacts[:5])
    np.testing.assert_allclose(found.stiffness, by_pairs.stiffness[:5], rtol=1e-11)


def test_without_memory_for_columns_pairs_are_solved(
    dense_system, contacts, by_pairs, monkeypatch, caplog
):
    monkeypatch.setattr(dipoles.memory, "available", lambda comm: 1000)
    with caplog.at_level("WARNING"):
        found = dipole_stiffness(dense_system, contacts)
    assert found.solves == len(contacts) and "little memory" in caplog.text
    np.testing.assert_allclose(found.stiffness, by_pairs.stiffness, rtol=1e-11)


def test_pairs_need_not_be_contacts(dense_system):
    inter = dense_system.pairs
    apart = [[0, k] for k in range(1, inter.n) if k not in set(inter.j[inter.i == 0])][:3]
    response = dipole_stiffness(dense_system, np.array(apart))
    assert (response.stiffness > 0).all() and response.residuals.max() < 1e-11


def test_a_common_mass_divides_the_stiffness(glass, dense_system, contacts, dense_system_of):
    light = dense_system_of(replace(glass, masses=np.ones(glass.particles)))
    heavy = dense_system_of(replace(glass, masses=np.full(glass.particles, 5.0)))
    chosen = contacts[::11]
    expected = dipole_stiffness(light, chosen).stiffness / 5
    np.testing.assert_allclose(dipole_stiffness(heavy, chosen).stiffness, expected, rtol=1e-11)


@pytest.mark.parametrize("solver", ("factor", "cg"))
def test_solvers_of_the_package_agree_with_exact_solves(
    comm_self, glass, contacts, by_pairs, solver
):
    """A shifted factor without refinement would be off by up to a percent."""
    system = HarmonicSystem(comm_self, glass, solver=solver)
    try:
        found = dipole_stiffness(system, contacts[::17])
    finally:
        system.destroy()
    np.testing.assert_allclose(found.stiffness, by_pairs.stiffness[::17], rtol=1e-8)
    assert found.residuals.max() < 1e-9


def cut_triangular_network():
    """Return positions, box and bonds of a triangular lattice without every 20th bond."""
    cells = np.stack(np.meshgrid(np.arange(6), np.arange(4), indexing="ij"), -1).reshape(-1, 1, 2)
    edges = np.array([1.0, np.sqrt(3)])
    positions = ((cells + [(0, 0), (0.5, 0.5)]) * edges).reshape(-1, 2)
    i, j = np.triu_indices(len(positions), 1)
    vector = positions[j] - positions[i]
    vector -= np.array([6, 4]) * edges * np.rint(vector / (np.array([6, 4]) * edges))
    near = np.abs(np.linalg.norm(vector, axis=1) - 1) < 1e-9
    bonds = np.stack([i[near], j[near]], axis=1)
    return positions, np.array([6, 4]) * edges, np.delete(bonds, slice(0, None, 20), axis=0)


def test_particles_without_contacts_stay_out(comm_self, dense_system_of):
    """A free particle beside a triangular lattice changes no stiffness, whatever its mass."""
    positions, box, bonds = cut_triangular_network()
    masses = np.linspace(1, 2, len(positions))
    alone = Sample(positions, box, bonds=bonds, masses=masses)
    joined = Sample(
        np.vstack([positions, [[0.4, 0.3]]]), box, bonds=bonds, masses=np.append(masses, 50.0)
    )
    expected = dipole_stiffness(dense_system_of(alone), bonds).stiffness
    system = HarmonicSystem(comm_self, joined)
    try:
        for memory in (0, 2**30):
            found = dipole_stiffness(system, bonds, column_memory=memory)
            np.testing.assert_allclose(found.stiffness, expected, rtol=1e-9)
            assert found.residuals.max() < 1e-9
    finally:
        system.destroy()


@pytest.mark.parametrize("solver", ["factor", "cg"])
def test_floppy_particles_stay_out_of_the_pseudo_inverse(comm_self, solver):
    """Particles on one bond turn about it at no cost; two free ones answer nothing."""
    positions, box, bonds = cut_triangular_network()
    n = len(positions)
    positions = np.vstack([positions, [[0.4, 0.3], [2.3, 0.4], [3.3, 0.2], [4.3, 0.3]]])
    bonds = np.vstack([bonds, [[0, n], [5, n + 1]]])
    masses = np.linspace(1, 2, n + 4)
    system = HarmonicSystem(comm_self, Sample(positions, box, bonds=bonds, masses=masses))
    values, modes = np.linalg.eigh(system.matrix().toarray())
    stiff = values > 1e-9 * values[-1]
    assert np.sum(~stiff) == 2 + 2 + 4
    pairs = np.vstack([bonds, [[3, n], [n, n + 1], [n + 2, 7], [n + 2, n + 3]]])
    try:
        require_stable(system)
        find_floppy_modes(system)
        assert system.floppy_modes == 2
        found = dipole_stiffness(system, pairs)
    finally:
        system.destroy()
    for k, (i, j) in enumerate(pairs[:-1]):
        force = np.zeros((n + 4, 2))
        vector = positions[j] - positions[i]
        force[j] = vector - box * np.rint(vector / box)
        force[i] = -force[j]
        overlap = modes[:, stiff].T @ (force / np.sqrt(masses)[:, None]).ravel()
        expected = np.sum(overlap**2 / values[stiff]) / np.sum(overlap**2 / values[stiff] ** 2)
        assert found.stiffness[k] == pytest.approx(expected, rel=1e-9)
    assert found.residuals[: len(bonds)].max() < 1e-9
    # The last pair moves nothing that has stiffness.
    assert found.stiffness[-1] == 0 and found.residuals[-1] == pytest.approx(1)


def test_random_contacts_are_distinct_contacts_and_repeatable(dense_system):
    inter = dense_system.interactions
    whole = np.stack([dense_system.pairs.i, dense_system.pairs.j], axis=1)
    np.testing.assert_array_equal(all_contacts(inter), whole)  # numbered as in the sample
    drawn = random_contacts(inter, 30, seed=5)
    every = all_contacts(inter)
    assert {tuple(p) for p in drawn} <= {tuple(p) for p in every}
    assert len({tuple(p) for p in drawn}) == 30
    np.testing.assert_array_equal(drawn, random_contacts(inter, 30, seed=5))
    assert not np.array_equal(drawn, random_contacts(inter, 30, seed=6))
    np.testing.assert_array_equal(random_contacts(inter, len(inter), seed=0), every)


def test_contacts_are_drawn_along_the_curve(comm_self, glass):
    """In a sample that is sorted along it, a draw is that from its list of pairs."""
    order = hilbert_order(glass.positions, glass.box)
    arrays = {name: getattr(glass, name)[order] for name in ("positions", "species", "masses")}
    glass = replace(glass, **arrays)
    pairs = find_interactions(glass)
    chosen = np.random.default_rng(5).choice(len(pairs), 30, replace=False)
    expected = np.stack([pairs.i, pairs.j], axis=1)[np.sort(chosen)]
    inter = domain_interactions(Domain.of(comm_self, glass))
    np.testing.assert_array_equal(random_contacts(inter, 30, seed=5), expected)
    np.testing.assert_array_equal(random_contacts(pairs, 30, seed=5), expected)


@pytest.mark.parametrize("count", (-1, 0, 10**7))
def test_impossible_numbers_of_contacts(dense_system, count):
    with pytest.raises(InputError, match="choose a count"):
        random_contacts(dense_system.interactions, count, seed=0)


@pytest.mark.parametrize(
    "pairs, message",
    (
        ([[0, 64]], "outside the sample"),
        ([[-1, 3]], "outside the sample"),
        ([[2, 2]], "with itself"),
        ([[0.0, 1.0]], "integers"),
        ([[0, 1, 2]], "two particle indices"),
        (np.zeros((0, 2), int), "two particle indices"),
    ),
)
def test_pairs_that_do_not_fit(pairs, message):
    with pytest.raises(InputError, match=message):
        check_pairs(np.array(pairs), 64)
