"""What can be said about a sample in a few numbers; shared by several verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
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
    return answer


def describe_forces(interactions: PairInteractions) -> dict[str, Any]:
    """Return energy, pressure and net forces in the units of the model."""
    from glassmodes.mechanics import forces

    ratio = forces.force_ratio(interactions)
    return {
        "contacts": len(interactions),
        "energy_per_particle": forces.energy(interactions) / interactions.n,
        "pressure": forces.pressure(interactions),
        "max_force": forces.max_force(interactions),
        "typical_contact_force": forces.typical_contact_force(interactions),
        "force_ratio": ratio,
        "force_free": bool(ratio < AT_MINIMUM),
    }
