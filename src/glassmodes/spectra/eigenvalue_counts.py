"""How many eigenvalues lie below an edge, estimated from Chebyshev moments.

The step at the edge is a Chebyshev series damped by the Jackson kernel: a smooth step whose
width is pi / (number of moments) in the angle arccos l(x).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glassmodes.spectra.chebyshev import (
    SpectralBound,
    chebyshev_moments,
    jackson_factors,
    random_starts,
)
from glassmodes.spectra.operators import BlockOperator

_SHARPNESS = 12  # angle of the edge over the width of the step of a checking count
_MOST_PRODUCTS = 10_000
_CHECK_STREAM = 2**20  # random vectors apart from those of other counts


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
        angle = _angle(edge, self.lower, self.upper)
        return float(step_coefficients(len(self.moments), angle) @ self.moments)

    def edge(self, count: float) -> float:
        """Return the edge below which about `count` eigenvalues lie, by bisection."""
        low, high = 0.0, np.pi  # an angle that is uniform in frequency

        def place(angle: float) -> float:
            return self.lower + (self.upper - self.lower) * (1 - np.cos(angle)) / 2

        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.below(place(middle)) < count else (low, middle)
        return float(place(high))


def step_coefficients(count: int, angle: float) -> np.ndarray:
    """Return the damped series of the step that is 1 where arccos l(x) > `angle`, (count,)."""
    k = np.arange(1, count)
    series = -2 / np.pi * jackson_factors(count)[1:] * np.sin(k * angle) / k
    return np.concatenate([[(np.pi - angle) / np.pi], series])


def _angle(edge: float, lower: float, upper: float) -> float:
    return float(np.arccos(np.clip(2 * (edge - lower) / (upper - lower) - 1, -1, 1)))


def kernel_polynomial_count(operator: BlockOperator, bound: SpectralBound, products: int,
                            width: int = 8, seed: int = 1) -> KernelPolynomialCount:  # fmt: skip
    """Estimate the eigenvalue counting function from `width` random vectors.

    Null vectors of the operator are projected out and not counted.  Collective.
    """
    moments = chebyshev_moments(operator, random_starts(operator, width, seed), bound, products)
    total = moments.sum(axis=1)
    norm = (operator.n - operator.nullity) / total[0]
    return KernelPolynomialCount(total * norm, bound.lower, bound.upper)


def check_count(
    operator: BlockOperator,
    bound: SpectralBound,
    edge: float,
    values: np.ndarray,
    vectors: np.ndarray,
    width: int = 8,
    seed: int = 1,
) -> tuple[float, float]:
    """Count the eigenvalues below `edge` outside the null space, with modes that are known.

    The random vectors are made orthogonal to the known modes, which enter by their eigenvalues:
    what is left to chance is a mode that nobody knows, and the tail that the smooth step has in
    the modes beyond.

    Parameters
    ----------
    operator
        Operator A.
    bound
        Of its spectrum.
    edge : float
        Above zero.
    values, vectors : (k,), (n_local, k)
        Eigenpairs known.
    width, seed
        Number and seed of the random vectors.

    Returns
    -------
    count, error
        The error joins the standard error over the random vectors with the bias of the smooth
        step, which is taken off the count: half its variance times the second derivative of
        the number of modes in the angle.

    Notes
    -----
    Collective.  About 9.4 sqrt(bound / edge) products of each random vector.
    """
    depth = np.pi - _angle(edge, bound.lower, bound.upper)
    products = min(int(np.ceil(_SHARPNESS * np.pi / (2 * max(depth, 1e-3)))), _MOST_PRODUCTS)
    starts = random_starts(operator, width, seed, _CHECK_STREAM)
    starts -= vectors @ operator.inner(vectors, starts)
    moments = chebyshev_moments(operator, starts, bound, products)
    space = operator.n - operator.nullity - len(values)
    moments *= space * width / moments[0].sum()
    position = np.arccos(np.clip(bound.position(values), -1, 1))

    width_of_step = np.pi / (2 * products)
    h = 2 * width_of_step
    counts = []
    for angle in np.pi - depth + np.array([h, 0.0, -h]):
        step = step_coefficients(2 * products, angle)
        known = np.cos(np.outer(np.arange(2 * products), position)).T @ step
        counts.append(known.sum() + step @ moments)
    bias = width_of_step**2 / 2 * np.mean(counts[0] - 2 * counts[1] + counts[2]) / h**2
    error = np.std(counts[1], ddof=1) / np.sqrt(width)
    return float(np.mean(counts[1]) - bias), float(np.hypot(error, bias))
