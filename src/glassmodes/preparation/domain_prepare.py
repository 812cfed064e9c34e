"""From nothing to a large glass that is spread over ranks from its first random number on."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from glassmodes.domain import Domain
from glassmodes.mechanics import forces
from glassmodes.mechanics.interactions import domain_interactions
from glassmodes.models import PairPotential
from glassmodes.preparation.domain_dynamics import with_fresh_owners
from glassmodes.preparation.domain_evidence import domain_crystal_order
from glassmodes.preparation.domain_liquid import make_domain_liquid
from glassmodes.preparation.domain_minimise import minimise_domain
from glassmodes.preparation.domain_start import CountedRandom, random_domain
from glassmodes.preparation.minimise import TOLERANCE
from glassmodes.preparation.prepare import provenance_of, refuse_crystal, resolve_request
from glassmodes.preparation.protocols import Protocol, RandomStart


def prepare_domain(
    comm,
    model: str | os.PathLike | PairPotential,
    n: int,
    protocol: Protocol | Mapping[str, Any],
    seed: int | np.random.SeedSequence,
    *,
    dimension: int | None = None,
    density: float | None = None,
    force_tolerance: float = TOLERANCE,
    method: str = "newton",
    progress: Callable[[str], None] | None = None,
) -> Domain:
    """Make one glass with all ranks of a communicator; see `prepare.prepare_sample`.

    Returns
    -------
    Domain
        At a minimum, numbered along the Hilbert curve of the random start, model and provenance
        attached, without ghosts.

    Raises
    ------
    InputError, SampleError
        On every rank.

    Notes
    -----
    Collective.  The random start follows from the seed on any number of ranks, and so do the
    first steps; rounding then grows exponentially, and the minimum depends on the number of
    ranks.  The start differs from that of `prepare_sample`.  Memory: 1.3 kB a particle
    of a rank for harmonic spheres in 3D, more with more neighbours.
    """
    potential, protocol = resolve_request(model, protocol)
    random = CountedRandom(seed)
    domain = random_domain(comm, potential, n, random, dimension, density)
    found: dict[str, Any] = {}
    tell = progress or (lambda message: None)
    if not isinstance(protocol, RandomStart):
        domain, found = make_domain_liquid(domain, potential, protocol, random, progress)
        domain, _ = with_fresh_owners(domain)
        domain = replace(domain, file_index=np.arange(domain.halo.first, domain.halo.last))
    tell("descending to the minimum")
    domain, info, seconds = minimise_domain(domain, potential, force_tolerance, method=method)
    tell(
        f"at the minimum after {seconds['fire']:.1f} s of FIRE, {seconds['newton']:.1f} s of Newton"
    )
    order = domain_crystal_order(domain)
    pressure = forces.pressure(domain_interactions(domain, potential))
    found.update(vars(info), pressure=pressure, crystal_order=order)
    provenance = provenance_of(seed, protocol, force_tolerance, found)
    provenance["ranks"] = comm.size
    domain = replace(domain, sample=replace(domain.sample, provenance=provenance))
    refuse_crystal(order, domain.dimension, found)
    return domain
