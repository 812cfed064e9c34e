"""What can be said about a sample in a few numbers; shared by several verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from glassmodes.domain import Domain
    from glassmodes.mechanics.interactions import PairInteractions
    from glassmodes.sample import Sample

AT_MINIMUM = 1e-6
"""Largest force over typical contact force at which a sample counts as force-free."""


def describe_sample(sample: Sample, interactions: PairInteractions | None = None) -> dict[str, Any]:
    """Return composition, state point and, given its interactions, how far it is from rest."""
    answer: dict[str, Any] = {
        "particles": sample.particles,
        "dimension": sample.dimension,
        "box": sample.box,
        "density": sample.density,
        "mass_density": sample.mass_density,
        "species": np.bincount(sample.species),
        "model": sample.model.get("name") or sample.model.get("class"),
        "bonds": 0 if sample.bonds is None else len(sample.bonds),
    }
    if interactions is not None:
        answer |= describe_forces(interactions)
        answer["rattlers"] = _rattlers(sample, interactions)
    return answer


def describe_domain(domain: Domain, interactions: PairInteractions | None = None) -> dict[str, Any]:
    """Return what `describe_sample` does, of a sample without bonds over ranks.  Collective."""
    sample, comm = domain.sample, domain.comm
    volume = float(np.prod(domain.box))
    labels = max(comm.allgather(int(domain.owned("species").max(initial=0)))) + 1
    species = np.array(comm.allgather(np.bincount(domain.owned("species"), minlength=labels)))
    mass = sum(comm.allgather(float(domain.owned("masses").sum())))
    answer: dict[str, Any] = {
        "particles": domain.particles,
        "dimension": domain.dimension,
        "box": domain.box,
        "density": domain.particles / volume,
        "mass_density": mass / volume,
        "species": species.sum(axis=0),
        "model": sample.model.get("name") or sample.model.get("class"),
        "bonds": 0,
    }
    if interactions is not None:
        answer |= describe_forces(interactions)
        answer["rattlers"] = int(interactions.reduce(float(_rattlers(sample, interactions))))
    return answer


def _rattlers(sample: Sample, interactions: PairInteractions) -> int:
    """Return the number of particles without contacts that bear a load."""
    from glassmodes.mechanics import rattlers

    if rattlers.can_rattle(sample):
        interactions = rattlers.without_rattlers(interactions)
    return int(np.count_nonzero(rattlers.particles_without_contacts(interactions)))


def describe_forces(interactions: PairInteractions) -> dict[str, Any]:
    """Return energy, pressure and net forces in the units of the model."""
    from glassmodes.mechanics import forces

    ratio = forces.force_ratio(interactions)
    return {
        "contacts": interactions.contacts,
        "energy_per_particle": forces.energy(interactions) / interactions.n,
        "pressure": forces.pressure(interactions),
        "max_force": forces.max_force(interactions),
        "typical_contact_force": forces.typical_contact_force(interactions),
        "force_ratio": ratio,
        "force_free": bool(ratio < AT_MINIMUM),
    }
