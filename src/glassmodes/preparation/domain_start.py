"""Random starts and thermal velocities that no rank ever holds as a whole.

Numbers are addressed by the particle they belong to (Philox counters, a keyed permutation of
the indices), so that they are the same on any number of ranks.

Sources: Salmon, Moraes, Dror and Shaw, Proc. SC11 (2011), for Philox; Black and Rogaway,
CT-RSA 2002, for permutations of any range by a Feistel network that walks on until it is inside.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from glassmodes.domain import Domain
from glassmodes.models.potential import PairPotential
from glassmodes.parallel import agreement, split_range
from glassmodes.preparation.liquid import cubic_box, diameter_rule, species_counted_out
from glassmodes.sample import Sample

_POSITIONS, _SPECIES, _DIAMETERS, _VELOCITIES = range(4)  # streams; each draw of velocities has one
_ROUNDS = 8


class CountedRandom:
    """Random numbers of particles by their index.

    Parameters
    ----------
    seed : int or SeedSequence
    """

    def __init__(self, seed: int | np.random.SeedSequence) -> None:
        sequence = (
            seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
        )
        self._key = sequence.generate_state(1, np.uint64)[0]

    def raw(self, stream: int, first: int, rows: int, columns: int) -> np.ndarray:
        """Return 64 random bits for each entry of rows `first`, ..., (rows, columns) uint64."""
        per_call = 4  # numbers a Philox counter step
        begin, end = first * columns, (first + rows) * columns
        generator = np.random.Philox(key=np.array([self._key, stream], np.uint64))
        generator.advance(begin // per_call)
        bits = generator.random_raw(end - begin // per_call * per_call)[begin % per_call :]
        return bits.reshape(rows, columns)

    def uniform(self, stream: int, first: int, rows: int, columns: int) -> np.ndarray:
        """Return uniform numbers in [0, 1), (rows, columns)."""
        return (self.raw(stream, first, rows, columns) >> np.uint64(11)) * 2.0**-53

    def normal(self, stream: int, first: int, rows: int, columns: int) -> np.ndarray:
        """Return normal numbers, (rows, columns), by Box and Muller."""
        u = self.uniform(stream, first, rows, 2 * columns)
        radius = np.sqrt(-2.0 * np.log1p(-u[:, :columns]))
        return radius * np.cos(2.0 * np.pi * u[:, columns:])

    def permuted(self, stream: int, index: np.ndarray, n: int) -> np.ndarray:
        """Return the images of `index` under a random permutation of range(n), (k,) int64."""
        half = max(1, (max(n - 1, 1).bit_length() + 1) // 2)
        keys = self.raw(stream, 0, _ROUNDS, 1).ravel()
        image = _feistel(np.asarray(index).astype(np.uint64), half, keys)
        while len(outside := np.flatnonzero(image >= n)):
            image[outside] = _feistel(image[outside], half, keys)
        return image.astype(np.int64)


def _feistel(x: np.ndarray, half: int, keys: np.ndarray) -> np.ndarray:
    """Permute the numbers of 2 half bits."""
    mask, shift = np.uint64(2**half - 1), np.uint64(half)
    left, right = x >> shift, x & mask
    for key in keys:
        left, right = right, left ^ (_mixed(right ^ key) & mask)
    return left << shift | right


def _mixed(x: np.ndarray) -> np.ndarray:
    """Return scrambled 64-bit numbers (the finaliser of SplitMix64)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def random_domain(
    comm,
    potential: PairPotential,
    n: int,
    random: CountedRandom,
    dimension: int | None = None,
    density: float | None = None,
) -> Domain:
    """Put N particles at random into a cubic box, each rank its own; see `liquid.random_sample`.

    Particles are numbered along the Hilbert curve of their start.  The same on any number of
    ranks.  Collective.
    """
    with agreement(comm):
        box = cubic_box(potential, n, dimension, density)
        first, last = split_range(n, comm.size, comm.rank)
        index = np.arange(first, last)
        rule = diameter_rule(potential)
        diameters = None
        if rule is not None:
            diameters = rule.quantiles(n, random.permuted(_DIAMETERS, index, n))
        species = species_counted_out(potential, n, random.permuted(_SPECIES, index, n))
        positions = random.uniform(_POSITIONS, first, last - first, len(box)) * box
        piece = Sample(positions, box, species, diameters=diameters, model=potential.spec())
    domain = Domain.from_slice(comm, piece)
    return replace(domain, file_index=np.arange(domain.halo.first, domain.halo.last))


def thermal_velocities(
    domain: Domain, temperature: float, random: CountedRandom, draw: int
) -> np.ndarray:
    """Draw Maxwell's velocities (n_owned, d) with zero momentum and exactly this temperature.

    draw : number of the draw; each has its own random numbers.  Collective.
    """
    comm, n, d = domain.comm, domain.particles, domain.dimension
    first, last = split_range(n, comm.size, comm.rank)
    rows = random.normal(_VELOCITIES + draw, first, last - first, d)
    masses = domain.owned("masses")
    velocities = domain.from_file_order(rows) / np.sqrt(masses)[:, None]
    sums = np.array(comm.allgather(np.append(masses @ velocities, masses.sum()))).sum(axis=0)
    velocities -= sums[:d] / sums[d]
    twice_kinetic = sum(comm.allgather(float(masses @ (velocities**2).sum(axis=1))))
    return velocities * np.sqrt(temperature * d * (n - 1) / twice_kinetic)
