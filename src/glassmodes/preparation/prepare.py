"""From nothing to a glass with the evidence that it is one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np

import glassmodes
from glassmodes.errors import InputError, SampleError
from glassmodes.mechanics import forces
from glassmodes.mechanics.interactions import find_interactions
from glassmodes.models import PairPotential, resolve
from glassmodes.preparation import evidence
from glassmodes.preparation.liquid import make_liquid, random_sample, sorted_in_space
from glassmodes.preparation.minimise import TOLERANCE, minimise
from glassmodes.preparation.protocols import Protocol, RandomStart, describe, protocol_from
from glassmodes.sample import Sample


def prepare_sample(
    model: str | os.PathLike | PairPotential,
    n: int,
    protocol: Protocol | Mapping[str, Any],
    seed: int | np.random.SeedSequence,
    *,
    dimension: int | None = None,
    density: float | None = None,
    force_tolerance: float = TOLERANCE,
    progress: Callable[[str], None] | None = None,
) -> Sample:
    """Make one glass.

    Parameters
    ----------
    model
        Name in the library, path of a model file, or a potential.
    n
        Particles.
    protocol
        Thermal history, or ``{"name": ..., **parameters}``.
    seed
        All randomness follows from it: the same seed gives the same bytes on one machine.
    dimension, density
        Instead of the model's own.
    force_tolerance
        Largest force component over the typical contact force at the minimum.
    progress
        Called with one line at the start of each stage.

    Returns
    -------
    Sample
        At a minimum, particles numbered along a Hilbert curve, model attached.  Provenance
        holds seed, protocol, versions and ``evidence``, a flat dictionary of numbers:
        energy_per_particle, pressure, max_force, typical_contact_force, force_ratio,
        crystal_order, force_evaluations, newton_steps, hessian_products and, where there was
        a liquid, equilibration_drift (z-score), mean_squared_displacement (a0²),
        temperature_mean, time_step, molecular_dynamics_steps.

    Raises
    ------
    InputError
        Unknown model, protocol or parameter, or a box below twice the cutoff.
    SampleError
        ``"not_converged"``, ``"diverged"``, ``"crystallised"``.

    Notes
    -----
    Not collective: one rank makes one glass.  At N = 1,000 in 3D 10^4 steps take some 1.5 s.
    """
    potential, protocol = resolve_request(model, protocol)
    rng = np.random.default_rng(seed)
    sample = random_sample(potential, n, rng, dimension, density)
    found: dict[str, Any] = {}
    if not isinstance(protocol, RandomStart):
        liquid = make_liquid(sample, potential, protocol, rng, progress)
        sample.positions = liquid.positions
        found.update(liquid.evidence)
    if progress is not None:
        progress("descending to the minimum")
    sample, info = minimise(sorted_in_space(sample), potential, force_tolerance)
    order = evidence.crystal_order(sample.positions, sample.box)
    found.update(
        vars(info), pressure=forces.pressure(find_interactions(sample)), crystal_order=order
    )
    sample.provenance = provenance_of(seed, protocol, force_tolerance, found)
    refuse_crystal(order, sample.dimension, found)
    return sample


def resolve_request(
    model: str | os.PathLike | PairPotential, protocol: Protocol | Mapping[str, Any]
) -> tuple[PairPotential, Protocol]:
    """Return the potential and the protocol that are meant, or raise `InputError`."""
    potential = model if isinstance(model, PairPotential) else resolve(model)
    if not isinstance(potential, PairPotential):
        raise InputError(f"the model {potential.name} is no pair potential: it cannot be prepared")
    if isinstance(protocol, Mapping):
        protocol = cast("Protocol", protocol_from(protocol))
    return potential, protocol


def provenance_of(
    seed: int | np.random.SeedSequence,
    protocol: Protocol,
    force_tolerance: float,
    found: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what a prepared sample carries of its origin."""
    return {
        "seed": plain_seed(seed),
        "protocol": describe(protocol),
        "force_tolerance": force_tolerance,
        "versions": {"glassmodes": glassmodes.__version__, "numpy": np.__version__},
        "evidence": found,
    }


def refuse_crystal(order: float, dimension: int, found: Mapping[str, Any]) -> None:
    """Raise ``"crystallised"`` where the crystal order is no glass's."""
    if order >= evidence.CRYSTALLINE[dimension]:
        raise SampleError(
            "crystallised",
            f"the sample has crystallised: {order:.2f} of its neighbours have like bond order "
            f"(glasses: below {evidence.CRYSTALLINE[dimension]:g}); use another mixture, "
            "density or a faster quench",
            **found,
        )


def plain_seed(seed: int | np.random.SeedSequence) -> Any:
    """Return a seed as JSON can hold it."""
    if isinstance(seed, np.random.SeedSequence):
        return {"entropy": seed.entropy, "spawn_key": list(seed.spawn_key)}
    return int(seed)
