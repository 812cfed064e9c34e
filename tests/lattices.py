"""Perfect spring lattices with closed-form vibrations, and disordered networks, for the tests."""

from itertools import product

import numpy as np
import scipy.sparse as sp

from glassmodes.spectra.operators import EdgeOperator

# Half of the bond vectors, in units of half the cubic edge (fcc) or of the edge (the others).
BONDS = {
    "triangular": [(2, 0), (1, 1), (-1, 1)],
    "fcc": [(1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1), (0, 1, 1), (0, 1, -1)],
    "hypercubic": [
        bond
        for bond in product((-1, 0, 1), repeat=4)
        if 1 <= np.abs(bond).sum() <= 2 and bond > (0, 0, 0, 0)
    ],
}
# Edges of one integer step, so that the triangular lattice is a stretched centred rectangle.
STEP = {"triangular": (0.5, np.sqrt(3) / 2), "fcc": (1, 1, 1), "hypercubic": (1, 1, 1, 1)}


class SpringLattice:
    """A periodic lattice of unit springs; `cells` conventional cells along every edge."""

    def __init__(self, kind, cells):
        self.bonds = np.array(BONDS[kind])
        self.d = self.bonds.shape[1]
        self.step = np.array(STEP[kind], float)
        self.period = cells if kind == "hypercubic" else 2 * cells
        points = np.array(list(product(range(self.period), repeat=self.d)))
        if kind != "hypercubic":
            points = points[points.sum(axis=1) % 2 == 0]
        self.points = points
        self.n = len(points)
        number = {tuple(p): k for k, p in enumerate(points)}
        ends = [
            (number[tuple(p)], number[tuple((p + bond) % self.period)], b)
            for p in points
            for b, bond in enumerate(self.bonds)
        ]
        self.i, self.j, bond = np.array(ends).T
        directions = self.bonds * self.step
        self.directions = directions / np.linalg.norm(directions, axis=1)[:, None]
        self.u = self.directions[bond]

    def operator(self, comm, translations=True):
        edges = len(self.i)
        operator = EdgeOperator.of_all_edges(
            comm, self.n, self.i, self.j, self.u, np.ones(edges), np.zeros(edges)
        )
        if translations:
            operator.null_space = translation_vectors(operator)
        return operator

    def exact_eigenvalues(self):
        """Return all eigenvalues of D(k) = sum_bonds 2 (1 - cos k.r) n n^T, ascending."""
        waves = 2 * np.pi * self.points / self.period
        # Points of one parity number the lattice; waves of one parity class number its
        # Brillouin zone as well: k and k + (pi, pi, ...) are the same wave on the lattice.
        if len(self.points) < self.period**self.d:
            every = np.array(list(product(range(self.period), repeat=self.d)))
            same = np.full(self.d, self.period // 2)
            first = [tuple(k) <= tuple((k + same) % self.period) for k in every]
            waves = 2 * np.pi * every[first] / self.period
        phase = waves @ self.bonds.T
        matrices = np.einsum(
            "kb,ba,bc->kac", 2 * (1 - np.cos(phase)), self.directions, self.directions
        )
        return np.sort(np.linalg.eigvalsh(matrices).ravel())


def translation_vectors(operator):
    """Return the rows of this rank of the d unit translations."""
    sites = operator.n // operator.site_size
    return np.tile(np.eye(operator.site_size), (operator.n_local // operator.site_size, 1)) / (
        np.sqrt(sites)
    )


def disordered_edges(n, d, seed, signed=False, degree=6):
    """Return (i, j, u, sign, t) of a ring lattice with random long bonds, connected and rigid."""
    rng = np.random.default_rng(seed)
    i = np.concatenate([np.arange(n)] * degree)
    j = (i + np.repeat(rng.integers(1, max(2, n // 3), degree), n)) % n
    keep = i != j
    i, j = i[keep], j[keep]
    pairs = np.unique(np.sort(np.stack([i, j], 1), axis=1), axis=0)
    i, j = pairs.T
    u = rng.normal(size=(len(i), d))
    t = 0.05 + 0.2 * rng.random(len(i))
    sign = rng.choice([-1.0, 1.0], len(i)) if signed else np.ones(len(i))
    return i, j, u, sign, t


def disordered_operator(comm, n, d, seed, weights=None, signed=False):
    """Return an `EdgeOperator` of a random network without its translations removed."""
    return EdgeOperator.of_all_edges(
        comm, n, *disordered_edges(n, d, seed, signed), weights=weights
    )


def vacant_lattice(kind, cells, kept, seed):
    """Return the bond matrix B, (bonds, n d), of a lattice of springs that lost sites.

    B.T B is its Hessian, floppy if many sites are gone, with zero modes nobody is told of.
    """
    lattice = SpringLattice(kind, cells)
    left = np.random.default_rng(seed).random(lattice.n) < kept
    bond = left[lattice.i] & left[lattice.j]
    number = np.cumsum(left) - 1
    ends = number[lattice.j[bond]], number[lattice.i[bond]]
    u, d = lattice.u[bond], lattice.d
    shape = (len(u), d * int(left.sum()))
    rows = np.repeat(np.arange(len(u)), d)
    return sum(
        sp.csr_matrix((part.ravel(), (rows, (end[:, None] * d + np.arange(d)).ravel())), shape)
        for part, end in zip((u, -u), ends, strict=True)
    )
