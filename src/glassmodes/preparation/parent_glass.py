"""The glass that a random network is made from, and the pairs of it that become springs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from glassmodes.errors import InputError
from glassmodes.kernels.dynamics import PairDynamics
from glassmodes.kernels.neighbours import find_pairs, minimum_image
from glassmodes.mechanics import forces
from glassmodes.mechanics.interactions import find_interactions
from glassmodes.models import PairPotential
from glassmodes.preparation import evidence
from glassmodes.preparation.liquid import make_liquid, random_sample, sorted_in_space
from glassmodes.preparation.network_protocols import RandomNetwork
from glassmodes.preparation.prepare import refuse_crystal
from glassmodes.sample import Sample


def make_parent(
    protocol: RandomNetwork,
    model: PairPotential,
    particles: int,
    d: int,
    rng: np.random.Generator,
    tell: Callable[[str], None],
) -> tuple[Sample, dict[str, Any]]:
    """Make a glass near a minimum of its energy.

    Returns
    -------
    sample : Sample
        Numbered along a Hilbert curve.
    found : dict
        Density, energy per particle, force ratio, crystal order and what the liquid showed.

    Raises
    ------
    SampleError
        ``"crystallised"``.

    Notes
    -----
    At N = 5 x 10^4 in 3D 25 s for the liquid and 20 s for the descent on one core.
    """
    sample = random_sample(model, particles, rng, d)
    liquid = make_liquid(sample, model, protocol.liquid(), rng, tell)
    glass = sorted_in_space(replace(sample, positions=liquid.positions))
    tell("descending towards the minimum")
    steps = 0
    for most in (protocol.descent_steps // 4, protocol.descent_steps):
        inter = find_interactions(glass)
        aim = protocol.force_tolerance * forces.typical_contact_force(inter)
        glass.positions, descent = PairDynamics(glass, model).fire(
            glass.positions, aim, max(1, most - steps)
        )
        steps += descent.evaluations
    glass.positions = glass.wrapped()
    inter = find_interactions(glass)
    order = evidence.crystal_order(glass.positions, glass.box)
    found = liquid.evidence | {
        "density": glass.density,
        "energy_per_particle": forces.energy(inter) / particles,
        "force_ratio": forces.force_ratio(inter),
        "force_evaluations": steps,
        "crystal_order": order,
    }
    refuse_crystal(order, d, found)
    return glass, found


def shortest_pairs(sample: Sample, potential: PairPotential, count: int) -> np.ndarray:
    """Return the `count` pairs with the smallest distance over interaction length, (count, 2).

    Raises
    ------
    InputError
        If so many pairs reach beyond half of the box.
    """
    sizes = sample.diameters if potential.lengths is None else potential.lengths
    length = float(np.max(sizes))
    spacing = (sample.volume / sample.particles) ** (1 / sample.dimension)
    reach, longest = 1.5 * spacing, 0.49 * float(sample.box.min())
    while True:
        reach = min(reach, longest)
        i, j = find_pairs(sample.wrapped(), sample.box, reach)
        vector = minimum_image(sample.positions[j] - sample.positions[i], sample.box)
        distance = np.linalg.norm(vector, axis=1)
        own = potential.pair_parameters(
            *(sample.species[i], sample.species[j]),
            *((None, None) if sample.diameters is None else sample.diameters[np.stack([i, j])]),
        )[0]
        scaled = distance / own
        # a pair beyond the reach is at least so long in units of its own length
        complete = np.flatnonzero(scaled < reach / length)
        if len(complete) >= count:
            break
        if reach == longest:
            raise InputError(
                f"{count} springs between {sample.particles} atoms reach beyond half of the box: "
                "use more particles or a smaller starting_coordination"
            )
        reach *= 1.2
    nearest_ones = complete[np.argpartition(scaled[complete], count - 1)[:count]]
    nearest_ones.sort()
    return np.stack([i[nearest_ones], j[nearest_ones]], axis=1)
