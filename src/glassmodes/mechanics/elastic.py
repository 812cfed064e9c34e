r"""Elastic moduli of a sample from its Born terms and its non-affine response.

With the relaxed bare tensor c_abcd = (1/V) [Σ A2 r_a r_b r_c r_d - Ξ_ab · H⁺ Ξ_cd]:

    G_ab   = c_abab + σ_bb                       shear x_a += γ x_b in a fixed box
    K      = Σ_ac c_aacc / d² + (1 - 2/d) p      bulk modulus -V dp/dV
    C_abcd = stress-strain coefficients          see `born.stress_strain_tensor`

so that (G_ab + G_ba)/2 = C_abab and Σ_ac C_aacc / d² = K.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glassmodes.mechanics.born import born_tensor, gradient_tensor, stress_strain_tensor, unpack
from glassmodes.mechanics.forces import stress as stress_of
from glassmodes.mechanics.interactions import PairInteractions


@dataclass(frozen=True)
class ElasticModuli:
    """Moduli of one sample; energies per volume in the units of the model.

    Attributes
    ----------
    stress : (d, d)
        Cauchy stress, tension positive.
    born, relaxed : (d, d, d, d)
        Bare tensors c without and with the non-affine part.
    """

    stress: np.ndarray
    born: np.ndarray
    relaxed: np.ndarray

    @property
    def pressure(self) -> float:
        """p = -tr σ / d."""
        return float(0.0 - np.trace(self.stress) / len(self.stress))

    @property
    def born_shear(self) -> np.ndarray:
        """Affine shear modulus for each ordered direction (a, b), (d, d); diagonal NaN."""
        return _shear(gradient_tensor(self.born, self.stress))

    @property
    def shear(self) -> np.ndarray:
        """Shear modulus for each ordered direction (a, b), (d, d); diagonal NaN."""
        return _shear(gradient_tensor(self.relaxed, self.stress))

    @property
    def bulk(self) -> float:
        """Bulk modulus K."""
        d = len(self.stress)
        return float(np.einsum("aacc", self.relaxed) / d**2 + (1 - 2 / d) * self.pressure)

    @property
    def elastic_tensor(self) -> np.ndarray:
        """Stress-strain coefficients C_abcd, (d, d, d, d)."""
        return stress_strain_tensor(self.relaxed, self.stress)


def moduli_from(inter: PairInteractions, xi: np.ndarray, response: np.ndarray) -> ElasticModuli:
    """Combine affine terms and non-affine response.

    Parameters
    ----------
    inter
        Pairs of a sample at a minimum.
    xi : (d owned, d (d + 1)/2)
        Non-affine forces, from `non_affine.non_affine_block`.
    response : (d owned, d (d + 1)/2)
        H⁺ xi with the unweighted Hessian H.
    """
    born = born_tensor(inter)
    softening = inter.reduce(xi.T @ response) / inter.volume
    # A solve leaves the Gram matrix symmetric to its tolerance only.
    softening = (softening + softening.T) / 2
    return ElasticModuli(stress_of(inter), born, born - unpack(softening, inter.d))


def off_diagonal_mean(values: np.ndarray) -> float:
    """Return the mean of a (d, d) array over ordered pairs of different directions."""
    return float(values[~np.eye(len(values), dtype=bool)].mean())


def _shear(tensor: np.ndarray) -> np.ndarray:
    values = np.einsum("abab->ab", tensor).copy()
    np.fill_diagonal(values, np.nan)
    return values
