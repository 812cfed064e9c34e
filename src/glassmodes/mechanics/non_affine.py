r"""Non-affine forces: what an affine deformation leaves unbalanced.

For x_a += γ x_b the force gradient on particle k is

    Ξ_k = ∂²U/∂γ∂x_k = -Σ_j [A2 r_a r_b r_kj + A1 r_b e_a]     (r_kj = x_j - x_k).

The last term is the net force on k and vanishes at a minimum, where Ξ_ab = Ξ_ba and only
d (d + 1)/2 directions are distinct.
"""

from __future__ import annotations

import numpy as np

from glassmodes.mechanics.born import symmetric_directions
from glassmodes.mechanics.forces import forces
from glassmodes.mechanics.interactions import PairInteractions


def non_affine_block(inter: PairInteractions) -> np.ndarray:
    """Return Ξ for the symmetric directions without the net force, (d owned, d (d + 1)/2).

    Columns follow `born.symmetric_directions`; the rows are those of the Hessian.  This is
    the right-hand side of the non-affine displacements.
    """
    directions = symmetric_directions(inter.d)
    block = np.empty((inter.owned, inter.d, len(directions)))
    for k, (a, b) in enumerate(directions):
        weight = inter.A2 * inter.vector[:, a] * inter.vector[:, b]
        block[:, :, k] = inter.scatter(weight[:, None] * inter.vector)
    return block.reshape(inter.owned * inter.d, len(directions))


def non_affine_forces(inter: PairInteractions) -> np.ndarray:
    """Return Ξ[a, b] = d(-force)/dγ for x_a += γ x_b, (d, d, owned, d).

    Exact away from a minimum too.  The particles follow the deformation; the derivative is the
    change of -force in the deformed frame.  Rows sum to zero over the particles.
    """
    n, d = inter.owned, inter.d
    block = non_affine_block(inter).reshape(n, d, d * (d + 1) // 2)
    xi = np.empty((d, d, n, d))
    for k, (a, b) in enumerate(symmetric_directions(d)):
        xi[a, b] = xi[b, a] = block[:, :, k]
    net = -forces(inter)
    for a in range(d):
        xi[a, :, :, a] += net.T
    return xi


def inversion_asymmetry(inter: PairInteractions, a: int, b: int) -> np.ndarray:
    """Return |Ξ_i|² of each particle for x_a += γ x_b, (N,): 0 where inversion is a symmetry.

    A particle whose bonds come in opposite pairs of equal stiffness feels no non-affine force.
    The mean over particles is <|Ξ|²>, `non_affine_force_squared_mean` of the verbs.
    """
    weight = inter.A2 * inter.vector[:, a] * inter.vector[:, b]
    xi = inter.scatter(weight[:, None] * inter.vector)
    xi[:, a] += inter.scatter(inter.A1 * inter.vector[:, b])
    return np.einsum("nc,nc->n", xi, xi)
