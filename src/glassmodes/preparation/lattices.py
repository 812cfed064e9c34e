r"""Sites and nearest-neighbour bonds of the densest lattices in 2 and 3 dimensions.

Both lattices are the points of an integer grid whose coordinates have an even sum, stretched
by a step along each axis so that nearest neighbours are at distance 1:

    triangular   steps (1/2, √3/2),    bonds ±(2, 0), ±(1, 1), ±(1, -1)
    fcc          steps (1, 1, 1)/√2,   bonds ±(1, 1, 0) and the like, 12 in all
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from glassmodes.errors import InputError
from glassmodes.kernels.neighbours import hilbert_order


@dataclass(frozen=True)
class Lattice:
    """A lattice of the densest kind.

    Attributes
    ----------
    step : tuple of float
        Edges of the integer grid, one per axis.
    bonds : tuple of tuple of int
        One of each pair of opposite nearest-neighbour vectors, on the grid.
    smallest : tuple of int
        Fewest cells (two grid steps) along each axis without a pair bonded twice.
    """

    name: str
    step: tuple[float, ...]
    bonds: tuple[tuple[int, ...], ...]
    smallest: tuple[int, ...]

    @property
    def dimension(self) -> int:
        """Dimension of space d."""
        return len(self.step)

    @property
    def coordination(self) -> int:
        """Nearest neighbours of a site."""
        return 2 * len(self.bonds)


FCC = Lattice(
    "fcc",
    (math.sqrt(0.5),) * 3,
    ((1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1), (0, 1, 1), (0, 1, -1)),
    (2, 2, 2),
)
TRIANGULAR = Lattice("triangular", (0.5, math.sqrt(0.75)), ((2, 0), (1, 1), (1, -1)), (3, 2))
LATTICES = {lattice.name: lattice for lattice in (FCC, TRIANGULAR)}


def cells_for(lattice: Lattice, sites: float) -> tuple[int, ...]:
    """Return how many cells along each axis give about `sites` sites in a box near a cube.

    Raises
    ------
    InputError
        If the smallest box of the lattice holds more than twice as many.
    """
    least = math.prod(lattice.smallest) * 2 ** (lattice.dimension - 1)
    if not 0.5 * least <= sites < 2**30:
        raise InputError(
            f"a periodic {lattice.name} lattice has {least} to {2**30} sites, {sites:.6g} were "
            "asked for"
        )
    if lattice is TRIANGULAR:
        rows = max(2, round(math.sqrt(sites / (2 * math.sqrt(3)))))
        return max(3, round(sites / (2 * rows))), rows
    guess = max(2, round((sites / 4) ** (1 / 3)))
    best = min((guess - 1, guess, guess + 1), key=lambda c: (abs(4 * c**3 - sites), c))
    return (max(2, best),) * 3


def site_count(lattice: Lattice, cells: tuple[int, ...]) -> int:
    """Return the number of sites in a box of whole cells."""
    return math.prod(cells) * 2 ** (lattice.dimension - 1)


def box_of(lattice: Lattice, cells: tuple[int, ...]) -> np.ndarray:
    """Return the edges of a box of whole cells, (d,)."""
    return 2 * np.array(cells) * np.array(lattice.step)


def build_sites(
    lattice: Lattice, cells: tuple[int, ...], kept: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return positions and box of the sites, and the bonds between nearest neighbours.

    Parameters
    ----------
    cells
        Along each axis, two grid steps each.
    kept : (sites,) bool, optional
        Sites that are there, in the order of the grid; all if left out.

    Returns
    -------
    positions : (N, d) float64
        Numbered along a Hilbert curve.
    box : (d,) float64
    bonds : (M, 2) int32
        Each pair once, i < j, sorted.

    Notes
    -----
    Linear in the number of sites: 2 s at 10^6.
    """
    period = 2 * np.array(cells)
    parity = sum(np.ix_(*(np.arange(p, dtype=np.int8) % 2 for p in period))) % 2
    points = np.argwhere(parity == 0)
    number = np.full(tuple(period), -1, np.int32)
    if kept is not None:
        points = points[kept]
    step, box = np.array(lattice.step), box_of(lattice, cells)
    points = points[hilbert_order(points * step, box)]
    number[tuple(points.T)] = np.arange(len(points), dtype=np.int32)
    pairs = []
    for bond in lattice.bonds:
        near = number[tuple(((points + bond) % period).T)]
        there = np.flatnonzero(near >= 0).astype(np.int32)
        pairs.append(np.stack([there, near[there]], axis=1))
    return points * step, box, sorted_bonds(np.concatenate(pairs))


def sorted_bonds(bonds: np.ndarray) -> np.ndarray:
    """Return the bonds (M, 2) with i < j, sorted by (i, j), int32."""
    ends = np.sort(bonds, axis=1)
    key = ends[:, 0].astype(np.int64) << 32 | ends[:, 1]
    return ends[np.argsort(key, kind="stable")].astype(np.int32)
