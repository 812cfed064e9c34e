"""Moduli against finite strain with re-minimisation, closed forms, symmetries and matscipy."""

from dataclasses import replace
from functools import partial
from itertools import permutations

import numpy as np
import pytest

from glassmodes.errors import SampleError
from glassmodes.mechanics import born, forces, hessian, non_affine
from glassmodes.models import from_spec
from glassmodes.observables.debye import debye_frequency, first_transverse_phonon, sound_speeds
from glassmodes.observables.elasticity import measure_moduli, moduli
from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.sample import Sample


@pytest.fixture(scope="module")
def result(dense_system):
    return measure_moduli(dense_system)


@pytest.fixture(scope="module")
def plain(glass, plain_energy_of):
    return plain_energy_of(glass)


def unit(d, a, b):
    matrix = np.zeros((d, d))
    matrix[a, b] = 1.0
    return matrix


def test_shear_modulus_is_the_curvature_of_the_relaxed_energy(result, plain, dense_system):
    d, h = plain.d, 3e-4
    rest, _ = plain.relaxed(0.0, dense_system)
    for a, b in permutations(range(d), 2):
        ends = [plain.relaxed(s * h * unit(d, a, b), dense_system)[0] for s in (1, -1)]
        expected = (sum(ends) - 2 * rest) / h**2 / plain.volume
        # h² times the next derivative, and round-off 1e-13 U / h², are below 1e-4 of the Born term
        scale = result.elastic.born_shear[a, b]
        assert result.elastic.shear[a, b] == pytest.approx(expected, abs=2e-4 * scale)


def test_born_modulus_is_the_curvature_of_the_affine_energy(result, plain):
    d, h = plain.d, 2e-4
    for a, b in permutations(range(d), 2):
        e = h * unit(d, a, b)
        expected = (plain(e) - 2 * plain() + plain(-e)) / h**2 / plain.volume
        assert result.elastic.born_shear[a, b] == pytest.approx(expected, rel=1e-5)


def test_bulk_modulus_is_the_volume_derivative_of_the_pressure(result, plain, dense_system):
    d, h = plain.d, 1e-4
    stresses = [plain.relaxed(s * h * np.eye(d), dense_system)[1] for s in (1, -1)]
    change = -(np.trace(stresses[0]) - np.trace(stresses[1])) / d
    relative_volume = (1 + h) ** d - (1 - h) ** d
    assert result.elastic.bulk == pytest.approx(-change / relative_volume, rel=1e-5)


def test_elastic_tensor_is_the_strain_derivative_of_the_relaxed_stress(result, plain, dense_system):
    d, h = plain.d, 1e-4
    tensor = result.elastic.elastic_tensor
    for c, e in born.symmetric_directions(d):
        strain = h * (unit(d, c, e) + unit(d, e, c)) / 2
        plus, minus = (plain.relaxed(s * strain, dense_system)[1] for s in (1, -1))
        expected = (plus - minus) / (2 * h)
        np.testing.assert_allclose(tensor[:, :, c, e], expected, atol=1e-5 * np.abs(tensor).max())


def test_elastic_tensor_symmetries(result):
    tensor, stress = result.elastic.elastic_tensor, result.elastic.stress
    scale = 1e-12 * np.abs(tensor).max()
    np.testing.assert_allclose(tensor, np.einsum("abcd->bacd", tensor), atol=scale)
    np.testing.assert_allclose(tensor, np.einsum("abcd->abdc", tensor), atol=scale)
    identity = np.eye(len(stress))
    difference = np.einsum("cd,ab->abcd", stress, identity)
    difference -= np.einsum("ab,cd->abcd", stress, identity)
    np.testing.assert_allclose(tensor - np.einsum("abcd->cdab", tensor), difference, atol=scale)


def test_tensor_contains_the_moduli(result):
    tensor, elastic = result.elastic.elastic_tensor, result.elastic
    d = len(elastic.stress)
    assert np.einsum("aacc", tensor) / d**2 == pytest.approx(elastic.bulk, rel=1e-12)
    for a, b in permutations(range(d), 2):
        mean = (elastic.shear[a, b] + elastic.shear[b, a]) / 2
        assert tensor[a, b, a, b] == pytest.approx(mean, rel=1e-11)
        anisotropy = elastic.stress[b, b] - elastic.stress[a, a]
        difference = elastic.shear[a, b] - elastic.shear[b, a]
        assert difference == pytest.approx(anisotropy, abs=1e-10 * elastic.bulk)


