r"""What closed forms say of springs on a lattice, at rest, with bonds or sites left out.

Symbols: ``Z0`` the coordination of the full lattice, ``Z`` the mean one, ``s`` its standard
deviation over the particles, ``k`` the stiffness, nearest-neighbour distance 1, ``n`` the unit
vector of a bond, and ``<(n_x n_y)^2>`` its mean over the bonds of the full lattice: 1/12 for
fcc, 1/8 for the triangular lattice.

    <|Ξ|²> = k² <(n_x n_y)²> [Z (Z0 - Z) - s²] / (Z0 - 1)
    G_A    = k ρ Z <(n_x n_y)²> / 2
    G      = G_A(Z0) (p - p_c) / (1 - p_c),   p = Z/Z0,   p_c = 2 d / Z0    (effective medium)

The first holds for any rule that leaves every choice of z out of Z0 bonds of a particle equally
likely: averaging z (Z0 - z) / (Z0 - 1) over the particles gives it.  With independent cuts,
s² = Z0 p (1 - p), it is Z0 <(n_x n_y)²> p (1 - p); with s = 0, Z0 / (Z0 - 1) times that.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SpringLattice:
    """A perfect lattice of springs with nearest-neighbour distance 1.

    Attributes
    ----------
    dimension
        d.
    coordination
        Z0.
    density
        Particles per volume.
    shear_fraction
        ``<(n_x n_y)^2>`` over the bonds.
    """

    dimension: int
    coordination: int
    density: float
    shear_fraction: float

    def force_squared(self, coordination: float, deviation: float, stiffness: float) -> float:
        """Return <|Ξ|²> of a lattice with bonds or sites left out at random."""
        z, z0 = coordination, self.coordination
        return stiffness**2 * self.shear_fraction * (z * (z0 - z) - deviation**2) / (z0 - 1)

    def affine_modulus(self, coordination: float, density: float, stiffness: float) -> float:
        """Return the affine shear modulus G_A."""
        return stiffness * density * coordination * self.shear_fraction / 2

    def effective_medium_modulus(self, coordination: float, stiffness: float) -> float:
        """Return the static shear modulus with bonds left out; 0 below the threshold."""
        full = self.affine_modulus(self.coordination, self.density, stiffness)
        threshold = 2 * self.dimension / self.coordination
        share = (coordination / self.coordination - threshold) / (1 - threshold)
        return full * max(share, 0.0)


SPRING_LATTICES = {
    "fcc": SpringLattice(3, 12, 2**0.5, 1 / 12),
    "triangular": SpringLattice(2, 6, 2 / 3**0.5, 1 / 8),
}
