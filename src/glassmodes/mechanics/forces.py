r"""Energy, forces and stress of interacting pairs, and how far a sample is from a minimum."""

from __future__ import annotations

import numpy as np

from glassmodes.mechanics.interactions import PairInteractions


def energy(inter: PairInteractions) -> float:
    """Return the potential energy U = Σ φ."""
    return float(inter.derivatives[0].sum())


def forces(inter: PairInteractions) -> np.ndarray:
    """Return F_i = -∂U/∂x_i = Σ_j A1 r_ij, (N, d)."""
    return -inter.scatter(inter.A1[:, None] * inter.vector)


def stress(inter: PairInteractions) -> np.ndarray:
    """Return the Cauchy stress σ_ab = (1/V) Σ A1 r_a r_b, (d, d); tension is positive."""
    return np.einsum("p,pa,pb->ab", inter.A1, inter.vector, inter.vector) / inter.volume


def pressure(inter: PairInteractions) -> float:
    """Return p = -tr σ / d = -(1/(d V)) Σ A1 r²."""
    return float(-(inter.derivatives[1] @ inter.distance) / (inter.d * inter.volume))


def max_force(inter: PairInteractions) -> float:
    """Return the largest absolute component of the net forces."""
    return float(np.abs(forces(inter)).max(initial=0.0))


def typical_contact_force(inter: PairInteractions) -> float:
    """Return the mean of |φ'| over contacts (0 without contacts)."""
    return float(np.abs(inter.derivatives[1]).mean()) if len(inter) else 0.0


def force_ratio(inter: PairInteractions) -> float:
    """Return max_force / typical_contact_force: below 1e-6 a sample counts as force-free.

    0 where no force acts at all, as in a network of springs at rest.
    """
    largest = max_force(inter)
    return largest / typical_contact_force(inter) if largest > 0 else 0.0