def test_bulk_modulus_of_the_isotropic_formula(result, dense_system):
    """K = [Σ(A2 r⁴ + 2 A1 r²)/V - ξ·H⁺ξ/V]/d² + p with ξ the force gradient of an expansion."""
    inter = dense_system.interactions
    r2 = inter.distance**2
    xi = inter.scatter((inter.A2 * r2 + inter.A1)[:, None] * inter.vector).reshape(-1, 1)
    affine = (inter.A2 * r2**2 + 2 * inter.A1 * r2).sum()
    relaxed = (affine - float((xi.T @ dense_system.solve(xi)).item())) / inter.volume
    expected = relaxed / inter.d**2 + forces.pressure(inter)
    assert result.elastic.bulk == pytest.approx(expected, rel=1e-10)


def test_prestress_lowers_the_born_modulus_by_the_pressure(result):
    """The trace of the prestress terms is -p in every direction's mean."""
    d = len(result.elastic.stress)
    bare = np.einsum("abab->ab", result.elastic.born)
    shift = (result.elastic.born_shear - bare)[~np.eye(d, dtype=bool)]
    assert shift.mean() == pytest.approx(-result.pressure, rel=1e-12)
    assert result.pressure > 10  # of the order of the modulus itself


def test_masses_do_not_change_moduli(glass, result, dense_system_of):
    heavy = replace(glass, masses=np.linspace(0.3, 9.0, glass.particles))
    other = measure_moduli(dense_system_of(heavy))
    np.testing.assert_array_equal(other.elastic.relaxed, result.elastic.relaxed)
    assert other.mass_density == pytest.approx(heavy.masses.sum() / heavy.volume)


@pytest.mark.parametrize("solver", ("factor", "cg"))
def test_solvers_of_the_package_agree_with_exact_solves(comm_self, glass, result, solver):
    system = HarmonicSystem(comm_self, glass, solver=solver)
    try:
        found = measure_moduli(system)
    finally:
        system.destroy()
    # residuals of 1e-11 times the softest direction, which H⁺ amplifies
    scale = np.abs(result.elastic.relaxed).max()
    np.testing.assert_allclose(found.elastic.relaxed, result.elastic.relaxed, atol=1e-9 * scale)
    assert found.residual < 1e-9


def test_a_sample_off_its_minimum_is_refused(comm_self, glass):
    moved = glass.positions + 0.01 * np.random.default_rng(0).normal(size=glass.positions.shape)
    with pytest.raises(SampleError, match="not at a minimum") as caught:
        measure_moduli(HarmonicSystem(comm_self, replace(glass, positions=moved)))
    assert caught.value.reason == "not_at_minimum"


def test_answer_has_the_promised_keys_and_shapes(glass, dense_system):
    answer = moduli(dense_system)
    d = glass.dimension
    assert np.shape(answer["elastic_tensor"]) == (d,) * 4
    for name in ("shear_modulus", "born_shear_modulus", "non_affine_force_squared_mean"):
        table = answer["by_direction"][name]
        assert [table[a][a] for a in range(d)] == [None] * d
        values = [table[a][b] for a, b in permutations(range(d), 2)]
        assert answer[name] == pytest.approx(np.mean(values), rel=1e-12)
    assert answer["max_force"] < 1e-9 and answer["residual"] < 1e-9
    assert answer["energy_per_particle"] * glass.particles == pytest.approx(
        forces.energy(dense_system.interactions)
    )


def test_non_affine_force_squared_mean_by_direction(dense_system):
    xi = non_affine.non_affine_forces(dense_system.interactions)
    table = moduli(dense_system)["by_direction"]["non_affine_force_squared_mean"]
    for a, b in permutations(range(len(table)), 2):
        assert table[a][b] == pytest.approx((xi[a, b] ** 2).sum(axis=1).mean(), rel=1e-9)


