r"""Newton steps on the exact Hessian, solved by conjugate gradients.

H p = F is solved until the residual falls below a fraction of |F| that shrinks with |F|, so
that the convergence is superlinear and no product is wasted far from the minimum.  A
direction of negative curvature ends the solve: the caller must go down by other means.
Rattlers and other free directions carry no force and no stiffness; conjugate gradients never
enters them.

On a sample spread over ranks (`glassmodes.domain`) all functions are collective, vectors hold
the rows of owned particles, and a product and its sums cost two reductions.

Source: Nocedal and Wright, *Numerical Optimization*, 2nd ed., algorithm 7.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from glassmodes.kernels.block import EdgeProduct, aligned_block
from glassmodes.mechanics import forces, hessian
from glassmodes.mechanics.interactions import PairInteractions
from glassmodes.spectra.operators import EdgeOperator

_CURVATURE = 1e-10  # of the stiffest product met: below it a direction counts as not stable
_ENOUGH = 1e-4  # of the decrease that the step promises (Armijo)
_HALVINGS = 12


class HessianProduct:
    """The Hessian of unit masses, applied to one vector at a time; `products` counts them.

    `reduce` sums over the ranks of the sample.
    """

    def __init__(self, inter: PairInteractions) -> None:
        u, sign, t = hessian.edges(inter)
        self._accumulate: Callable[[np.ndarray, np.ndarray, float, float], None]
        if inter.domain is None:
            edges = EdgeProduct(inter.n, inter.n, inter.i, inter.j, u, sign, t)
            self._accumulate = edges.accumulate
        else:
            operator = EdgeOperator(inter.domain.halo, inter.i, inter.j, u, sign, t)
            self._accumulate = operator.accumulate
        self.reduce = inter.reduce
        self._rows = inter.owned * inter.d
        self._x = aligned_block(inter.sites * inter.d, 1)
        self._y = aligned_block(inter.sites * inter.d, 1)
        self.products = 0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return H x for x (d n_owned,); the result is overwritten by the next call."""
        self._x[: self._rows, 0] = x
        self._y[...] = 0.0
        self._accumulate(self._x, self._y, 1.0, 0.0)
        self.products += 1
        return self._y[: self._rows, 0]


@dataclass
class Direction:
    """Outcome of one solve: step (d n_owned,), and whether negative curvature ended it."""

    step: np.ndarray
    negative: bool


def solve(product: HessianProduct, force: np.ndarray, rtol: float, most: int) -> Direction:
    """Solve H p = F by conjugate gradients from p = 0.

    Parameters
    ----------
    force : (d n_owned,) float64
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
    rr = target = float(product.reduce(r @ r))
    target *= rtol**2
    stiffest = 0.0
    for step in range(most):
        hq = product(q)
        curvature, length = product.reduce([q @ hq, q @ q]).tolist()
        stiffest = max(stiffest, abs(curvature) / length)
        if curvature <= _CURVATURE * stiffest * length:
            return Direction(p if step else force.copy(), True)
        alpha = rr / curvature
        p += alpha * q
        r -= alpha * hq
        before, rr = rr, float(product.reduce(r @ r))
        if rr <= target:
            break
        q *= rr / before
        q += r
    return Direction(p, False)


@dataclass
class Point:
    """Positions (n_owned, d) with all that is known about the energy there."""

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
    reduce = start.inter.reduce
    promised = float(reduce((start.force * step).sum()))
    norm = _norm(start)
    length = min(1.0, longest_move / float(reduce(np.abs(step).max(initial=0.0), largest=True)))
    resolution = 8 * np.finfo(float).eps * start.inter.total(np.abs(start.inter.derivatives[0]))
    for halving in range(1, _HALVINGS + 1):
        point = Point.at(interactions, start.positions + length * step)
        saved = start.energy - point.energy
        pays = saved >= _ENOUGH * length * promised and saved > resolution
        smaller = _norm(point) <= (1 - _ENOUGH * length) * norm
        if pays or (smaller and saved > -resolution):
            return point, halving
        length /= 2
    return None, _HALVINGS


def _norm(point: Point) -> float:
    return float(np.sqrt(point.inter.reduce(np.vdot(point.force, point.force))))
