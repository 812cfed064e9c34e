r"""Energy, forces and stress of interacting pairs, and how far a sample is from a minimum.

All are collective where the sample is spread over ranks.
"""

from __future__ import annotations

import numpy as np

from glassmodes.mechanics.interactions import PairInteractions

_AT_REST = 1e-12  # mean |φ'| over mean φ'' r


def energy(inter: PairInteractions) -> float:
    """Return the potential energy U = Σ φ."""
    return float(inter.total(inter.derivatives[0]))


def forces(inter: PairInteractions) -> np.ndarray:
    """Return F_i = -∂U/∂x_i = Σ_j A1 r_ij of the owned particles, (owned, d)."""
    return -inter.scatter(inter.A1[:, None] * inter.vector)


def stress(inter: PairInteractions) -> np.ndarray:
    """Return the Cauchy stress σ_ab = (1/V) Σ A1 r_a r_b, (d, d); tension is positive."""
    weight = inter.A1 if inter.share is None else inter.A1 * inter.share
    return inter.reduce(np.einsum("p,pa,pb->ab", weight, inter.vector, inter.vector)) / inter.volume


def pressure(inter: PairInteractions) -> float:
    """Return p = -tr σ / d = -(1/(d V)) Σ A1 r²."""
    virial = float(inter.total(inter.derivatives[1] * inter.distance))
    return 0.0 - virial / (inter.d * inter.volume)


def max_force(inter: PairInteractions) -> float:
    """Return the largest absolute component of the net forces."""
    return float(inter.reduce(np.abs(forces(inter)).max(initial=0.0), largest=True))


def typical_contact_force(inter: PairInteractions) -> float:
    """Return the mean of |φ'| over contacts (0 without contacts)."""
    total = float(inter.total(np.abs(inter.derivatives[1])))
    return total / inter.contacts if inter.contacts else 0.0


def force_scale(inter: PairInteractions) -> float:
    """Return the contact force that others are compared with (0 where there is none).

    The typical one.  Springs that have come to rest carry round-off only: where the mean of
    |φ'| is below 1e-12 of the mean of φ'' r, the latter is the scale.
    """
    typical = typical_contact_force(inter)
    if inter.order < 2 or not inter.contacts:
        return typical
    elastic = float(inter.total(inter.derivatives[2] * inter.distance)) / inter.contacts
    return max(typical, elastic if typical <= _AT_REST * elastic else 0.0)


def force_ratio(inter: PairInteractions) -> float:
    """Return max_force / `force_scale`: below 1e-6 a sample counts as force-free.

    0 where no force acts at all.
    """
    largest = max_force(inter)
    return largest / force_scale(inter) if largest > 0 else 0.0
