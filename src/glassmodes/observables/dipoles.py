r"""Dipole stiffness: how stiff a sample answers a pair of opposite forces on two particles.

For the pair (i, j) the unit force dipole is f = (1/√2) ∂r_ij/∂x and its response u = H⁺ f.
The stiffness

    κ_ij = (d·D⁻¹·d)/(d·D⁻²·d) = f·u / Σ_k m_k |u_k|²,    d = M^(-1/2) f,

is the Rayleigh quotient of the response in the mass-weighted Hessian D = M^(-1/2) H M^(-1/2),
so ω_min² <= κ <= ω_max² for every pair and any masses; with unit masses D = H.  Translations
and particles without contacts are left out of u.  The length of f drops out of κ.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from glassmodes import memory
from glassmodes.errors import InputError
from glassmodes.kernels.neighbours import minimum_image
from glassmodes.mechanics.interactions import PairInteractions
from glassmodes.parallel import lookup

if TYPE_CHECKING:
    from glassmodes.observables.harmonic import HarmonicSystem

log = logging.getLogger(__name__)

BATCH = 64
"""Right-hand sides solved together."""

BLOCK_MEMORY = 256 * 1024**2
"""Bytes of a block of right-hand sides on one rank; larger samples take narrower batches."""

COLUMN_MEMORY = 2 * 1024**3
"""Bytes that responses to single-particle forces may occupy at once on one rank."""


@dataclass(frozen=True)
class DipoleResponse:
    """Stiffness of pairs.

    Attributes
    ----------
    pairs : (K, 2) int
    stiffness : (K,)
        Squared angular frequencies.
    residuals : (K,)
        ||H u - f|| / ||f||, verified after the solve; an upper bound of it where responses
        of pairs were combined from those of single particles.
    solves : int
        Right-hand sides solved.
    """

    pairs: np.ndarray
    stiffness: np.ndarray
    residuals: np.ndarray
    solves: int

    def to_record(self) -> dict[str, np.ndarray]:
        """Return arrays under the names of the result files."""
        return {"pair": self.pairs, "stiffness": self.stiffness, "residual": self.residuals}

    def to_json(self) -> dict[str, Any]:
        """Return plain lists: ``pairs``, ``stiffness``, ``residuals``."""
        return {
            "pairs": self.pairs.tolist(),
            "stiffness": self.stiffness.tolist(),
            "residuals": self.residuals.tolist(),
        }


def all_contacts(inter: PairInteractions) -> np.ndarray:
    """Return all pairs inside their cutoff, (P, 2) int64, sorted, the smaller index first.

    The same on every rank.  Indices are those of the file, or of the sample that a domain was
    made of.  Collective.
    """
    return _everywhere(inter, _counted_contacts(inter))


def random_contacts(inter: PairInteractions, count: int, seed: int) -> np.ndarray:
    """Draw `count` different contacts with equal probability, (count, 2) int64, as `all_contacts`.

    The draw is the same on any number of ranks: contacts are numbered along the curve that
    orders the particles of a domain.  Collective.

    Raises
    ------
    InputError
        If there are fewer contacts, or `count` is below 1.
    """
    if not 1 <= count <= inter.contacts:
        raise InputError(
            f"{count} random contacts asked for; the sample has {inter.contacts}: "
            f"choose a count from 1 to {inter.contacts}"
        )
    chosen = np.sort(np.random.default_rng(seed).choice(inter.contacts, count, replace=False))
    mine = _counted_contacts(inter)
    domain = inter.domain
    first = 0 if domain is None else sum(domain.comm.allgather(len(mine))[: domain.comm.rank])
    held = chosen[slice(*np.searchsorted(chosen, (first, first + len(mine))))]
    return _everywhere(inter, mine[held - first])


def _counted_contacts(inter: PairInteractions) -> np.ndarray:
    """Return the contacts that this rank owns by the smaller of their places, (p, 2).

    Rank after rank they are sorted, as on one rank.
    """
    ends = np.stack([inter.i, inter.j], axis=1).astype(np.int64)
    if inter.share is None:
        return ends
    assert inter.domain is not None
    ends = inter.domain.halo.sites[ends]
    return ends[ends[:, 0] < ends[:, 1]]


def _everywhere(inter: PairInteractions, places: np.ndarray) -> np.ndarray:
    """Return the pairs of all ranks, given by place (p, 2), as sorted pairs of file indices."""
    pairs = places
    if inter.domain is not None:
        comm = inter.domain.comm
        pairs = lookup(comm, inter.domain.file_index, places.ravel()).reshape(-1, 2)
        pairs = np.concatenate(comm.allgather(pairs))
    pairs = np.sort(pairs, axis=1)
    return pairs[np.lexsort(pairs.T[::-1])]


def check_pairs(pairs: np.ndarray, n: int) -> np.ndarray:
    """Return `pairs` as (K, 2) int64; every pair must join two different particles.

    Raises
    ------
    InputError
        For another shape, a particle that does not exist or a pair of equal particles.
    """
    array = np.asarray(pairs)
    if array.ndim != 2 or array.shape[1] != 2 or array.shape[0] == 0:
        raise InputError(f"pairs must be K rows of two particle indices, found shape {array.shape}")
    if not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"pairs must be integers, found {array.dtype}")
    outside = np.flatnonzero(((array < 0) | (array >= n)).any(axis=1))
    if len(outside):
        i, j = array[outside[0]]
        raise InputError(f"pair ({i}, {j}) is outside the sample: indices run from 0 to {n - 1}")
    same = np.flatnonzero(array[:, 0] == array[:, 1])
    if len(same):
        raise InputError(f"pair {same[0]} joins particle {array[same[0], 0]} with itself")
    return array.astype(np.int64)


def dipole_stiffness(
    system: HarmonicSystem,
    pairs: np.ndarray,
    batch: int = BATCH,
    column_memory: int = COLUMN_MEMORY,
) -> DipoleResponse:
    """Return the stiffness of the dipoles on `pairs`.

    Solves one dipole a pair, or, where that needs fewer solves and fits into memory, the
    responses to unit forces on the particles that occur (d right-hand sides each), from which
    every pair is combined: 2.8 times fewer for all contacts of the inverse-power-law model
    in 3D.  The choice depends on the pairs and on the number of ranks, on the machine only if
    it has less than `column_memory` left.

    Parameters
    ----------
    system
        Sample with its interactions and solver.
    pairs : (K, 2) int
        Any two different particles by their index in the file, the same on every rank; they
        need not be in contact.
    batch
        Most right-hand sides a solve.
    column_memory
        Bytes on each rank that the second way may use.

    Raises
    ------
    InputError
        For pairs that do not fit the sample.
    SampleError
        If the sample is not at a minimum.

    Notes
    -----
    Collective.  The order of `pairs` is kept.  Every rank holds all pairs and its own rows of
    the responses.
    """
    pairs = check_pairs(pairs, system.n)
    system.require_minimum()
    domain, d = system.domain, system.d
    places = domain.places_of(pairs.ravel())
    positions = lookup(domain.comm, domain.owned("positions"), places)
    normals = _directions(positions.reshape(-1, 2, d), domain.box, pairs)
    loose = lookup(domain.comm, system.rattlers, places).any()
    # A force on them may push along a null vector of D.  D+ then asks for a projection with the
    # masses as weights, before and after the solve.
    projected = bool(system.floppy_modes or loose)
    sweep, ends = _sweep(places, positions, domain.box)
    row_bytes = -(-system.n // system.comm.size) * d * 8
    needed = _peak_columns(ends, len(sweep)) * d * row_bytes
    batch = max(1, min(batch, BLOCK_MEMORY // row_bytes))
    # Unit forces on single particles push along floppy modes that contacts do not meet.
    by_columns = not projected and len(sweep) * d < len(pairs) and needed <= column_memory
    if by_columns and _is_short(system.comm, needed):
        log.warning("little memory is left: one response is solved for each pair")
        by_columns = False
    if by_columns:
        stiffness, residuals = _stiffness_by_columns(system, sweep, ends, normals, batch)
        return DipoleResponse(pairs, stiffness, residuals, len(sweep) * d)
    ends = places.reshape(-1, 2)
    stiffness, residuals = _stiffness_by_pairs(system, ends, normals, batch, projected)
    return DipoleResponse(pairs, stiffness, residuals, len(pairs))


def _directions(ends: np.ndarray, box: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return the unit vectors from the first to the second of two positions, (K, 2, d)."""
    vector = minimum_image(ends[:, 1] - ends[:, 0], box)
    distance = np.linalg.norm(vector, axis=1)
    if np.any(distance == 0):
        i, j = pairs[np.flatnonzero(distance == 0)[0]]
        raise InputError(f"particles {i} and {j} are at the same place: their dipole has no axis")
    return vector / distance[:, None]


