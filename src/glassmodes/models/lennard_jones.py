r"""The Lennard-Jones potential, truncated so that its force vanishes at the cutoff.

    f(x) = 4 (x^-12 - x^-6);    f_SF(x) = f(x) - f(x_c) - (x - x_c) f'(x_c)

Source: Toxvaerd and Dyre, J. Chem. Phys. 134, 081102 (2011), for the shift of
the force; Kob and Andersen, Phys. Rev. E 51, 4626 (1995), for the shift of the
energy alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from glassmodes.errors import InputError, nearest
from glassmodes.models.potential import PairPotential, power

TRUNCATIONS = ("force_shifted", "energy_shifted")


class LennardJones(PairPotential):
    """phi = 4 eps [(sigma/r)^12 - (sigma/r)^6] with sigma = l, truncated and shifted.

    Parameters
    ----------
    lengths, energies, non_additivity
        As in `PairPotential`; l is the usual sigma.
    cutoffs
        Reduced cutoff r_c / sigma.
    cutoff_distances
        The same as absolute distances r_c, instead of `cutoffs`.
    truncation : {"force_shifted", "energy_shifted"}
        ``energy_shifted`` subtracts only f(x_c), as most simulation codes do for
        "lj/cut": the force then jumps at the cutoff, and a minimiser can come to
        rest on a kink of the energy.

    Notes
    -----
    The second derivative jumps at the cutoff in both cases.
    """

    def __init__(
        self,
        *,
        lengths: Any = None,
        energies: Any = 1.0,
        cutoffs: Any = None,
        cutoff_distances: Any = None,
        non_additivity: float | None = None,
        truncation: str = "force_shifted",
    ) -> None:
        if (cutoffs is None) == (cutoff_distances is None):
            raise InputError("give LennardJones either cutoffs (in units of l) or cutoff_distances")
        if cutoff_distances is not None and lengths is None:
            raise InputError("cutoff_distances need lengths; give cutoffs in units of l instead")
        if truncation not in TRUNCATIONS:
            raise InputError(
                f"the constant truncation is {truncation!r}; known are {', '.join(TRUNCATIONS)}"
                + nearest(truncation, TRUNCATIONS)
            )
        super().__init__(
            lengths=lengths,
            energies=energies,
            cutoffs=cutoffs if cutoffs is not None else cutoff_distances,
            non_additivity=non_additivity,
        )
        if cutoff_distances is not None:
            self.cutoffs = self.cutoffs / self.lengths
        self.cutoff_distances = None  # kept as `cutoffs` alone
        self.truncation = truncation

    def radial(self, x: np.ndarray, cutoff: np.ndarray, order: int) -> np.ndarray:
        """Return f_SF and its derivatives; see `PairPotential.radial`."""
        values = _plain(x, order)
        at_cutoff = _plain(cutoff, 1)
        values[0] -= at_cutoff[0]
        if self.truncation == "force_shifted":
            values[0] -= (x - cutoff) * at_cutoff[1]
            if order >= 1:
                values[1] -= at_cutoff[1]
        return values


def _plain(x: np.ndarray, order: int) -> np.ndarray:
    return 4 * (power(x, -12, order) - power(x, -6, order))
