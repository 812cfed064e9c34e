r"""Soft spheres that repel only when they overlap.

    f(x) = (1 - x)^a / a        for x < 1

a = 2 are harmonic spheres, a = 5/2 Hertzian ones.  Source: O'Hern, Silbert, Liu
and Nagel, Phys. Rev. E 68, 011306 (2003).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from glassmodes.errors import InputError
from glassmodes.models.potential import PairPotential, number, power


class HarmonicSpheres(PairPotential):
    """phi = (eps/a) (1 - r/l)^a for r < l, zero for particles that do not touch.

    Parameters
    ----------
    lengths, energies, non_additivity
        As in `PairPotential`; l is the distance of contact.
    exponent : float
        a >= 2.

    Notes
    -----
    Derivatives of order above a diverge at contact, and for a = 2 the second
    one jumps there.
    """

    def __init__(
        self,
        *,
        lengths: Any = None,
        energies: Any = 1.0,
        non_additivity: float | None = None,
        exponent: float = 2.0,
    ) -> None:
        super().__init__(
            lengths=lengths, energies=energies, cutoffs=1.0, non_additivity=non_additivity
        )
        self.exponent = number("exponent", exponent)
        if self.exponent < 2:
            raise InputError(
                f"the constant exponent is {exponent}; expected >= 2, or the Hessian diverges"
            )
        self.contact = bool(np.all(self.energies > 0))

    def density_at(self, packing_fraction: float, dimension: int) -> float:
        """Return the number density N/V at which spheres of the usual mixture fill a fraction.

        φ = (N/V) Σ_s c_s v_d (l_ss/2)^d, with the volume v_d of the unit ball: overlaps count
        twice.  The composition c is that of the model's defaults, one species without.

        Raises
        ------
        InputError
            If lengths follow from diameters, or the composition is not known.
        """
        if self.lengths is None:
            raise InputError(f"{self._label()} takes its lengths from diameters: give a density")
        shares = self.defaults.composition if self.defaults else (1.0,)
        if len(shares) != self.n_species:
            raise InputError(
                f"the composition of {self._label()} is not known: give a density instead of a "
                "packing fraction"
            )
        radii = np.diag(self.lengths) / 2
        unit_ball = math.pi ** (dimension / 2) / math.gamma(dimension / 2 + 1)
        return packing_fraction / (unit_ball * float(np.dot(shares, radii**dimension)))

    def radial(self, x: np.ndarray, cutoff: np.ndarray, order: int) -> np.ndarray:
        """Return f and its derivatives; see `PairPotential.radial`."""
        signs = (-1.0) ** np.arange(order + 1)
        return signs[:, None] * power(1.0 - x, self.exponent, order) / self.exponent