def test_matscipy_in_three_dimensions(glass_3d, dense_system_of):
    """matscipy's Hessian, non-affine forces, Born constants and elastic constants."""
    ase = pytest.importorskip("ase")
    pair_potential = pytest.importorskip("matscipy.calculators.pair_potential")
    system = dense_system_of(glass_3d)
    model = from_spec(glass_3d.model)
    atoms = ase.Atoms(
        numbers=1 + glass_3d.species, positions=glass_3d.positions, cell=glass_3d.box, pbc=True
    )

    class Pair:
        def __init__(self, a, b):
            self.ends = a, b
            self.cutoff = float(model.cutoffs[a, b] * model.lengths[a, b])

        def __call__(self, r, *charges, order=0):
            ends = (np.full(len(r), end) for end in self.ends)
            return model.derivatives(r, *ends, order=order)[order]

        def derivative(self, order):
            return partial(self, order=order)

    pairs = {(1 + a, 1 + b): Pair(a, b) for a, b in ((0, 0), (0, 1), (1, 1))}
    atoms.calc = oracle = pair_potential.PairPotential(pairs)
    inter = system.pairs
    scale = np.abs(system.vectors @ (system.eigenvalues[:, None] * system.vectors.T)).max()
    theirs = oracle.get_property("hessian", atoms)
    assert abs(theirs - hessian.sparse(inter)).max() < 1e-10 * scale
    xi = np.einsum("abic->icab", non_affine.non_affine_forces(inter))
    np.testing.assert_allclose(
        np.abs(oracle.get_property("nonaffine_forces", atoms)),
        np.abs(xi),
        atol=1e-9 * np.abs(xi).max(),
    )
    result = measure_moduli(system)
    bare = oracle.get_property("born_constants", atoms)
    np.testing.assert_allclose(bare, result.elastic.born, rtol=1e-10, atol=1e-9)
    full = oracle.get_elastic_constants(atoms, cg_parameters={"rtol": 1e-12})
    np.testing.assert_allclose(full, result.elastic.elastic_tensor, atol=1e-6 * np.abs(full).max())


def lattice(cells, basis, vectors, spacing=1.0):
    """Return a lattice of unit springs between nearest neighbours at rest."""
    d = len(vectors)
    grid = np.stack(np.meshgrid(*[np.arange(c) for c in cells], indexing="ij"), axis=-1)
    edges = np.asarray(vectors, float)
    positions = (grid.reshape(-1, 1, d) + np.asarray(basis)).reshape(-1, d) * edges * spacing
    box = np.asarray(cells) * edges * spacing
    i, j = np.triu_indices(len(positions), 1)
    vector = positions[j] - positions[i]
    vector -= box * np.rint(vector / box)
    near = np.abs(np.linalg.norm(vector, axis=1) - spacing) < 1e-9
    return Sample(positions, box, bonds=np.stack([i[near], j[near]], axis=1))


