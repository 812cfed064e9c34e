"""One sample of an ensemble, a glass or a network, and the evidence that it is one."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np

from glassmodes import memory
from glassmodes.campaign.config import Ensemble
from glassmodes.campaign.config_protocols import Network
from glassmodes.domain import Domain
from glassmodes.parallel import rows_to_root
from glassmodes.preparation import prepare_sample
from glassmodes.preparation.domain_prepare import prepare_domain
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

_COPIES = 4
"""Of a sample on rank 0: gathered, in the part file, read back and in the batch file."""

_STRUCTURE = ("coordination", "coordination_deviation", "bond_order", "largest_cluster")
"""What only networks have."""


def is_prepared_together(ensemble: Ensemble) -> bool:
    """Tell whether all ranks of a job make each sample together: large glasses, no networks."""
    return ensemble.ranks > 1 and not isinstance(ensemble.protocol, Network)


def prepare_ensemble_sample(
    comm, ensemble: Ensemble, seed: int
) -> tuple[dict[str, Any], Sample | None]:
    """Make one glass or network.

    Parameters
    ----------
    comm
        Communicator of the ranks that make the sample together; networks are made on one.
    ensemble
        What to make.
    seed
        All randomness follows from it.

    Returns
    -------
    record : dict
        Columns of the records of the stage prepare, without index, status and seed; what
        the protocol has no evidence for (no liquid, no drift) is None.
    sample : Sample or None
        On rank 0, where the file is composed.

    Raises
    ------
    SampleError, SolverError
        The sample is to be refused.
    ResourceError
        The sample does not fit on rank 0.

    Notes
    -----
    Collective.  The liquid and its minimum depend on the number of ranks, as rounding does.
    """
    if isinstance(ensemble.protocol, Network):
        return _prepare_network(ensemble, seed)
    protocol = ensemble.protocol.model_dump()
    options: dict[str, Any] = {
        "dimension": ensemble.dimension,
        "density": ensemble.density,
        "force_tolerance": protocol.pop("force_tolerance"),
        "progress": log.debug,
    }
    asked = (ensemble.model, ensemble.particles, protocol, seed)
    if comm.size == 1:
        sample: Sample | None = prepare_sample(*asked, **options)
    else:
        sample = _on_root(prepare_domain(comm, *asked, **options))
    if sample is None:
        return {}, None
    evidence = sample.provenance["evidence"]
    return _size(sample) | {name: evidence.get(name) for name in _EVIDENCE}, sample


def _on_root(domain: Domain) -> Sample | None:
    """Gather a sample spread over ranks on rank 0, None elsewhere.  Collective."""
    comm, owned = domain.comm, domain.halo.n_owned
    columns = {
        name: getattr(domain.sample, name)
        for name in ("positions", "species", "masses", "diameters")
        if getattr(domain.sample, name) is not None
    }
    size = sum(rows.itemsize * rows[0].size for rows in columns.values())
    needed = _COPIES * size * domain.particles if comm.rank == 0 else 0
    what = f"the batch file of a sample of {domain.particles} particles"
    memory.require(comm, needed, what, "take a node with more memory for rank 0")
    gathered = {
        name: list(rows_to_root(comm, domain.to_file_order(rows[:owned])))
        for name, rows in columns.items()
    }
    if comm.rank != 0:
        return None
    whole = {name: np.concatenate(pieces) for name, pieces in gathered.items()}
    return replace(domain.sample, **whole)


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
