r"""Newton steps on the exact Hessian, solved by conjugate gradients.

H p = F is solved until the residual falls below a fraction of |F| that shrinks with |F|, so
that the convergence is superlinear and no product is wasted far from the minimum.  A
direction of negative curvature ends the solve: the caller must go down by other means.
Rattlers and other free directions carry no force and no stiffness; conjugate gradients never
enters them.

Source: Nocedal and Wright, *Numerical Optimization*, 2nd ed., algorithm 7.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from glassmodes.kernels.block import EdgeProduct, aligned_block
from glassmodes.mechanics import forces, hessian
from glassmodes.mechanics.interactions import PairInteractions

_CURVATURE = 1e-10  # of the stiffest product met: below it a direction counts as not stable
_ENOUGH = 1e-4  # of the decrease that the step promises (Armijo)
_HALVINGS = 12


class HessianProduct:
    """The Hessian of unit masses, applied to one vector at a time; `products` counts them."""

    def __init__(self, inter: PairInteractions) -> None:
        u, sign, t = hessian.edges(inter)
        self._edges = EdgeProduct(inter.n, inter.n, inter.i, inter.j, u, sign, t)
        self._x = aligned_block(inter.n * inter.d, 1)
        self._y = aligned_block(inter.n * inter.d, 1)
        self.products = 0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return H x for x (dN,); the result is overwritten by the next call."""
        self._x[:, 0] = x
        self._y[...] = 0.0
        self._edges.accumulate(self._x, self._y, 1.0, 0.0)
        self.products += 1
        return self._y[:, 0]


@dataclass
class Direction:
    """Outcome of one solve: step (dN,), and whether negative curvature ended it."""

    step: np.ndarray
    negative: bool


def solve(product: HessianProduct, force: np.ndarray, rtol: float, most: int) -> Direction:
    """Solve H p = F by conjugate gradients from p = 0.

    Parameters
    ----------
    force : (dN,) float64
        Its sum over particles must vanish; p then holds no translation.
    rtol
        Residual aimed at, relative to |F|.
    most
        Largest number of products.

    Returns
    -------
    Direction
        A descent direction in any case: the last iterate, or F itself if even F points
        along negative curvature.
    """
    p = np.zeros_like(force)
    r = force.copy()
    q = r.copy()
    rr = target = float(r @ r)
    target *= rtol**2
    stiffest = 0.0
    for _ in range(most):
        hq = product(q)
        curvature = float(q @ hq)
        length = float(q @ q)
        stiffest = max(stiffest, abs(curvature) / length)
        if curvature <= _CURVATURE * stiffest * length:
            return Direction(p if p.any() else force.copy(), True)
        alpha = rr / curvature
        p += alpha * q
        r -= alpha * hq
        before, rr = rr, float(r @ r)
        if rr <= target:
            break
        q *= rr / before
        q += r
    return Direction(p, False)


@dataclass
class Point:
    """Positions (N, d) with all that is known about the energy there."""

    positions: np.ndarray
    inter: PairInteractions
    energy: float
    force: np.ndarray

    @classmethod
    def at(cls, interactions: Callable[[np.ndarray], PairInteractions], x: np.ndarray) -> Point:
        """Evaluate the energy at x."""
        inter = interactions(x)
        return cls(x, inter, forces.energy(inter), forces.forces(inter))

    @property
    def ratio(self) -> float:
        """Largest force component over the typical contact force; 0 without any force."""
        return forces.force_ratio(self.inter)


def search(
    interactions: Callable[[np.ndarray], PairInteractions],
    start: Point,
    step: np.ndarray,
    longest_move: float,
) -> tuple[Point | None, int]:
    """Go along a descent direction as far as it pays, halving from the full step.

    A point is accepted for the energy it saves, or, where round-off hides that, for a smaller
    force.  Returns the point (None if no step pays) and the number of evaluations.
    """
    step = step.reshape(start.positions.shape)
    promised = float((start.force * step).sum())
    norm = np.linalg.norm(start.force)
    length = min(1.0, longest_move / np.abs(step).max())
    resolution = 8 * np.finfo(float).eps * np.abs(start.inter.derivatives[0]).sum()
    for halving in range(1, _HALVINGS + 1):
        point = Point.at(interactions, start.positions + length * step)
        saved = start.energy - point.energy
        pays = saved >= _ENOUGH * length * promised and saved > resolution
        smaller = np.linalg.norm(point.force) <= (1 - _ENOUGH * length) * norm
        if pays or (smaller and saved > -resolution):
            return point, halving
        length /= 2
    return None, _HALVINGS