def _is_short(comm, needed: int) -> bool:
    """Tell whether a rank has less than `needed` bytes left.  Collective."""
    left = memory.available(comm)
    return min(comm.allgather(left)) < needed


def _stiffness_by_pairs(
    system: HarmonicSystem, ends: np.ndarray, normals: np.ndarray, batch: int, projected: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Solve one dipole a pair; ends : (K, 2) places."""
    halo, d = system.domain.halo, system.d
    weights = np.repeat(system.masses, d)
    stiffness, residuals = np.empty(len(ends)), np.empty(len(ends))
    for first in range(0, len(ends), batch):
        part = slice(first, min(first + batch, len(ends)))
        force = np.zeros((halo.n_owned, d, part.stop - part.start))
        for end, sign in ((0, -1.0), (1, 1.0)):
            row = ends[part, end] - halo.first
            (own,) = np.nonzero((row >= 0) & (row < halo.n_owned))
            force[row[own], :, own] = sign * normals[part][own] / np.sqrt(2)
        force = force.reshape(halo.n_owned * d, int(np.prod(force.shape[2:])))
        held = system.without_null_force(force) if projected else force
        response = system.solve(held, planned=len(ends))
        error = np.square(system.product(response) - force).sum(axis=0)
        if projected:
            response = system.without_null_motion(response)
        work = np.einsum("xk,xk->k", held, response)
        response = _without_drift(system, response)
        inertia = np.einsum("x,xk,xk->k", weights, response, response)
        error, work, inertia = system.interactions.reduce([error, work, inertia])
        residuals[part] = np.sqrt(error)
        stiffness[part] = _ratio(work, inertia)
    return stiffness, residuals


def _stiffness_by_columns(
    system: HarmonicSystem, sweep: np.ndarray, ends: np.ndarray, normals: np.ndarray, batch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Solve unit forces on every particle along a sweep through the box; combine them to pairs.

    A response is dropped as soon as the last of its pairs is done.
    """
    halo, d = system.domain.halo, system.d
    weights = np.repeat(system.masses, d)
    complete, last_use = _schedule(ends, len(sweep))
    by_site = np.argsort(complete, kind="stable")
    ready = np.searchsorted(complete[by_site], np.arange(len(sweep) + 1))
    expiry = np.argsort(last_use, kind="stable")
    work, inertia, residuals = np.zeros((3, len(ends)))
    cache: dict[int, tuple[np.ndarray, float]] = {}
    expired = 0
    for position, column, residual in _columns(system, sweep, batch):
        cache[position] = column, residual
        for pair in by_site[ready[position] : ready[position + 1]]:
            normal = normals[pair]
            (column_i, residual_i), (column_j, residual_j) = (cache[end] for end in ends[pair])
            response = (normal @ column_j - normal @ column_i) / np.sqrt(2)
            for end, sign in zip(ends[pair], (-1.0, 1.0), strict=True):
                row = sweep[end] - halo.first
                if 0 <= row < halo.n_owned:
                    work[pair] += sign * normal @ response[row * d : (row + 1) * d]
            inertia[pair] = response @ (weights * response)
            residuals[pair] = (residual_i + residual_j) / np.sqrt(2)
        while expired < len(sweep) and last_use[expiry[expired]] <= position:
            del cache[int(expiry[expired])]
            expired += 1
    work, inertia = system.interactions.reduce([work, inertia])
    return _ratio(work / np.sqrt(2), inertia), residuals


def _columns(
    system: HarmonicSystem, sweep: np.ndarray, batch: int
) -> Iterator[tuple[int, np.ndarray, float]]:
    """Yield (position, response (d, n_local), residual) to unit forces on the sites in order.

    A uniform counter-force on all particles in contact balances the force; it cancels in
    every pair.  Collective.
    """
    halo, d, inter = system.domain.halo, system.d, system.interactions
    held = ~system.rattlers
    counter = -1.0 / inter.reduce(np.array(float(held.sum())))
    at_a_time = max(1, batch // d)
    for first in range(0, len(sweep), at_a_time):
        row = sweep[first : first + at_a_time] - halo.first
        (own,) = np.nonzero((row >= 0) & (row < halo.n_owned))
        force = np.zeros((halo.n_owned, d, len(row), d))
        for c in range(d):
            force[held, c, :, c] = counter
            force[row[own], c, own, c] += 1.0
        force = force.reshape(halo.n_owned * d, int(np.prod(force.shape[2:])))
        response = system.solve(force, planned=len(sweep) * d)
        residual = inter.reduce(np.square(system.product(response) - force).sum(axis=0))
        residual = np.sqrt(residual.reshape(len(row), d).sum(axis=1))
        response = _without_drift(system, response)
        response = response.reshape(len(response), len(row), d)
        response = np.ascontiguousarray(response.transpose(1, 2, 0))
        for k in range(len(row)):
            # a copy, so that a dropped response frees its memory and not its whole batch
            yield first + k, response[k].copy(), float(residual[k])


def _sweep(
    places: np.ndarray, positions: np.ndarray, box: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Order the particles of pairs along the longest box edge, so that partners are met soon.

    places : (2K,), of the ends of all pairs; positions : (2K, d).

    Returns
    -------
    sweep : (S,)
        The different places in their order.
    ends : (K, 2)
        Positions in `sweep` of the ends of every pair.
    """
    axis = int(np.argmax(box))
    sites, where, inverse = np.unique(places, return_index=True, return_inverse=True)
    along = np.mod(positions[where, axis], box[axis])
    order = np.argsort(along, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return sites[order], rank[inverse].reshape(-1, 2)


def _schedule(ends: np.ndarray, sites: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the position at which each pair is complete and that of each site's last use."""
    complete = ends.max(axis=1)
    last_use = np.arange(sites)
    np.maximum.at(last_use, ends.ravel(), np.repeat(complete, 2))
    return complete, last_use


def _peak_columns(ends: np.ndarray, sites: int) -> int:
    """Return the largest number of sites whose responses are held at once."""
    _, last_use = _schedule(ends, sites)
    dropped = np.cumsum(np.bincount(last_use, minlength=sites))
    return int(np.max(np.arange(1, sites + 1) - np.concatenate([[0], dropped[:-1]])))


def _without_drift(system: HarmonicSystem, response: np.ndarray) -> np.ndarray:
    """Remove the centre-of-mass motion that H leaves open, of (n_local, k).  Collective.

    Particles without contacts stay where they are.
    """
    inertia = np.where(system.rattlers, 0.0, system.masses)
    moved = response.reshape(len(inertia), system.d, response.shape[1])
    total = system.interactions.reduce(np.array(inertia.sum()))
    drift = system.interactions.reduce(np.einsum("n,nck->ck", inertia, moved)) / total
    return (moved - (inertia > 0)[:, None, None] * drift).reshape(response.shape)


def _ratio(work: np.ndarray, inertia: np.ndarray) -> np.ndarray:
    """Divide; 0 where the dipole moves nothing that has stiffness (its residual is then 1)."""
    return np.divide(work, inertia, out=np.zeros_like(inertia), where=inertia > 0)
