r"""Dipole stiffness: how stiff a sample answers a pair of opposite forces on two particles.

For the pair (i, j) the unit force dipole is f = (1/√2) ∂r_ij/∂x and its response u = H⁺ f.
The stiffness

    κ_ij = (d·D⁻¹·d)/(d·D⁻²·d) = f·u / Σ_k m_k |u_k|²,    d = M^(-1/2) f,

is the Rayleigh quotient of the response in the mass-weighted Hessian D = M^(-1/2) H M^(-1/2),
so ω_min² <= κ <= ω_max² for every pair and any masses; with unit masses D = H.  Translations
and particles without contacts are left out of u.  The length of f drops out of κ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from glassmodes.errors import InputError
from glassmodes.mechanics.interactions import PairInteractions, pair_vectors

if TYPE_CHECKING:
    from glassmodes.observables.harmonic import HarmonicSystem

BATCH = 64
"""Right-hand sides solved together."""

COLUMN_MEMORY = 2 * 1024**3
"""Bytes that responses to single-particle forces may occupy at once."""


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
    """Return all pairs inside their cutoff, (P, 2) int64, sorted."""
    return np.stack([inter.i, inter.j], axis=1).astype(np.int64)


def random_contacts(inter: PairInteractions, count: int, seed: int) -> np.ndarray:
    """Draw `count` different contacts with equal probability, (count, 2) int64, sorted.

    Raises
    ------
    InputError
        If there are fewer contacts, or `count` is below 1.
    """
    if not 1 <= count <= len(inter):
        raise InputError(
            f"{count} random contacts asked for; the sample has {len(inter)}: "
            f"choose a count from 1 to {len(inter)}"
        )
    chosen = np.random.default_rng(seed).choice(len(inter), size=count, replace=False)
    return all_contacts(inter)[np.sort(chosen)]


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
    in 3D.  The choice depends on the pairs only, never on the load of the machine.

    Parameters
    ----------
    system
        Sample with its interactions and solver.
    pairs : (K, 2) int
        Any two different particles; they need not be in contact.
    batch
        Right-hand sides a solve.
    column_memory
        Bytes that the second way may use.

    Raises
    ------
    InputError
        For pairs that do not fit the sample.
    SampleError
        If the sample is not at a minimum.

    Notes
    -----
    Collective.  The order of `pairs` is kept.
    """
    inter = system.interactions
    pairs = check_pairs(pairs, inter.n)
    system.require_minimum()
    sites = np.unique(pairs)
    sweep = _sweep_order(system.sample, sites)
    # Unit forces on single particles push along floppy modes that contacts do not meet.
    by_columns = (
        not _meets_null_motions(system, pairs)
        and len(sites) * inter.d < len(pairs)
        and (_peak_columns(pairs, sweep) * inter.d**2 * inter.n * 8 <= column_memory)
    )
    if by_columns:
        stiffness, residuals = _stiffness_by_columns(system, pairs, sweep, batch)
        solves = len(sites) * inter.d
    else:
        stiffness, residuals = _stiffness_by_pairs(system, pairs, batch)
        solves = len(pairs)
    return DipoleResponse(pairs, stiffness, residuals, solves)


def _directions(sample, pairs: np.ndarray) -> np.ndarray:
    vector = pair_vectors(sample, pairs[:, 0], pairs[:, 1])
    distance = np.linalg.norm(vector, axis=1)
    if np.any(distance == 0):
        i, j = pairs[np.flatnonzero(distance == 0)[0]]
        raise InputError(f"particles {i} and {j} are at the same place: their dipole has no axis")
    return vector / distance[:, None]


