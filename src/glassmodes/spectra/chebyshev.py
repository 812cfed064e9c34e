"""Chebyshev recursions on blocks: low-pass filter, spectral bound and eigenvalue counts.

Symbols: l(x) maps the interval [low, high] to [-1, 1]; T_k is the Chebyshev polynomial.
The recursion runs in place on two work blocks with the sign trick
S_{k+1} = S_{k-1} +- M S_k, so a step is one product and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh_tridiagonal

from glassmodes.spectra.operators import BlockOperator

_SAFETY = 1.01  # on the Lanczos bound, which holds for all but vanishing start overlaps
_BOUND_STREAM = 2**32 - 1  # random stream of the bound, apart from all others


@dataclass(frozen=True)
class SpectralBound:
    """Where the spectrum lies.

    upper : bound of the largest eigenvalue.  estimate : largest Ritz value.  lower : 0 unless
    a Ritz value is negative, then a bound of the smallest eigenvalue.
    """

    upper: float
    estimate: float
    lower: float = 0.0


def spectral_bound(operator: BlockOperator, steps: int = 8, width: int = 8, seed: int = 1):
    """Bound the largest eigenvalue by short Lanczos runs: Ritz value plus residual.

    Runs `width` independent runs of `steps` steps at once.  Collective; steps x width products.
    """
    rows = operator.n_local
    x = operator.project(operator.random_block(width, seed, _BOUND_STREAM))
    x /= np.sqrt(operator.reduce(np.einsum("rk,rk->k", x, x)))
    previous = np.zeros_like(x)
    beta = np.zeros(width)
    diagonal, off_diagonal = [], []
    source, target = operator.work_block(width), operator.work_block(width)
    for _ in range(min(steps, max(operator.n - 1, 1))):
        source[:rows] = x
        target[:rows] = 0.0
        operator.accumulate(source, target, 1.0, 0.0)
        w = target[:rows] - previous * beta
        alpha = operator.reduce(np.einsum("rk,rk->k", x, w))
        w -= x * alpha
        beta = np.sqrt(operator.reduce(np.einsum("rk,rk->k", w, w)))
        diagonal.append(alpha)
        off_diagonal.append(beta)
        if not np.all(beta > 1e-12 * np.abs(alpha).max()):
            break
        previous, x = x, w / beta
    upper = estimate = lower = 0.0
    for q in range(width):
        values, vectors = eigh_tridiagonal(
            [a[q] for a in diagonal], [b[q] for b in off_diagonal[:-1]]
        )
        residuals = off_diagonal[-1][q] * np.abs(vectors[-1])
        estimate = max(estimate, float(values[-1]))
        upper = max(upper, float(values[-1] + residuals[-1]))
        if values[0] < -1e-10 * estimate:
            lower = min(lower, float(values[0] - residuals[0]))
    return SpectralBound(_SAFETY * upper, estimate, _SAFETY * lower)


class ChebyshevFilter:
    """The polynomial T_degree(l(A)) that damps [low, high] and lifts what lies below `low`.

    Parameters
    ----------
    operator
        Operator A.
    low, high : float
        Damped interval; `high` bounds the spectrum.
    degree : int
        Even, so that the lifted values are positive.
    width : int
        Block width.
    """

    def __init__(self, operator, low: float, high: float, degree: int, width: int) -> None:
        if degree % 2:
            raise ValueError("an odd filter degree finds the wrong end of the spectrum")
        self.operator, self.degree = operator, degree
        self.half, self.middle = (high - low) / 2, (high + low) / 2
        self._work = operator.work_block(width), operator.work_block(width)

    def apply(self, x: np.ndarray, out: np.ndarray) -> None:
        """Write T_degree(l(A)) x to `out`; both (n_local, width).  Collective."""
        rows = self.operator.n_local
        older, newer = self._work
        older[:rows] = x
        newer[:rows] = 0.0
        self.operator.accumulate(older, newer, 1 / self.half, -self.middle / self.half)
        sign, newer_sign = 1, 1
        for _ in range(1, self.degree):
            next_sign = -sign
            factor = 2.0 * next_sign * newer_sign / self.half
            self.operator.accumulate(newer, older, factor, -factor * self.middle)
            older, newer = newer, older
            sign, newer_sign = newer_sign, next_sign
        np.multiply(newer[:rows], newer_sign, out=out)

    def eigenvalues(self, theta: np.ndarray) -> np.ndarray:
        """Return the eigenvalues of A below `low` whose filtered values are `theta` > 1."""
        argument = np.arccosh(np.maximum(np.abs(theta), 1.0)) / self.degree
        return self.middle - self.half * np.cosh(argument)

    def slope(self, theta: np.ndarray) -> np.ndarray:
        """Return |d T_degree(l(x)) / dx| where the filter has the value `theta` >= 1."""
        argument = np.arccosh(np.maximum(np.abs(theta), 1 + 1e-12)) / self.degree
        rise = np.sinh(self.degree * argument) / np.maximum(np.sinh(argument), 1e-12)
        return self.degree * rise / self.half


@dataclass(frozen=True)
class KernelPolynomialCount:
    """Counts eigenvalues below an edge from Chebyshev moments (Jackson kernel).

    moments : (K,) trace moments, summed over the spectrum, for the interval [lower, upper].
    """

    moments: np.ndarray
    lower: float
    upper: float

    def below(self, edge: float) -> float:
        """Return the estimated number of eigenvalues below `edge`."""
        count = len(self.moments)
        k = np.arange(1, count)
        phase = np.pi / (count + 1)
        jackson = (count - k + 1) * np.cos(k * phase) + np.sin(k * phase) / np.tan(phase)
        jackson /= count + 1
        position = (edge - self.lower) / (self.upper - self.lower)
        theta = np.arccos(np.clip(2 * position - 1, -1, 1))
        series = np.sum(jackson * self.moments[1:] * np.sin(k * theta) / k)
        return float(self.moments[0] * (np.pi - theta) / np.pi - 2 / np.pi * series)

    def edge(self, count: float) -> float:
        """Return the edge below which about `count` eigenvalues lie, by bisection."""
        low, high = 0.0, np.pi  # an angle that is uniform in frequency

        def place(angle: float) -> float:
            return self.lower + (self.upper - self.lower) * (1 - np.cos(angle)) / 2

        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.below(place(middle)) < count else (low, middle)
        return float(place(high))


def kernel_polynomial_count(operator: BlockOperator, bound: SpectralBound, products: int,
                            width: int = 8, seed: int = 1) -> KernelPolynomialCount:  # fmt: skip
    """Estimate the eigenvalue counting function from `width` random vectors.

    The doubling trick gives 2 `products` moments from `products` block products.  Null
    vectors of the operator are projected out and not counted.  Collective.
    """
    rows = operator.n_local
    older, newer = operator.work_block(width), operator.work_block(width)
    start = operator.project(np.sign(operator.random_block(width, seed, _BOUND_STREAM - 1)))
    older[:rows] = start
    half, middle = (bound.upper - bound.lower) / 2, (bound.upper + bound.lower) / 2
    operator.accumulate(older, newer, 1 / half, -middle / half)

    def overlap(x: np.ndarray, y: np.ndarray) -> float:
        return float(operator.reduce(np.array(np.vdot(x[:rows], y[:rows]))))

    moments = np.empty(2 * products)
    moments[0], moments[1] = overlap(older, older), overlap(older, newer)
    sign, newer_sign = 1, 1
    for k in range(1, products):
        moments[2 * k] = 2 * overlap(newer, newer) - moments[0]
        next_sign = -sign
        factor = 2.0 * next_sign * newer_sign / half
        operator.accumulate(newer, older, factor, -factor * middle)
        older, newer = newer, older
        sign, newer_sign = newer_sign, next_sign
        moments[2 * k + 1] = 2 * overlap(older, newer) * sign * newer_sign - moments[1]
    norm = (operator.n - operator.null_space.shape[1]) / moments[0]
    return KernelPolynomialCount(moments * norm, bound.lower, bound.upper)
