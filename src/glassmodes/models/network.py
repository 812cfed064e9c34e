"""Networks of harmonic springs: the bonds of a sample and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from glassmodes.errors import InputError
from glassmodes.models.model import Model

if TYPE_CHECKING:
    from glassmodes.sample import Sample


class HarmonicNetwork(Model):
    """phi = k (r - l)^2 / 2 for each bond of the sample.

    Stiffness k and rest length l are arrays of the sample, one value per bond; without them
    k = 1 and every spring is at rest as it is.  Other rest lengths give a prestressed network.
    The model itself has no constants.
    """

    kind: ClassVar[str] = "network"

    def __init__(self) -> None:
        pass

    def check(self, sample: Sample) -> None:
        """Raise `InputError` unless the sample has bonds."""
        if sample.bonds is None or not len(sample.bonds):
            raise InputError(
                f"the model {self.name or type(self).__name__} needs bonds and the sample has "
                "none: give the array bonds, or another model"
            )

    def interaction_range(self, sample: Sample) -> float:
        """Return the length of the longest bond."""
        self.check(sample)
        i, j = sample.bonds.T
        vector = sample.positions[j] - sample.positions[i]
        vector -= sample.box * np.rint(vector / sample.box)
        return float(np.sqrt(np.einsum("pc,pc->p", vector, vector).max()))
