"""Analyses of one sample share their Lanczos measures, and only when these are good enough."""

import numpy as np
import pytest
from mpi4py import MPI

from glassmodes.campaign.analyse import analyse_sample
from glassmodes.campaign.config_analyses import Spectra, Viscoelasticity
from glassmodes.observables import viscoelasticity
from glassmodes.preparation.networks import make_network

SPECTRA = Spectra(resolution=0.3, maximum=3.0, points=11, vectors=2)
MODULI = Viscoelasticity()
TIGHT = Viscoelasticity(tolerance=1e-9)


@pytest.fixture
def network():
    return make_network({"name": "bond_depleted_lattice", "coordination": 7.0}, 256, seed=1)


@pytest.fixture
def runs(monkeypatch):
    """Return the list of the tolerances of all Lanczos runs."""
    found = []
    original = viscoelasticity.spectral_measures

    def counted(*args, **options):
        found.append(options["tolerance"])
        return original(*args, **options)

    monkeypatch.setattr(viscoelasticity, "spectral_measures", counted)
    return found


def analyse(sample, **settings):
    records = analyse_sample(MPI.COMM_SELF, sample, 0, settings, seed=5)
    assert all(r["status"] == "ok" for r in records.values())
    return records


def test_one_lanczos_run_serves_both_analyses_and_they_agree(network, runs):
    both = analyse(network, spectra=SPECTRA, viscoelasticity=MODULI)
    assert len(runs) == 1
    moduli = both["viscoelasticity"]
    volume = network.particles / moduli["number_density"]
    drop = volume * (moduli["affine_modulus"] - moduli["static_modulus"])
    # The same measure: round-off of the sum over its nodes.
    assert both["spectra"]["moment_minus_one"] == pytest.approx(drop, rel=1e-12)


def test_alone_each_analysis_runs_and_gives_the_same_to_its_tolerance(network, runs):
    alone = analyse(network, spectra=SPECTRA)["spectra"]
    tight = analyse(network, viscoelasticity=TIGHT, spectra=SPECTRA)["spectra"]
    assert len(runs) == 2
    modulus = analyse(network, viscoelasticity=MODULI)["viscoelasticity"]["affine_modulus"]
    volume = network.particles / 2**0.5
    allowed = pytest.approx(tight["moment_minus_one"], abs=1e-6 * volume * modulus)
    assert alone["moment_minus_one"] == allowed
    np.testing.assert_array_equal(
        alone["density_times_correlator"], tight["density_times_correlator"]
    )


def test_other_strains_are_not_taken_over(network, runs):
    analyse(network, viscoelasticity=Viscoelasticity(strains=["xy"]), spectra=SPECTRA)
    assert len(runs) == 2


def test_measures_of_a_looser_run_or_of_fewer_points_do_not_serve():
    known = viscoelasticity.KnownMeasures(np.array([0j, -1 + 0j]), 1e-6, [])
    assert known.covers(np.zeros(1), 1e-6)
    assert known.covers(np.array([-1.0]), 1e-3)
    assert not known.covers(np.zeros(1), 1e-7)
    assert not known.covers(np.array([0.0, -2.0]), 1e-6)
