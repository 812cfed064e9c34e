"""Spring networks: their geometry, the closed forms they must obey, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import eval_legendre

from glassmodes.errors import InputError, SampleError
from glassmodes.kernels.neighbours import find_pairs, hilbert_order, minimum_image
from glassmodes.mechanics import forces, hessian
from glassmodes.mechanics.born import born_tensor, gradient_tensor
from glassmodes.mechanics.interactions import find_interactions
from glassmodes.mechanics.non_affine import inversion_asymmetry, non_affine_forces
from glassmodes.models import named
from glassmodes.preparation import make_network, minimise, network_from, realised
from glassmodes.preparation.evidence import neighbour_correlations
from glassmodes.preparation.parent_glass import shortest_pairs
from glassmodes.preparation.pruning import (
    cut_bonds,
    degrees,
    held_atoms,
    largest_cluster,
)
from glassmodes.sample import Sample

PERFECT = {"fcc": (3, 12, np.sqrt(2)), "triangular": (2, 6, 2 / np.sqrt(3))}
QUICK = {"equilibration_time": 0.5, "descent_steps": 300}  # of a parent that only has to be there


def lattice(kind="fcc", n=3000, seed=1, **settings):
    return make_network({"name": "bond_depleted_lattice", "lattice": kind, **settings}, n, seed)


def vacancies(z, kind="fcc", n=3000, seed=1, **settings):
    protocol = {"name": "lattice_vacancies", "lattice": kind, "coordination": z, **settings}
    return make_network(protocol, n, seed)


@pytest.fixture(scope="module")
def random_network():
    """Return a random network of 300 atoms at Z = 6.1, cut from a quickly made glass."""
    protocol = {"name": "random_network", "coordination": 6.1, **QUICK}
    return make_network(protocol, 300, 5)


def evidence_of(sample):
    return sample.provenance["evidence"]


def planes(d):
    return [(a, b) for a in range(d) for b in range(d) if a != b]


def affine_modulus(inter):
    tensor = gradient_tensor(born_tensor(inter), forces.stress(inter))
    return np.mean([tensor[a, b, a, b] for a, b in planes(inter.d)])


def mean_square_force(inter):
    return np.mean([inversion_asymmetry(inter, a, b).mean() for a, b in planes(inter.d)])


@pytest.mark.parametrize("kind", PERFECT)
def test_a_perfect_lattice_bonds_each_site_to_its_nearest_neighbours(kind):
    d, coordination, density = PERFECT[kind]
    sample = lattice(kind, 500)
    assert sample.dimension == d and np.isclose(sample.density, density, rtol=1e-14)
    assert np.all(degrees(sample.bonds, sample.particles) == coordination)
    # neighbours from a cell list, which knows nothing of the lattice: next shell at sqrt(2)
    assert np.array_equal(
        sample.bonds, np.stack(find_pairs(sample.positions, sample.box, 1.2), axis=1)
    )
    order = hilbert_order(sample.positions, sample.box)
    assert np.array_equal(order, np.arange(sample.particles))
    assert np.ptp(sample.box) < 0.2 * sample.box.mean()


@pytest.mark.parametrize("kind", PERFECT)
def test_a_perfect_lattice_has_inversion_symmetry_and_the_moduli_of_a_crystal(kind):
    """C44 = 1/√2 of fcc, G = √3/4 of the triangular lattice, no non-affine force anywhere."""
    inter = find_interactions(lattice(kind, 500))
    for a, b in planes(inter.d):
        assert inversion_asymmetry(inter, a, b).max() < 1e-24
    exact = {"fcc": 1 / np.sqrt(2), "triangular": np.sqrt(3) / 4}[kind]
    assert np.isclose(affine_modulus(inter), exact, rtol=1e-12)


@pytest.mark.parametrize("cut", ["narrow", "independent"])
@pytest.mark.parametrize(("kind", "z"), [("fcc", 7.0), ("fcc", 6.1), ("triangular", 4.2)])
def test_cut_bonds_give_the_non_affine_force_of_their_statistics(kind, z, cut):
    """<|Ξ|²> = S [p - <z(z-1)>/Z(Z-1)], S = Σ (n_x n_y)² over the Z bonds of the whole lattice.

    S p (1 - p) for independent cuts, times Z/(Z - 1) where every atom has the same degree.
    """
    sample = lattice(kind, 4000, coordination=z, cut=cut)
    inter = find_interactions(sample)
    whole = PERFECT[kind][1]
    degree = degrees(sample.bonds, sample.particles)
    together = np.mean(degree * (degree - 1)) / (whole * (whole - 1))
    total = {"fcc": 1.0, "triangular": 0.75}[kind]
    # 4,000 atoms and 6 planes (2 in 2D) scatter by 1 % (2 %)
    assert np.isclose(mean_square_force(inter), total * (z / whole - together), rtol=0.04)
    reported = evidence_of(sample)["non_affine_force_squared_mean"]
    assert np.isclose(mean_square_force(inter), reported, rtol=1e-12)
    # the mean over planes of fcc counts bonds only, whichever were cut
    if kind == "fcc":
        measured = evidence_of(sample)["coordination"]
        assert np.isclose(affine_modulus(inter), np.sqrt(2) * measured / 24, rtol=1e-12)


@pytest.mark.parametrize("z", [7.0, 6.0])
def test_vacancies_give_the_non_affine_force_of_their_statistics(z):
    """<|Ξ|²> = p (1 - p) per atom that stays, G_A = √2 p Z/24 with ρ = √2 p."""
    sample = vacancies(z, n=4000)
    p = z / 12
    assert np.isclose(sample.density, np.sqrt(2) * p, rtol=1e-3)  # whole sites
    inter = find_interactions(sample)
    # correlated over a few shells: 2 % at this size
    assert np.isclose(mean_square_force(inter), p * (1 - p), rtol=0.05)
    measured = evidence_of(sample)["coordination"]
    assert np.isclose(measured, z, rtol=0.01)
    assert np.isclose(affine_modulus(inter), sample.density * measured / 24, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("bond_depleted_lattice", {}),
        ("bond_depleted_lattice", {"lattice": "triangular", "coordination": 4.2}),
        ("lattice_vacancies", {"coordination": 7.0}),
        ("lattice_vacancies", {"lattice": "triangular", "coordination": 4.5}),
        ("random_network", {"coordination": 6.0, **QUICK}),
    ],
)
def test_realised_foresees_atoms_and_density(name, settings):
    protocol = network_from({"name": name, **settings})
    sample = make_network(protocol, 700, 3)
    particles, density = realised(protocol, 700)
    assert sample.particles == particles and np.isclose(sample.density, density, rtol=1e-14)
    # whole cells: 700 lies between 5^3 and 6^3 cells of 4 sites
    assert abs(particles - 700) < 250


@pytest.mark.parametrize("z", [7.0, 6.1])
@pytest.mark.parametrize("kind", ["narrow", "independent"])
def test_degrees_have_the_width_of_their_cut(z, kind):
    sample = lattice(n=4000, coordination=z, cut=kind)
    assert len(sample.bonds) == round(z * sample.particles / 2)
    deviation = degrees(sample.bonds, sample.particles).std()
    if kind == "independent":  # binomial
        assert np.isclose(deviation, np.sqrt(z * (1 - z / 12)), rtol=0.05)
    else:  # at least that of two neighbouring whole numbers with the mean Z
        part = z % 1
        assert np.sqrt(part * (1 - part)) - 1e-9 <= deviation < 0.33
    assert np.isclose(evidence_of(sample)["coordination_deviation"], deviation)


def test_narrow_cuts_prefer_no_direction():
    sample = lattice(n=4000, coordination=6.1)
    vector = minimum_image(np.diff(sample.positions[sample.bonds], axis=1)[:, 0], sample.box)
    axis = np.argmin(np.abs(vector), axis=1)
    sign = np.prod(np.sign(np.where(np.abs(vector) < 0.1, 1, vector)), axis=1)
    count = np.bincount((2 * axis + (sign > 0)).astype(int), minlength=6)
    # independent draws would scatter by sqrt(M/6 (1 - 1/6)) = 41
    assert np.abs(count - len(vector) / 6).max() < 5 * 41


@pytest.mark.parametrize("kind", ["narrow", "independent"])
def test_a_seed_is_a_network(kind):
    """The seed decides which bonds go, one by one: the same again, others with another seed."""
    networks = [lattice(n=500, coordination=6.1, cut=kind, seed=seed) for seed in (3, 3, 4)]
    assert np.array_equal(networks[0].bonds, networks[1].bonds)
    assert not np.array_equal(networks[0].bonds, networks[2].bonds)


def test_seed_sequences_serve_more_than_once():
    seed = np.random.SeedSequence(7, spawn_key=(2,))
    first, second = (vacancies(7.0, n=300, seed=seed) for _ in range(2))
    assert np.array_equal(first.positions, second.positions)
    assert not np.array_equal(
        first.positions, vacancies(7.0, n=300, seed=np.random.SeedSequence(7)).positions
    )


def test_narrow_cuts_take_from_the_richest_first():
    """A hub with 5 bonds among rings: its spokes go before a ring loses anything."""
    ring = np.stack([np.arange(1, 11), np.roll(np.arange(1, 11), -1)], axis=1)
    spokes = np.stack([np.zeros(5, int), np.arange(1, 11, 2)], axis=1)
    bonds = np.concatenate([ring, spokes])
    for seed in range(5):
        kept = cut_bonds(bonds, 11, 12, "narrow", np.random.default_rng(seed))
        assert kept.sum() == 12 and kept[:10].all()


def test_clusters_and_loose_atoms():
    chain = np.array([[0, 1], [1, 2], [2, 0], [2, 3], [3, 4]])
    assert largest_cluster(chain, 7) == 5 / 7
    assert held_atoms(chain, 7, 2).tolist() == [True] * 3 + [False] * 4
    assert not held_atoms(chain, 7, 3).any()


def test_pruning_changes_a_network_as_it_is_known_to():
    """Sites with 3 bonds or fewer out of fcc vacancies at Z = 6: 19 % of them, Z = 6.16."""
    whole, pruned = (vacancies(6.0, n=4000, prune_floppy=flag) for flag in (False, True))
    assert degrees(pruned.bonds, pruned.particles).min() == 4
    assert np.isclose(pruned.particles / whole.particles, 0.81, atol=0.02)
    assert np.isclose(evidence_of(pruned)["coordination"], 6.16, atol=0.03)
    ratio = affine_modulus(find_interactions(pruned)) / affine_modulus(find_interactions(whole))
    assert np.isclose(ratio, 0.83, atol=0.02)


def test_bond_order_tells_lattices_from_glasses(random_network):
    """F6 near 1 in lattices with cut bonds, near 0.3 in the random network (Milkus, Zaccone)."""
    assert np.isclose(evidence_of(lattice(n=500, coordination=6.1))["bond_order"], 1.0)
    assert np.isclose(evidence_of(vacancies(7.0))["bond_order"], 0.9, atol=0.02)
    assert np.isclose(evidence_of(vacancies(6.0))["bond_order"], 0.87, atol=0.02)
    assert 0.2 < evidence_of(random_network)["bond_order"] < 0.4
    assert evidence_of(random_network)["bond_order_fraction"] < 0.2
    assert evidence_of(random_network)["parent_crystal_order"] < 0.2


def test_bond_order_correlations_follow_from_angles_between_bonds(random_network):
    """c_ij = S_ij / sqrt(S_ii S_jj), S_ij = Σ_ab P_6(n_a·n_b): addition theorem."""
    x, box = random_network.positions, random_network.box
    i, j = find_pairs(x, box, 1.3)
    u = minimum_image(x[j] - x[i], box)
    u /= np.linalg.norm(u, axis=1)[:, None]
    bonds = [np.concatenate([u[i == k], u[j == k]]) for k in range(len(x))]

    def product(a, b):
        return eval_legendre(6, bonds[a] @ bonds[b].T).sum()

    own = [product(k, k) for k in range(len(x))]
    expected = [product(a, b) / np.sqrt(own[a] * own[b]) for a, b in zip(i, j, strict=True)]
    # sums of 231 x^6 and the like cancel: some ten digits stay
    assert np.allclose(neighbour_correlations(x, box, i, j), expected, atol=1e-9)


def test_a_random_network_is_made_of_the_shortest_pairs_of_a_glass(random_network):
    evidence = evidence_of(random_network)
    assert len(random_network.bonds) == round(6.1 * 150)
    assert np.isclose(evidence["spring_length"], 1.0, rtol=0.01)
    assert evidence["spring_length_deviation"] < 0.04
    # Z_start = 9 takes less than the first shell of 12
    x, box = random_network.positions, random_network.box
    vector = minimum_image(np.diff(x[random_network.bonds], axis=1)[:, 0], box)
    shortest = np.sort(
        np.linalg.norm(minimum_image(x[:, None] - x[None], box)[np.triu_indices(300, 1)], axis=1)
    )
    assert np.linalg.norm(vector, axis=1).max() <= shortest[1350 - 1] * (1 + 1e-12)
    assert evidence["coordination_deviation"] < 0.45 and evidence["largest_cluster"] == 1.0
    assert np.array_equal(random_network.bonds, np.unique(random_network.bonds, axis=0))


@pytest.mark.parametrize("model", ["lj_2d", "mblj"])
def test_shortest_pairs_of_a_mixture_are_short_for_their_species(model):
    rng = np.random.default_rng(2)
    sample = Sample(rng.random((60, 2)) * 8, np.full(2, 8.0), species=rng.integers(0, 2, 60))
    potential = named(model)
    vector = minimum_image(sample.positions[:, None] - sample.positions[None], sample.box)
    scaled = np.linalg.norm(vector, axis=2)
    scaled /= potential.lengths[sample.species[:, None], sample.species[None]]
    i, j = np.triu_indices(60, 1)
    for count in (50, 400):
        nearest = np.sort(np.argsort(scaled[i, j])[:count])
        expected = np.stack([i, j], axis=1)[nearest]
        assert np.array_equal(shortest_pairs(sample, potential, count), expected)
    with pytest.raises(InputError, match="half of the box"):
        shortest_pairs(sample, potential, 1700)


def test_springs_at_rest_push_no_floppy_part(random_network):
    """Ξ is orthogonal to every zero mode of H, so no pruning is needed."""
    for sample in (random_network, vacancies(5.0, n=300, seed=4)):
        inter = find_interactions(sample)
        assert inter.unstressed
        values, vectors = np.linalg.eigh(hessian.sparse(inter).toarray())
        floppy = vectors[:, values < 1e-10]
        xi = non_affine_forces(inter)[0, 1].ravel()
        assert values[0] > -1e-12  # H = Σ k n nᵀ
        assert np.abs(xi @ floppy).max() < 1e-10
    assert floppy.shape[1] > 3  # the second one does have floppy parts


@pytest.fixture(scope="module")
def prestressed():
    """Return a depleted triangular lattice with random rest lengths, at its minimum."""
    sample = lattice("triangular", 200, coordination=5.0, stiffness=2.0)
    rng = np.random.default_rng(0)
    m = len(sample.bonds)
    sample = replace(sample, rest_lengths=rng.uniform(0.85, 1.05, m))
    return minimise(sample)[0]


def test_non_affine_forces_of_a_prestressed_network_are_those_of_a_finite_strain(prestressed):
    """Ξ = -dF/dγ for x_a += γ x_b, with the forces of strained springs written out here."""
    sample = prestressed
    inter = find_interactions(sample)
    assert not inter.unstressed and forces.force_ratio(inter) < 1e-9
    i, j = sample.bonds.T
    start = minimum_image(sample.positions[j] - sample.positions[i], sample.box)

    def force(gamma, a, b):
        vector = start.copy()
        vector[:, a] += gamma * start[:, b]
        length = np.linalg.norm(vector, axis=1)
        pull = (2.0 * (length - sample.rest_lengths) / length)[:, None] * vector
        total = np.zeros_like(sample.positions)
        np.add.at(total, i, pull)
        np.add.at(total, j, -pull)
        return total

    step = 1e-4
    for a, b in planes(2):
        slope = -(force(step, a, b) - force(-step, a, b)) / (2 * step)
        # force balance: what the strain does to balanced forces is zero; step² = 1e-8
        assert np.allclose(non_affine_forces(inter)[a, b], slope, atol=1e-6)
        assert np.allclose(inversion_asymmetry(inter, a, b), (slope**2).sum(axis=1), atol=1e-6)


def test_prestress_adds_its_term_to_the_hessian(prestressed):
    """H of springs: k n nᵀ + (φ'/r)(1 - n nᵀ) between the ends of each bond."""
    inter = find_interactions(prestressed)
    n = inter.vector / inter.distance[:, None]
    along = n[:, :, None] * n[:, None, :]
    tension = 2.0 * (inter.distance - prestressed.rest_lengths) / inter.distance
    blocks = 2.0 * along + tension[:, None, None] * (np.eye(2) - along)
    dense = hessian.sparse(inter).toarray()
    for p in (0, 17, -1):
        i, j = inter.i[p], inter.j[p]
        assert np.allclose(dense[2 * i : 2 * i + 2, 2 * j : 2 * j + 2], -blocks[p], atol=1e-12)


def test_rest_lengths_equal_to_the_distances_are_no_prestress():
    """Round-off of stored lengths must not turn a network at rest into a stressed one."""
    sample = vacancies(7.0, n=300)
    vector = minimum_image(np.diff(sample.positions[sample.bonds], axis=1)[:, 0], sample.box)
    lengths = np.sqrt((vector**2).sum(axis=1)) * (1 + 1e-15)
    inter = find_interactions(replace(sample, rest_lengths=lengths))
    assert inter.unstressed
    assert forces.max_force(inter) > 0 and forces.force_ratio(inter) < 1e-12
    assert not find_interactions(replace(sample, rest_lengths=lengths * 0.999)).unstressed
    soft = replace(sample, stiffness=np.where(np.arange(len(lengths)) == 5, -0.1, 1.0))
    assert not find_interactions(soft).unstressed


def test_bonds_may_come_in_any_order():
    sample = vacancies(7.0, n=200)
    rng = np.random.default_rng(1)
    m = len(sample.bonds)
    k, rest = rng.random(m), rng.random(m)
    plain = find_interactions(replace(sample, stiffness=k, rest_lengths=rest))
    order = rng.permutation(m)
    shuffled = replace(
        sample, bonds=sample.bonds[order, ::-1], stiffness=k[order], rest_lengths=rest[order]
    )
    again = find_interactions(shuffled)
    assert np.array_equal(again.i, plain.i) and np.array_equal(again.j, plain.j)
    assert np.array_equal(again.derivatives, plain.derivatives)


@pytest.mark.parametrize(
    ("settings", "particles", "dimension", "words"),
    [
        ({"name": "bond_depleted_lattice", "coordination": 12.1}, 500, None, "at most at 12"),
        ({"name": "bond_depleted_lattice", "coordination": 0}, 500, None, "positive"),
        ({"name": "bond_depleted_lattice", "coordination": np.nan}, 500, None, "positive"),
        ({"name": "bond_depleted_lattice", "lattice": "fc"}, 500, None, "did you mean 'fcc'"),
        ({"name": "bond_depleted_lattice", "cut": "wide"}, 500, None, "narrow, independent"),
        ({"name": "bond_depleted_lattice", "stiffness": -1}, 500, None, "positive"),
        ({"name": "bond_depleted_lattice"}, 500, 2, "has 3 dimensions, not 2"),
        ({"name": "bond_depleted_lattice"}, 10, None, "has 32 to"),
        ({"name": "lattice_vacancies"}, 500, None, "coordination"),
        ({"name": "lattice_vacancies", "coordination": None}, 500, None, "is missing"),
        ({"name": "lattice_vacancies", "coordination": "six"}, 500, None, "text for a number"),
        ({"name": "lattice_vacancies", "coordination": 1e-9}, 500, None, "asked for"),
        ({"name": "random_network", "coordination": 9.5}, 500, None, "at most at 9"),
        ({"name": "random_network", "coordination": 6.0}, 500, 4, "needs parent_model"),
        ({"name": "random_network", "coordination": 6.0}, 500, 5, "2, 3 or 4 dimensions"),
        ({"name": "random_network", "coordination": 6.0}, 20, None, "box edge"),
        ({"name": "random_network", "coordination": 6.0, "density": -1}, 500, None, "positive"),
        ({"name": "random_netwrk", "coordination": 6.0}, 500, None, "did you mean"),
    ],
)
def test_what_cannot_be_made_is_refused(settings, particles, dimension, words):
    with pytest.raises(InputError) as refusal:
        make_network(settings, particles, 1, dimension)
    assert words in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "bond_depleted_lattice", "coordination": 1.0},
        {"name": "bond_depleted_lattice", "coordination": 1e-6},
        {"name": "lattice_vacancies", "coordination": 1.0},
        {"name": "lattice_vacancies", "coordination": 2.5, "prune_floppy": True},
    ],
)
def test_a_network_that_falls_apart_is_refused(settings):
    with pytest.raises(SampleError, match="falls apart") as refusal:
        make_network(settings, 500, 1)
    assert refusal.value.reason == "falls_apart"
