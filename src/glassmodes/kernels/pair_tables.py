r"""Pair energies as piecewise quintics in z = (r / r_c)²: no root, no power in the inner loop.

Any `PairPotential` becomes a table, so a new potential runs at compiled speed at once.
Intervals are equal parts of the octaves [1/2, 1), [1/4, 1/2), ... of z: the row of a distance
and the place t in [0, 1) within it are bits of the floating-point number z, and steep cores
keep their relative accuracy.  Each interval matches φ, dφ/dz and d²φ/dz² at both ends; the
force is the exact derivative of the tabulated energy, so a trajectory conserves it.
Below the innermost octave dφ/dz goes on linearly, which keeps forces finite at any overlap.

Row of a table, 8 doubles (one cache line): coefficients b1..b5 of dφ/dz = Σ b_k t^(k-1),
φ at t = 0, the width of the interval in z, and d²φ/dz² at the innermost node.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glassmodes.errors import InputError
from glassmodes.models.potential import PairPotential

ROW = 8
ACCURACY = 1e-11
"""Error of dφ/dz aimed at, relative to its size and to its mean over the outer octave."""

_FEWEST_BITS, _MOST_BITS = 4, 10  # 2^bits intervals an octave
_FEWEST_OCTAVES, _MOST_OCTAVES = 2, 7
_CORE_ENERGY = 1000.0  # in units of eps: the table reaches in until f exceeds it
_LAST_INSIDE = 1.0 - 2.0**-53


@dataclass(frozen=True)
class PairTables:
    """Tables of all pairs of species of one potential.

    Attributes
    ----------
    rows : (T, R, 8) float64
        T tables of R = octaves 2^bits intervals, energies included.
    table_of : (S, S) int32
        Table of each pair of species.
    cutoffs : (S, S) float64
        Cutoff distance r_c of each pair of species; with `non_additivity` the reduced
        cutoff, to be multiplied by the length that the diameters give.
    non_additivity : float or None
    octaves, bits : int
    accuracy : float
        Largest error found, as defined by `ACCURACY`; larger than that for potentials
        whose third derivative jumps, such as tables of measured points.
    """

    rows: np.ndarray
    table_of: np.ndarray
    cutoffs: np.ndarray
    non_additivity: float | None
    octaves: int
    bits: int
    accuracy: float

    @classmethod
    def from_potential(cls, potential: PairPotential) -> PairTables:
        """Tabulate a potential.

        Raises
        ------
        InputError
            If the potential or a derivative is not finite inside the table.

        Notes
        -----
        Cost: some 10^4 evaluations of the potential for each distinct table.
        """
        keys: dict[tuple[int, float], int] = {}
        table_of = np.empty(potential.cutoffs.shape, np.int32)
        radials = []
        for a, b in np.ndindex(table_of.shape):
            key = (int(potential.forms[a, b]), float(potential.energies[a, b]))
            if key not in keys:
                keys[key] = len(radials)
                radials.append(_Radial(potential, a, b))
            table_of[a, b] = keys[key]
        octaves = max(radial.octaves_needed() for radial in radials)
        for bits in range(_FEWEST_BITS, _MOST_BITS + 1):
            rows = np.stack([_tabulate(radial, octaves, bits) for radial in radials])
            accuracy = max(
                _error(radial, table, octaves, bits)
                for radial, table in zip(radials, rows, strict=True)
            )
            if accuracy < ACCURACY:
                break
        lengths = 1.0 if potential.lengths is None else potential.lengths
        cutoffs = np.ascontiguousarray(potential.cutoffs * lengths)
        non_additivity = potential.non_additivity if potential.lengths is None else None
        return cls(rows, table_of, cutoffs, non_additivity, octaves, bits, accuracy)

    def evaluate(self, table: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return φ and dφ/dz, two (P,) arrays, as the compiled loops compute them.

        table : (P,) int, table of each pair;  z : (P,) float64, squared reduced distance.
        """
        return _evaluate(self.rows, np.asarray(table), np.asarray(z), self.octaves, self.bits)


