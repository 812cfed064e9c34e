"""Tables against the potentials they stand for, and against their own derivative."""

import numpy as np
import pytest

from glassmodes.errors import InputError
from glassmodes.kernels.pair_tables import ACCURACY, PairTables
from glassmodes.models import InversePowerLaw, LennardJones, PairPotential, known_models, named

# Hertzian contacts: the third derivative diverges at contact, so a polynomial cannot follow.
ROUGH = {"hertzian_spheres": 1e-5}


class Yukawa(PairPotential):
    """A user's own potential: one class, one method."""

    def __init__(self, *, lengths, cutoffs, energies=1.0):
        super().__init__(lengths=lengths, cutoffs=cutoffs, energies=energies)

    def radial(self, x, cutoff, order):
        """exp(-x)/x and its derivatives up to order 2; not smooth at the cutoff."""
        f = np.exp(-x) / x
        return np.stack([f, -f * (1 + 1 / x), f * (1 + 2 / x + 2 / x**2)])[: order + 1]


def exact(potential, a, b, z):
    """φ and dφ/dz of a pair of species from the potential's own derivatives."""
    x_c = potential.cutoffs[a, b]
    x = x_c * np.sqrt(z)
    f, first = potential.energies[a, b] * potential.reduced(a, b, x, order=1)
    return f, first * x / (2 * z)


@pytest.mark.parametrize("name", sorted(set(known_models()) - {"harmonic_network"}))
def test_tables_are_as_accurate_as_they_say(name):
    potential = named(name)
    tables = PairTables.from_potential(potential)
    rng = np.random.default_rng(0)
    z = rng.uniform(2.0**-tables.octaves, 1.0, 5000)
    for a, b in np.ndindex(tables.table_of.shape):
        f, g = tables.evaluate(np.full(len(z), tables.table_of[a, b]), z)
        want_f, want_g = exact(potential, a, b, z)
        scale = np.abs(want_g) + np.abs(want_g[z > 0.5]).mean()
        # the recorded accuracy samples three places of each interval, hence the factor
        bound = ROUGH.get(name, 3 * max(tables.accuracy, ACCURACY))
        assert np.abs((g - want_g) / scale).max() < bound
        assert np.abs((f - want_f) / (np.abs(want_f) + scale)).max() < bound
    if name not in ROUGH:
        assert tables.accuracy < 1e-10


def test_distinct_functions_get_distinct_tables():
    """A binary power law needs one table; three energies need three."""
    assert len(PairTables.from_potential(named("ipl_3d")).rows) == 1
    assert len(PairTables.from_potential(named("kob_andersen")).rows) == 3
    cutoffs = [[1.3, 1.4], [1.4, 1.48]]
    two = InversePowerLaw(exponent=10, smoothing=2, cutoffs=cutoffs, lengths=1.0)
    assert len(PairTables.from_potential(two).rows) == 3


@pytest.mark.parametrize("name", ["ipl_3d", "kob_andersen", "harmonic_spheres"])
def test_force_is_the_derivative_of_the_tabulated_energy(name):
    """Inside intervals, across their ends and in the linear core alike."""
    tables = PairTables.from_potential(named(name))
    rng = np.random.default_rng(1)
    innermost = 2.0**-tables.octaves
    nodes = innermost * (1 + np.arange(2**tables.bits) / 2**tables.bits)
    z = np.concatenate([rng.uniform(0.1 * innermost, 0.999, 500), nodes[::7]])
    table = np.zeros(len(z), int)
    # Richardson: the error of the combination is h^4, with h far below an interval's width
    h = 0.02 * innermost / 2**tables.bits

    def slope(step):
        return (tables.evaluate(table, z + step)[0] - tables.evaluate(table, z - step)[0]) / (
            2 * step
        )

    f, g = tables.evaluate(table, z)
    found = (4 * slope(h) - slope(2 * h)) / 3
    rounding = 1e-15 * np.abs(f) / h
    np.testing.assert_array_less(np.abs(found - g), 1e-8 * np.abs(g) + 4 * rounding + 1e-12)


def test_core_goes_on_linearly_and_stays_finite():
    tables = PairTables.from_potential(named("lennard_jones"))
    innermost = 2.0**-tables.octaves
    z = innermost * np.array([1.0, 0.75, 0.5, 0.25, 0.0])
    _, g = tables.evaluate(np.zeros(5, int), z)
    np.testing.assert_allclose(np.diff(g), np.diff(g)[0], rtol=1e-9)
    assert np.isfinite(g).all() and (np.diff(g) < 0).all()


def test_nothing_from_the_cutoff_on():
    tables = PairTables.from_potential(named("lennard_jones"))
    f, g = tables.evaluate(np.zeros(3, int), np.array([1.0, 1.5, 1e30]))
    assert not f.any() and not g.any()


def test_a_users_potential_is_tabulated():
    potential = Yukawa(lengths=1.0, cutoffs=2.0)
    tables = PairTables.from_potential(potential)
    z = np.linspace(0.05, 0.999, 1000)
    _, g = tables.evaluate(np.zeros(1000, int), z)
    np.testing.assert_allclose(g, exact(potential, 0, 0, z)[1], rtol=1e-10)


def test_a_potential_that_is_not_finite_is_refused():
    class Broken(Yukawa):
        def radial(self, x, cutoff, order):
            return super().radial(x, cutoff, order) + np.where(x < 1.0, np.nan, 0.0)

    with pytest.raises(InputError, match="Broken is not finite at the reduced distance"):
        PairTables.from_potential(Broken(lengths=1.0, cutoffs=2.0))


def test_polydisperse_cutoffs_stay_reduced():
    potential = named("poly_3d")
    tables = PairTables.from_potential(potential)
    assert tables.non_additivity == potential.non_additivity
    np.testing.assert_array_equal(tables.cutoffs, potential.cutoffs)
    matrix = LennardJones(lengths=[[1.0, 0.8], [0.8, 0.88]], cutoffs=2.5)
    np.testing.assert_allclose(PairTables.from_potential(matrix).cutoffs, 2.5 * matrix.lengths)
