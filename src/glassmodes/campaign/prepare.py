"""One sample of an ensemble, a glass or a network, and the evidence that it is one."""

from __future__ import annotations

import logging
from typing import Any

from glassmodes.campaign.config import Ensemble
from glassmodes.campaign.config_protocols import Network
from glassmodes.preparation import prepare_sample
from glassmodes.preparation.networks import make_network
from glassmodes.sample import Sample

log = logging.getLogger(__name__)

_EVIDENCE = (
    "energy_per_particle",
    "pressure",
    "max_force",
    "typical_contact_force",
    "force_ratio",
    "equilibration_drift",
    "mean_squared_displacement",
    "temperature_mean",
    "crystal_order",
    "force_evaluations",
    "newton_steps",
)

_STRUCTURE = ("coordination", "coordination_deviation", "bond_order", "largest_cluster")
"""What only networks have."""


def prepare_ensemble_sample(ensemble: Ensemble, seed: int) -> tuple[dict[str, Any], Sample]:
    """Make one glass or network.

    Parameters
    ----------
    ensemble
        What to make.
    seed
        All randomness follows from it.

    Returns
    -------
    record : dict
        Columns of the records of the stage prepare, without index, status and seed; what
        the protocol has no evidence for (no liquid, no drift) is None.
    sample : Sample

    Raises
    ------
    SampleError, SolverError
        The sample is to be refused.
    """
    if isinstance(ensemble.protocol, Network):
        return _prepare_network(ensemble, seed)
    protocol = ensemble.protocol.model_dump()
    sample = prepare_sample(
        ensemble.model,
        ensemble.particles,
        protocol,
        seed,
        dimension=ensemble.dimension,
        density=ensemble.density,
        force_tolerance=protocol.pop("force_tolerance"),
        progress=log.debug,
    )
    evidence = sample.provenance["evidence"]
    return _size(sample) | {name: evidence.get(name) for name in _EVIDENCE}, sample


def _prepare_network(ensemble: Ensemble, seed: int) -> tuple[dict[str, Any], Sample]:
    """Make one network; what its evidence calls ``parent_...`` belongs to the glass before it."""
    sample = make_network(
        ensemble.protocol.model_dump(),
        ensemble.particles,
        seed,
        dimension=ensemble.dimension,
        progress=log.debug,
    )
    evidence = sample.provenance["evidence"]
    record = {name: evidence.get(f"parent_{name}") for name in _EVIDENCE}
    structure = {name: evidence.get(name) for name in _STRUCTURE}
    return _size(sample) | record | structure, sample


def _size(sample: Sample) -> dict[str, Any]:
    return {
        "particles": sample.particles,
        "dimension": sample.dimension,
        "density": sample.density,
        "mass_density": sample.mass_density,
    }
