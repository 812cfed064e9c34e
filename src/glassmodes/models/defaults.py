"""What a preparation takes from a model unless it is told otherwise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glassmodes.errors import InputError


@dataclass(frozen=True)
class PowerLawDiameters:
    """Diameters with the density P(D) ~ D^-exponent on [minimum, maximum].

    They are the N quantiles at probabilities (k + 1/2)/N, so that every sample
    of one size has the same list and only its order is random.
    """

    minimum: float
    maximum: float
    exponent: float = 3.0

    def __post_init__(self) -> None:
        if not 0 < self.minimum <= self.maximum < np.inf:
            raise InputError(
                f"diameters from {self.minimum} to {self.maximum}; expected 0 < minimum <= maximum"
            )

    def quantiles(self, n: int, index: np.ndarray | None = None) -> np.ndarray:
        """Return the N diameters in ascending order, shape (N,), or those at `index` (k,)."""
        u = ((np.arange(n) if index is None else index) + 0.5) / n
        m = 1.0 - self.exponent
        if m == 0:
            return self.minimum * (self.maximum / self.minimum) ** u
        low, high = self.minimum**m, self.maximum**m
        return (low + u * (high - low)) ** (1 / m)


@dataclass(frozen=True)
class ModelDefaults:
    """State point of a model.

    Parameters
    ----------
    dimension : int
    density : float
        Number density N / V in the model's unit of length.
    composition : tuple of float
        Fraction of each species.
    diameters : PowerLawDiameters, optional
        For polydisperse models.
    source : str
        Where the state point is published.
    """

    dimension: int
    density: float
    composition: tuple[float, ...] = (1.0,)
    diameters: PowerLawDiameters | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if self.dimension not in (2, 3, 4):
            raise InputError(f"dimension is {self.dimension}; expected 2, 3 or 4")
        if not 0 < self.density < np.inf:
            raise InputError(f"density is {self.density}; expected a positive number")
        if min(self.composition, default=-1.0) < 0 or abs(sum(self.composition) - 1) > 1e-9:
            raise InputError(f"composition is {self.composition}; expected fractions that sum to 1")