def _stiffness_by_pairs(system, pairs: np.ndarray, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Solve one dipole a pair."""
    inter, masses = system.interactions, system.sample.masses
    inertia = masses * _held(inter)
    projected = _meets_null_motions(system, pairs)
    normals = _directions(system.sample, pairs)
    stiffness, residuals = np.empty(len(pairs)), np.empty(len(pairs))
    for first in range(0, len(pairs), batch):
        part = slice(first, min(first + batch, len(pairs)))
        columns = np.arange(part.stop - part.start)
        force = np.zeros((inter.n, inter.d, len(columns)))
        force[pairs[part, 0], :, columns] = -normals[part] / np.sqrt(2)
        force[pairs[part, 1], :, columns] = normals[part] / np.sqrt(2)
        force = force.reshape(inter.n * inter.d, -1)
        held = system.without_null_force(force) if projected else force
        response = system.solve(held, planned=len(pairs))
        residuals[part] = np.linalg.norm(system.product(response) - force, axis=0)
        if projected:
            response = system.without_null_motion(response)
        work = np.einsum("xk,xk->k", held, response)
        response = _without_drift(response.reshape(inter.n, inter.d, -1), inertia)
        stiffness[part] = _ratio(work, np.einsum("n,nck,nck->k", masses, response, response))
    return stiffness, residuals


def _stiffness_by_columns(
    system, pairs: np.ndarray, sweep: np.ndarray, batch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Solve unit forces on every particle along a sweep through the box; combine them to pairs.

    A response is dropped as soon as the last of its pairs is done.
    """
    d = system.interactions.d
    normals = _directions(system.sample, pairs)
    weights = np.repeat(system.sample.masses, d)
    complete, last_use = _schedule(pairs, sweep)
    by_site = np.argsort(complete, kind="stable")
    ready = np.searchsorted(complete[by_site], np.arange(len(sweep) + 1))
    expiry = np.argsort(last_use, kind="stable")
    stiffness, residuals = np.empty(len(pairs)), np.empty(len(pairs))
    cache: dict[int, tuple[np.ndarray, float]] = {}
    expired = 0
    for position, site, column, residual in _columns(system, sweep, batch):
        cache[site] = column, residual
        for pair in by_site[ready[position] : ready[position + 1]]:
            (i, j), normal = pairs[pair], normals[pair]
            (column_i, residual_i), (column_j, residual_j) = cache[i], cache[j]
            response = (normal @ column_j - normal @ column_i) / np.sqrt(2)
            work = normal @ (response[j * d : (j + 1) * d] - response[i * d : (i + 1) * d])
            stiffness[pair] = _ratio(work / np.sqrt(2), response @ (weights * response))
            residuals[pair] = (residual_i + residual_j) / np.sqrt(2)
        while expired < len(sweep) and last_use[expiry[expired]] <= position:
            del cache[int(sweep[expiry[expired]])]
            expired += 1
    return stiffness, residuals


def _columns(system, sweep: np.ndarray, batch: int) -> Iterator[tuple[int, int, np.ndarray, float]]:
    """Yield (position, site, response (d, dN), residual) to unit forces on the sites in order.

    A uniform counter-force on all particles in contact balances the force; it cancels in
    every pair.
    """
    inter, held = system.interactions, _held(system.interactions)
    inertia = system.sample.masses * held
    n, d = inter.n, inter.d
    at_a_time = max(1, batch // d)
    for first in range(0, len(sweep), at_a_time):
        sites = sweep[first : first + at_a_time]
        force = np.zeros((n, d, len(sites), d))
        for c in range(d):
            force[held, c, :, c] = -1.0 / held.sum()
            force[sites, c, np.arange(len(sites)), c] += 1.0
        force = force.reshape(n * d, -1)
        response = system.solve(force, planned=len(sweep) * d)
        residual = np.square(system.product(response) - force).sum(axis=0)
        residual = np.sqrt(residual.reshape(len(sites), d).sum(axis=1))
        response = _without_drift(response.reshape(n, d, -1), inertia)
        response = np.ascontiguousarray(response.reshape(n * d, len(sites), d).transpose(1, 2, 0))
        for k, site in enumerate(sites):
            # a copy, so that a dropped response frees its memory and not its whole batch
            yield first + k, int(site), response[k].copy(), float(residual[k])


def _sweep_order(sample, sites: np.ndarray) -> np.ndarray:
    """Return `sites` along the longest box edge, so that partners are met soon."""
    axis = int(np.argmax(sample.box))
    return sites[np.argsort(sample.wrapped()[sites, axis], kind="stable")]


def _schedule(pairs: np.ndarray, sweep: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the position at which each pair is complete and that of each site's last use."""
    position = np.full(int(sweep.max()) + 1, -1)
    position[sweep] = np.arange(len(sweep))
    ends = position[pairs]
    complete = ends.max(axis=1)
    last_use = np.arange(len(sweep))
    np.maximum.at(last_use, ends.ravel(), np.repeat(complete, 2))
    return complete, last_use


def _peak_columns(pairs: np.ndarray, sweep: np.ndarray) -> int:
    """Return the largest number of sites whose responses are held at once."""
    _, last_use = _schedule(pairs, sweep)
    dropped = np.cumsum(np.bincount(last_use, minlength=len(sweep)))
    return int(np.max(np.arange(1, len(sweep) + 1) - np.concatenate([[0], dropped[:-1]])))


def _meets_null_motions(system, pairs: np.ndarray) -> bool:
    """Tell whether a force on the particles of `pairs` may push along a null vector of D.

    D⁺ then asks for a projection with the masses as weights, before and after the solve.
    """
    return bool(system.floppy_modes or not _held(system.interactions)[pairs].all())


def _held(inter: PairInteractions) -> np.ndarray:
    """Mark the particles with a contact, (N,) bool; the others are null directions of H."""
    return np.bincount(np.concatenate([inter.i, inter.j]), minlength=inter.n) > 0


def _without_drift(response: np.ndarray, inertia: np.ndarray) -> np.ndarray:
    """Remove the centre-of-mass motion that H leaves open, of (N, d, k).

    inertia : (N,), masses, 0 for particles without contacts: they stay where they are.
    """
    drift = np.einsum("n,nck->ck", inertia, response) / inertia.sum()
    return response - (inertia > 0)[:, None, None] * drift


def _ratio(work, inertia):
    """Divide; 0 where the dipole moves nothing that has stiffness (its residual is then 1)."""
    return np.divide(work, inertia, out=np.zeros_like(inertia), where=np.asarray(inertia) > 0)
