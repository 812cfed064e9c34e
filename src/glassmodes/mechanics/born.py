r"""Affine (Born) response of interacting pairs to a homogeneous deformation x_a += E_ab x_b.

The energy of the affinely deformed sample expands in E with

    ∂U/∂E_ab        = Σ A1 r_a r_b                                   = V σ_ab
    ∂²U/∂E_ab∂E_cd  = Σ [A2 r_a r_b r_c r_d + δ_ac A1 r_b r_d]       = V (c_abcd + δ_ac σ_bd).

The bare Born tensor c is symmetric in all four indices; the second term is the prestress,
which in a compressed glass is as large as the shear modulus itself.
"""

from __future__ import annotations

import numpy as np

from glassmodes.mechanics.interactions import PairInteractions


def symmetric_directions(d: int) -> list[tuple[int, int]]:
    """Return the d (d + 1) / 2 index pairs (a, b) with a <= b."""
    return [(a, b) for a in range(d) for b in range(a, d)]


def direction_index(d: int) -> np.ndarray:
    """Return the position of (a, b) and of (b, a) in `symmetric_directions`, (d, d) int."""
    index = np.empty((d, d), np.int64)
    for k, (a, b) in enumerate(symmetric_directions(d)):
        index[a, b] = index[b, a] = k
    return index


def born_tensor(inter: PairInteractions) -> np.ndarray:
    """Return the bare Born tensor c_abcd = (1/V) Σ A2 r_a r_b r_c r_d, (d, d, d, d)."""
    a, b = np.array(symmetric_directions(inter.d)).T
    products = inter.vector[:, a] * inter.vector[:, b]
    weight = inter.A2 if inter.share is None else inter.A2 * inter.share
    packed = inter.reduce(products.T @ (weight[:, None] * products)) / inter.volume
    return unpack(packed, inter.d)


def unpack(packed: np.ndarray, d: int) -> np.ndarray:
    """Spread a matrix over symmetric directions to the tensor (d, d, d, d)."""
    index = direction_index(d)
    return packed[index[:, :, None, None], index[None, None]]


def gradient_tensor(bare: np.ndarray, stress: np.ndarray) -> np.ndarray:
    """Return A_abcd = c_abcd + δ_ac σ_bd, second derivatives by the deformation gradient.

    ``A[a, b, a, b]`` is the shear modulus for x_a += γ x_b; with the relaxed tensor for
    `bare` it is the measured one, with the bare Born tensor its affine part.

    bare : (d, d, d, d), stress : (d, d)
    """
    return bare + np.einsum("ac,bd->abcd", np.eye(len(stress)), stress)


def stress_strain_tensor(bare: np.ndarray, stress: np.ndarray) -> np.ndarray:
    """Return the stress-strain (Birch) coefficients of a stressed sample, (d, d, d, d).

    C_abcd = c_abcd + (δ_ac σ_bd + δ_ad σ_bc + δ_bc σ_ad + δ_bd σ_ac)/2 - σ_ab δ_cd: the change
    of the Cauchy stress σ_ab with a symmetric strain ε_cd without rotation.  Symmetric under
    a<->b and c<->d; under ab<->cd up to σ_cd δ_ab - σ_ab δ_cd.

    Source: D. C. Wallace, Thermodynamics of Crystals, section 2; T. H. K. Barron and
    M. L. Klein, Proc. Phys. Soc. 85, 523 (1965).
    """
    identity = np.eye(len(stress))
    terms = ("ac,bd->abcd", "ad,bc->abcd", "bc,ad->abcd", "bd,ac->abcd")
    prestress = sum(np.einsum(term, identity, stress) for term in terms) / 2
    return bare + prestress - np.einsum("ab,cd->abcd", stress, identity)
