"""The liquid before the quench of a sample spread over ranks: the protocols of `liquid`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from glassmodes.domain import Domain
from glassmodes.models.potential import PairPotential
from glassmodes.preparation.domain_dynamics import DomainDynamics
from glassmodes.preparation.domain_start import CountedRandom, thermal_velocities
from glassmodes.preparation.liquid import History
from glassmodes.preparation.protocols import InstantaneousQuench, SlowCooling


def make_domain_liquid(
    domain: Domain,
    potential: PairPotential,
    protocol: InstantaneousQuench | SlowCooling,
    random: CountedRandom,
    progress: Callable[[str], None] | None = None,
) -> tuple[Domain, dict[str, Any]]:
    """Run a protocol's thermal history from a random start; see `liquid.make_liquid`.

    Returns the domain at its end, positions unwrapped, and the evidence.  Collective.
    """
    history = _DomainHistory(domain, potential, protocol, random, progress)
    history.pass_through()
    return history.positions, history.evidence


class _DomainHistory(History):
    """A protocol over ranks: `positions` is the domain."""

    def __init__(self, domain, potential, protocol, random, progress) -> None:
        volume = float(np.prod(domain.box))
        super().__init__(DomainDynamics(domain, potential), domain, volume, protocol, progress)
        self.random, self.draws = random, 0

    def draw_velocities(self, temperature: float) -> np.ndarray:
        self.draws += 1
        return thermal_velocities(self.positions, temperature, self.random, self.draws)

    def squared_displacement(self, start: Domain) -> float:
        moved = self.positions.to_file_order(self.positions.owned("positions"))
        moved = moved - start.to_file_order(start.owned("positions"))
        comm, n, d = start.comm, start.particles, start.dimension
        drift, square = (
            np.array(comm.allgather(values)).sum(axis=0) / n
            for values in (moved.sum(axis=0), np.vdot(moved, moved))
        )
        return float((square - drift @ drift) / (self.volume / n) ** (2 / d))
