"""Spectra and moduli of a floppy network do not depend on the number of ranks."""

import numpy as np
import pytest
from networks import floppy_network

from glassmodes.observables.correlator import non_affine_correlator
from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.observables.viscoelasticity import viscoelastic_response

W, T = np.geomspace(1e-6, 1e3, 19), np.geomspace(1e-3, 1e9, 21)


@pytest.fixture(scope="module", params=(("fcc", 2, 0.55), ("triangular", 5, 0.7)))
def sample(request):
    """Unequal masses and springs, floppy parts, an atom without bonds."""
    return floppy_network(*request.param)


def on_both(comm, comm_self, sample, measure):
    answers = []
    for communicator in (comm, comm_self):
        system = HarmonicSystem(communicator, sample)
        try:
            answers.append(measure(system))
        finally:
            system.destroy()
    return answers


@pytest.mark.parametrize("damping", (0.5, 1e3))
def test_moduli(comm, comm_self, sample, damping):
    strains = ["xy", "yx", "xx"]
    ours, alone = on_both(
        comm, comm_self, sample,
        lambda system: viscoelastic_response(system, strains, damping, W, T, tolerance=1e-9),
    )  # fmt: skip
    atol = 1e-8 * alone.affine_modulus.max()  # ten times the tolerance, an estimate
    for name in (
        *("storage_modulus", "loss_modulus", "relaxation_modulus", "overdamped_relaxation"),
        *("affine_modulus", "static_modulus", "non_affine_force_squared_mean"),
    ):
        np.testing.assert_allclose(getattr(ours, name), getattr(alone, name), rtol=0, atol=atol)
    assert alone.loss_modulus.max() > 1e-3 * alone.affine_modulus.max()


def test_correlator(comm, comm_self, sample):
    """Random vectors are numbered by global rows: even the noise is the same."""
    ours, alone = on_both(
        comm, comm_self, sample,
        lambda system: non_affine_correlator(system, ["xy"], 0.1, seed=3),
    )  # fmt: skip
    assert (ours.zero_modes, ours.vibrations) == (alone.zero_modes, alone.vibrations)
    for name in ("density", "density_error", "density_times_correlator"):
        expected = getattr(alone, name)
        # moments add up in another order
        np.testing.assert_allclose(getattr(ours, name), expected, atol=1e-9 * expected.max())
    for power, value in ours.moments.items():
        np.testing.assert_allclose(value, alone.moments[power], rtol=1e-5)  # Lanczos


def test_every_rank_has_the_same_answer(comm, sample):
    system = HarmonicSystem(comm, sample)
    try:
        found = viscoelastic_response(system, ["xy"], 1.0, W, T)
    finally:
        system.destroy()
    for other in comm.allgather(found):
        np.testing.assert_array_equal(other.loss_modulus, found.loss_modulus)
        np.testing.assert_array_equal(other.relaxation_modulus, found.relaxation_modulus)