@pytest.fixture(scope="module")
def fcc():
    basis = [(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]
    return lattice((3, 3, 4), basis, np.sqrt(2) * np.ones(3))


def test_perfect_fcc_springs(fcc, dense_system_of):
    """C44 = C12 = 1/√2, C11 = √2, no non-affine force; the band ends at ω² = 8."""
    assert len(fcc.bonds) == 6 * fcc.particles
    system = dense_system_of(fcc)
    result = measure_moduli(system)
    tensor = result.elastic.elastic_tensor
    off = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(result.elastic.shear[off], 1 / np.sqrt(2), rtol=1e-12)
    np.testing.assert_allclose(result.elastic.born_shear[off], 1 / np.sqrt(2), rtol=1e-12)
    assert tensor[0, 0, 1, 1] == pytest.approx(1 / np.sqrt(2), rel=1e-12)
    assert tensor[2, 2, 2, 2] == pytest.approx(np.sqrt(2), rel=1e-12)
    assert result.elastic.bulk == pytest.approx(4 / (3 * np.sqrt(2)), rel=1e-12)
    assert np.nanmax(result.squared_mean_by_direction) < 1e-24
    assert result.pressure == 0.0
    assert system.eigenvalues[-1] == pytest.approx(8.0, rel=1e-12)


def test_perfect_triangular_springs(dense_system_of):
    """G = √3/4, K = √3/2 for unit springs of unit length."""
    system = dense_system_of(lattice((8, 4), [(0, 0), (0.5, 0.5)], (1, np.sqrt(3))))
    result = measure_moduli(system)
    assert result.elastic.shear[0, 1] == pytest.approx(np.sqrt(3) / 4, rel=1e-12)
    assert result.elastic.bulk == pytest.approx(np.sqrt(3) / 2, rel=1e-12)


def test_cut_springs_have_the_affine_modulus_of_their_number(fcc, dense_system_of):
    """Whatever bonds are cut, the mean Born modulus over planes is √2 Z/24."""
    rng = np.random.default_rng(0)
    kept = rng.permutation(len(fcc.bonds))[: int(4.5 * fcc.particles)]
    result = measure_moduli(dense_system_of(replace(fcc, bonds=fcc.bonds[kept])))
    coordination = 2 * len(kept) / fcc.particles
    record = result.to_record()
    assert record["born_shear_modulus"] == pytest.approx(np.sqrt(2) * coordination / 24, rel=1e-12)
    # <|Ξ|²> = p (1 - p) for independent cuts; 3N = 432 components scatter by about 10 %
    p = coordination / 12
    assert record["non_affine_force_squared_mean"] == pytest.approx(p * (1 - p), rel=0.25)
    assert record["shear_modulus"] < record["born_shear_modulus"]
    assert record["residual"] < 1e-9


def test_stretched_springs_scale_with_their_spacing(fcc, dense_system_of):
    """A uniform dilation keeps forces balanced and leaves tension: tr σ = 6 n (r - 1) r.

    n is the number density, each particle has six springs, and A1 = (r - 1)/r.
    """
    s = 1.02
    sample = replace(
        fcc,
        positions=s * fcc.positions,
        box=s * fcc.box,
        rest_lengths=np.ones(len(fcc.bonds)),
    )
    result = measure_moduli(dense_system_of(sample))
    density = np.sqrt(2) / s**3
    assert result.pressure == pytest.approx(-density * 6 * (s - 1) * s / 3, rel=1e-12)
    # A2 r⁴ = r² φ'' - r φ', and n_x² n_y² = 1/4 for a third of the springs
    bare = density * 6 * (s * s - s * (s - 1)) / 12
    assert result.elastic.shear[0, 1] == pytest.approx(bare - result.pressure, rel=1e-12)


def test_debye_frequency_in_each_dimension():
    """ω_D^d = 8π, 18π², 128π² times n over (d-1) c_T^-d + c_L^-d for d = 2, 3, 4."""
    for d, factor in ((2, 8 * np.pi), (3, 18 * np.pi**2), (4, 128 * np.pi**2)):
        g, k, density = 12.0, 80.0, 0.9
        ct, cl = sound_speeds(g, k, density, d)
        assert ct**2 == pytest.approx(g / density)
        assert cl**2 == pytest.approx((k + 2 * (d - 1) * g / d) / density)
        expected = (factor * density / ((d - 1) / ct**d + 1 / cl**d)) ** (1 / d)
        assert debye_frequency(g, k, density, density, d) == pytest.approx(expected, rel=1e-12)


def test_debye_frequency_scales_with_the_inverse_root_of_the_mass():
    light = debye_frequency(12.0, 80.0, 0.9, 0.9, 3)
    assert debye_frequency(12.0, 80.0, 0.9, 3.6, 3) == pytest.approx(light / 2, rel=1e-12)


def test_no_debye_frequency_without_a_positive_shear_modulus():
    found = debye_frequency(np.array([12.0, -1.0, 0.0]), 80.0, 0.9, 0.9, 3)
    assert np.isfinite(found[0]) and np.isnan(found[1:]).all()


def test_first_transverse_phonon():
    """2π c_T/L at the published moduli and densities of the binary model."""
    for d, g, density, n, expected in ((2, 15.8, 0.86, 400, 1.249), (3, 12.4, 0.82, 1000, 2.287)):
        edge = (n / density) ** (1 / d)
        assert first_transverse_phonon(g, density, edge) == pytest.approx(expected, abs=1e-3)
