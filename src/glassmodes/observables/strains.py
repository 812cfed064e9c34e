"""Strains by name, and what they do to a sample: affine modulus and non-affine force.

The strain "ab" is x_a += γ x_b, with the axes x, y, z, w: "xy" is the simple shear of most
papers, "xx" a uniaxial stretch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from glassmodes.errors import InputError
from glassmodes.mechanics.interactions import PairInteractions

if TYPE_CHECKING:
    from glassmodes.observables.harmonic import HarmonicSystem

AXES = "xyzw"
_SILENT = 1e-13  # of the bond forces: below it what is left of their sum is round-off


def strain_axes(name: str, d: int) -> tuple[int, int]:
    """Return the axes (a, b) of a strain.

    Raises
    ------
    InputError
        If `name` is not two axes of a sample in d dimensions.
    """
    axes = AXES[:d]
    if len(name) != 2 or any(letter not in axes for letter in name):
        raise InputError(
            f"unknown strain {name!r} in {d} dimensions, expected two of the axes "
            f"{', '.join(axes)}, for instance 'xy'"
        )
    return axes.index(name[0]), axes.index(name[1])


def shear_strains(d: int) -> list[str]:
    """Return the d (d - 1)/2 shears "ab" with a < b; "ba" differs by stress anisotropy only."""
    return [AXES[a] + AXES[b] for a in range(d) for b in range(a + 1, d)]


def affine_moduli(inter: PairInteractions, strains: Sequence[str]) -> np.ndarray:
    """Return G_A = (1/V) Σ [A2 r_a² r_b² + A1 r_b²] of each strain, (S,).

    ``gradient_tensor(born_tensor(inter), stress)[a, b, a, b]`` without the tensor.
    """
    values = []
    for name in strains:
        a, b = strain_axes(name, inter.d)
        r_a, r_b = inter.vector[:, a], inter.vector[:, b]
        values.append(inter.total(inter.A2 * (r_a * r_b) ** 2 + inter.A1 * r_b**2))
    return np.array(values) / inter.volume


def non_affine_columns(inter: PairInteractions, strains: Sequence[str]) -> np.ndarray:
    """Return Ξ of each strain without the net force, (d owned, S), zero where it is round-off.

    The columns of `mechanics.non_affine.non_affine_block` for these strains.  In a perfect
    lattice the bond forces cancel to round-off, which would pass for a force.
    """
    block = np.empty((inter.owned * inter.d, len(strains)))
    for k, name in enumerate(strains):
        a, b = strain_axes(name, inter.d)
        pull = (inter.A2 * inter.vector[:, a] * inter.vector[:, b])[:, None] * inter.vector
        block[:, k] = inter.scatter(pull).ravel()
        left, cancelled = inter.reduce([np.sum(block[:, k] ** 2), np.sum(pull**2)])
        if left <= _SILENT**2 * cancelled:
            block[:, k] = 0.0
    return block


def mass_weighted_forces(system: HarmonicSystem, forces: np.ndarray) -> np.ndarray:
    """Return b = M^(-1/2) Ξ of this rank's rows, (n_local, S).

    What null motions cannot feel is projected out: nothing in an unstressed network, whose Ξ
    lies in the range of its Hessian.  Collective.
    """
    return system.operator.project(np.asfortranarray(forces / system.amplitude))
