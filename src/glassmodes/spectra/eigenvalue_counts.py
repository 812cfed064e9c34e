"""How many eigenvalues lie below an edge, estimated from Chebyshev moments."""

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
        jackson = jackson_factors(count)[1:]
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

    Null vectors of the operator are projected out and not counted.  Collective.
    """
    moments = chebyshev_moments(operator, random_starts(operator, width, seed), bound, products)
    total = moments.sum(axis=1)
    norm = (operator.n - operator.nullity) / total[0]
    return KernelPolynomialCount(total * norm, bound.lower, bound.upper)