class _Radial:
    """One function φ(z) with its first two derivatives."""

    def __init__(self, potential: PairPotential, a: int, b: int) -> None:
        self.potential, self.pair = potential, (a, b)
        self.cutoff = float(potential.cutoffs[a, b])
        self.energy = float(potential.energies[a, b])

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """Return φ, dφ/dz, d²φ/dz² at z (P,) in (0, 1], (3, P); at 1 the limit from inside."""
        z = np.minimum(z, 1.0 - 2.0**-50)
        x = self.cutoff * np.sqrt(z)
        with np.errstate(all="ignore"):
            f, first, second = self.energy * self.potential.reduced(*self.pair, x, order=2)
            values = np.stack([f, first * x / (2 * z), (second * x**2 - first * x) / (4 * z**2)])
        if not np.isfinite(values).all():
            worst = x[~np.isfinite(values).all(axis=0)].max()
            raise InputError(
                f"{type(self.potential).__name__} is not finite at the reduced distance "
                f"{worst:.4g}: check its constants"
            )
        return values

    def octaves_needed(self) -> int:
        """Return how many octaves below the cutoff the energy takes to reach the core's."""
        for octaves in range(_FEWEST_OCTAVES, _MOST_OCTAVES):
            if abs(self(np.array([2.0**-octaves]))[0, 0]) > _CORE_ENERGY * abs(self.energy):
                return octaves
        return _MOST_OCTAVES


def _nodes(octaves: int, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the left ends and widths of all intervals, inner octave first."""
    parts = np.arange(2**bits) / 2**bits
    low = 2.0 ** np.arange(-octaves, 0)
    left = (low[:, None] * (1 + parts)).ravel()
    return left, np.repeat(low / 2**bits, 2**bits)


def _tabulate(radial: _Radial, octaves: int, bits: int) -> np.ndarray:
    left, width = _nodes(octaves, bits)
    f, g, c = radial(np.append(left, 1.0))
    f0, f1 = f[:-1], f[1:]
    g0, g1 = g[:-1] * width, g[1:] * width  # derivatives with respect to t
    c0, c1 = c[:-1] * width**2, c[1:] * width**2
    rise = f1 - f0
    third = 10 * rise - 6 * g0 - 4 * g1 - 1.5 * c0 + 0.5 * c1
    fourth = -15 * rise + 8 * g0 + 7 * g1 + 1.5 * c0 - c1
    fifth = 6 * rise - 3 * (g0 + g1) - 0.5 * (c0 - c1)
    rows = np.empty((len(left), ROW))
    for k, term in enumerate((g0, c0, 3 * third, 4 * fourth, 5 * fifth)):
        rows[:, k] = term / width
    rows[:, 5], rows[:, 6], rows[:, 7] = f0, width, c[0]
    return rows


def _evaluate(rows, table, z, octaves, bits) -> tuple[np.ndarray, np.ndarray]:
    inside = z < 1.0
    kept = np.clip(z, 2.0**-octaves, _LAST_INSIDE)
    excess = np.where(inside, z - kept, 0.0)
    pattern = kept.view(np.int64)
    shift = 52 - bits
    row = (pattern >> shift) - (np.float64(2.0**-octaves).view(np.int64) >> shift)
    mantissa = (pattern & ((1 << shift) - 1)) << bits
    t = (mantissa | np.float64(1.0).view(np.int64)).view(np.float64) - 1.0
    b1, b2, b3, b4, b5, f0, width, slope = rows[table, row].T
    g = b1 + t * (b2 + t * (b3 + t * (b4 + t * b5)))
    f = f0 + width * t * (b1 + t * (b2 / 2 + t * (b3 / 3 + t * (b4 / 4 + t * b5 / 5))))
    f += excess * (g + 0.5 * slope * excess)
    return np.where(inside, f, 0.0), np.where(inside, g + slope * excess, 0.0)


def _error(radial: _Radial, rows: np.ndarray, octaves: int, bits: int) -> float:
    left, width = _nodes(octaves, bits)
    z = (left[:, None] + width[:, None] * np.array([0.21, 0.5, 0.79])).ravel()
    exact = radial(z)[1]
    found = _evaluate(rows[None], np.zeros(len(z), int), z, octaves, bits)[1]
    typical = np.abs(exact[z >= 0.5]).mean()
    return float((np.abs(found - exact) / (np.abs(exact) + typical)).max())
