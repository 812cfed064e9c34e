r"""The smoothed inverse power law of soft-sphere glasses.

    f(x) = x^-n + sum_{l=0}^{q} c_2l x^2l        for x < x_c

Source: Lerner, J. Non-Cryst. Solids 522, 119570 (2019), polydisperse case;
Gutierrez et al., EPL 111, 56009 (2015), general exponent and smoothing order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from glassmodes.errors import InputError
from glassmodes.models.potential import PairPotential, power, whole_number

_LARGEST_EXPONENT, _SMOOTHEST = 1000, 20


class InversePowerLaw(PairPotential):
    """phi = eps [(l/r)^n + sum_l c_2l (r/l)^2l], smooth to order q at the cutoff.

    Parameters
    ----------
    exponent : int
        n, even.
    smoothing : int
        q: the value and the first q derivatives vanish at the cutoff, so that
        phi ~ (x_c - x)^(q+1) there.
    cutoffs
        Reduced cutoff x_c.
    lengths, energies, non_additivity
        As in `PairPotential`.
    """

    def __init__(
        self,
        *,
        exponent: int,
        smoothing: int,
        cutoffs: Any,
        lengths: Any = None,
        energies: Any = 1.0,
        non_additivity: float | None = None,
    ) -> None:
        super().__init__(
            lengths=lengths, energies=energies, cutoffs=cutoffs, non_additivity=non_additivity
        )
        self.exponent = whole_number("exponent", exponent, 2)
        self.smoothing = whole_number("smoothing", smoothing, 0)
        if self.exponent > _LARGEST_EXPONENT or self.smoothing > _SMOOTHEST:
            raise InputError(
                f"exponent {exponent} with smoothing {smoothing} is beyond double precision; at "
                f"most {_LARGEST_EXPONENT} and {_SMOOTHEST} work"
            )
        if self.exponent % 2:
            raise InputError(f"the constant exponent is {exponent}; expected an even number")

    def coefficients(self, cutoff: float) -> np.ndarray:
        """Return c_0, c_2, ..., c_2q for the reduced cutoff, shape (q + 1,).

        c_2l = (-1)^(l+1) / [(2q-2l)!! (2l)!!] (n+2q)!! / [(n-2)!! (n+2l)] x_c^-(n+2l)
        """
        return self._unit_coefficients() * float(cutoff) ** -(
            self.exponent + 2.0 * np.arange(self.smoothing + 1)
        )

    def radial(self, x: np.ndarray, cutoff: np.ndarray, order: int) -> np.ndarray:
        """Return f and its derivatives; see `PairPotential.radial`."""
        n = self.exponent
        values = power(x, -n, order)
        for l, c in enumerate(self._unit_coefficients()):
            values += c * cutoff ** -(n + 2.0 * l) * power(x, 2 * l, order)
        return values

    def _unit_coefficients(self) -> np.ndarray:
        """Return the coefficients for x_c = 1, from exact integers."""
        n, q = self.exponent, self.smoothing
        unit = []
        for l in range(q + 1):
            numerator = (-1) ** (l + 1) * _double_factorial(n + 2 * q)
            denominator = (
                _double_factorial(2 * (q - l))
                * _double_factorial(2 * l)
                * _double_factorial(n - 2)
                * (n + 2 * l)
            )
            unit.append(numerator / denominator)
        return np.array(unit)


def _double_factorial(n: int) -> int:
    result = 1
    for k in range(n, 0, -2):
        result *= k
    return result
