"""Spring networks at rest with floppy parts, and the dense oracle of their responses."""

import numpy as np
from lattices import SpringLattice

from glassmodes.mechanics import hessian
from glassmodes.mechanics.born import direction_index
from glassmodes.mechanics.interactions import find_interactions
from glassmodes.mechanics.non_affine import non_affine_block
from glassmodes.sample import Sample


def floppy_network(kind="fcc", cells=2, kept=0.5, seed=4, masses=True) -> Sample:
    """Return a lattice with a share `kept` of its bonds, of unequal stiffness, at rest.

    Atoms with fewer than d + 1 bonds make it floppy; one atom is left without any.
    """
    lattice = SpringLattice(kind, cells)
    rng = np.random.default_rng(seed)
    keep = (rng.random(len(lattice.i)) < kept) & (lattice.i != 5) & (lattice.j != 5)
    bonds = np.stack([lattice.i, lattice.j], axis=1)[keep]
    return Sample(
        lattice.points * lattice.step,
        lattice.period * lattice.step,
        bonds=bonds,
        stiffness=rng.uniform(0.5, 2.0, len(bonds)),
        masses=rng.uniform(0.7, 3.0, lattice.n) if masses else None,
    )


class DenseResponse:
    """Eigenvalues λ > 0 of D with the projections (b·ψ)² of every strain, by LAPACK."""

    def __init__(self, sample: Sample) -> None:
        inter = find_interactions(sample)
        self.volume, self.n, self.d = inter.volume, inter.n, inter.d
        masses = np.asarray(sample.masses)
        values, vectors = np.linalg.eigh(hessian.sparse(inter, masses).toarray())
        moving = values > 1e-9 * values[-1]
        self.eigenvalues, self.zero_modes = values[moving], int(np.sum(~moving))
        self.vibrations = self.d * self.n - self.zero_modes
        xi = non_affine_block(inter) / np.repeat(np.sqrt(masses), self.d)[:, None]
        self.null_part = np.abs(vectors[:, ~moving].T @ xi).max(initial=0.0)
        self.projections = (vectors[:, moving].T @ xi) ** 2
        self.index = direction_index(self.d)
        r, stress = inter.vector, np.einsum("p,pa,pb->ab", inter.A1, inter.vector, inter.vector)
        self._affine = {
            (a, b): (np.sum(inter.A2 * r[:, a] ** 2 * r[:, b] ** 2) + stress[b, b]) / inter.volume
            for a in range(self.d)
            for b in range(self.d)
        }

    def weights(self, strain):
        a, b = ("xyzw".index(letter) for letter in strain)
        return self.projections[:, self.index[a, b]]

    def affine(self, strain):
        return self._affine["xyzw".index(strain[0]), "xyzw".index(strain[1])]

    def complex_modulus(self, strain, frequency, damping):
        w = np.asarray(frequency)[:, None]
        shares = self.weights(strain) / (self.eigenvalues - w**2 + 1j * w * damping)
        return self.affine(strain) - shares.sum(axis=1) / self.volume

    def relaxation(self, strain, time, damping):
        """By complex arithmetic: good away from critical damping and for moderate times."""
        t, lam = np.asarray(time)[:, None], self.eigenvalues
        s = np.sqrt(damping**2 / 4 - lam + 0j)
        f = np.exp((s - damping / 2) * t) * (1 + damping / (2 * s)) / 2
        f += np.exp((-s - damping / 2) * t) * (1 - damping / (2 * s)) / 2
        static = self.affine(strain) - np.sum(self.weights(strain) / lam) / self.volume
        return static + (self.weights(strain) / lam * f.real).sum(axis=1) / self.volume
