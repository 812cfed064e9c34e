"""Closed forms of the participation ratio."""

import numpy as np
import pytest

from glassmodes.observables.participation import (
    distributed_participation_ratio,
    participation_ratio,
)


def test_one_moving_particle_and_a_translation():
    single = np.zeros((50, 3))
    single[7] = [0.3, -2.0, 1.0]
    assert participation_ratio(single) == pytest.approx(1 / 50, rel=1e-14)
    assert participation_ratio(np.tile([1.0, 2.0], (50, 1))) == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize("d", (2, 3, 4))
def test_a_standing_plane_wave_has_two_thirds(d):
    phase = 2 * np.pi * 3 * np.arange(100) / 100
    wave = np.zeros((100, d))
    wave[:, 1] = np.sin(phase + 0.2)
    assert participation_ratio(wave) == pytest.approx(2 / 3, rel=1e-12)


@pytest.mark.parametrize("d", (2, 3, 4))
def test_gaussian_vectors(d):
    """The mean is (dN + 2)/((d + 2) N) to order 1/N for uniform directions in dN dimensions."""
    n, count = 400, 400
    vectors = np.random.default_rng(0).normal(size=(count, n, d))
    e = participation_ratio(vectors)
    # its mean scatters by sd/√count, about 0.001; the ratio of means differs by order 1/N
    assert e.mean() == pytest.approx((d * n + 2) / ((d + 2) * n), abs=0.006)


def test_norm_and_order_do_not_matter():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(30, 3)) ** 3
    assert participation_ratio(-7 * z[::-1]) == pytest.approx(participation_ratio(z), rel=1e-13)


def test_rows_over_ranks_give_the_same(comm_self):
    z = np.random.default_rng(2).normal(size=(5, 40, 3))
    block = z.reshape(5, 120).T
    found = distributed_participation_ratio(comm_self, block, 3)
    np.testing.assert_allclose(found, participation_ratio(z), rtol=1e-13)
