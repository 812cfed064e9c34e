"""To the bottom of a basin with the sample spread over ranks.

The same descent as `minimise`: FIRE into the basin by `domain_dynamics`, then Newton steps on the
exact Hessian, each a solve by conjugate gradients whose products exchange ghost rows.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from glassmodes.domain import Domain
from glassmodes.kernels.neighbours import wrap
from glassmodes.mechanics.interactions import PairInteractions, domain_interactions
from glassmodes.models.potential import PairPotential
from glassmodes.preparation.domain_dynamics import DomainDynamics, at_positions
from glassmodes.preparation.minimise import FIRE_STEPS, TOLERANCE, Descent, MinimisationInfo

log = logging.getLogger(__name__)

_REPORT_S = 60.0  # between two reports of a long descent


def minimise_domain(
    domain: Domain,
    potential: PairPotential | None = None,
    tolerance: float = TOLERANCE,
    fire_steps: int = FIRE_STEPS,
    method: str = "newton",
) -> tuple[Domain, MinimisationInfo, dict[str, float]]:
    """Bring a sample spread over ranks to the minimum of its energy at fixed box.

    Parameters and errors are those of `minimise.minimise`; samples with bonds are refused.

    Returns
    -------
    domain : Domain
        At the minimum, positions wrapped, ``provenance["minimisation"]`` filled.
    info : MinimisationInfo
    seconds : dict of float
        Wall time spent in ``"fire"`` and in ``"newton"``.

    Notes
    -----
    Collective.  From the same start the minimum depends on the number of ranks, as rounding
    grows exponentially on the way down; each of them is one.
    """
    descent = _DomainDescent(domain, potential, fire_steps, method)
    point, info = descent.minimum(tolerance)
    found = at_positions(descent.domain, wrap(point.positions, domain.box))
    sample = domain.sample
    model = sample.model or ({} if potential is None else potential.spec())
    provenance = {**sample.provenance, "minimisation": vars(info).copy()}
    found = replace(found, sample=replace(found.sample, model=model, provenance=provenance))
    return found, info, descent.seconds


class _DomainDescent(Descent):
    """A descent whose positions are those of owned particles; `domain` says of which."""

    def __init__(self, domain, potential, fire_steps, method) -> None:
        self.domain: Domain = domain
        super().__init__(domain.sample, potential, fire_steps, method, domain.particles)

    @property
    def start(self) -> np.ndarray:
        return self.domain.owned("positions")

    def interactions(self, x: np.ndarray) -> PairInteractions:
        return domain_interactions(at_positions(self.domain, x), self.potential)

    def _choose_fire(self):
        motion = DomainDynamics(self.domain, self.potential)

        def fire(x: np.ndarray, aim: float, most: int) -> tuple[np.ndarray, bool, int]:
            started = at_positions(self.domain, x)
            self.domain, info = motion.fire(started, aim, most, _every_minute(aim))
            log.info("%d force evaluations to a force of %.3g", info.evaluations, info.max_force)
            return self.domain.owned("positions"), info.converged, info.evaluations

        return fire


def _every_minute(aim: float) -> Callable[[int, float], None]:
    """Return a report of a descent that says where it is once a minute."""
    last = time.monotonic()

    def report(step: int, largest: float) -> None:
        nonlocal last
        if time.monotonic() - last >= _REPORT_S:
            last = time.monotonic()
            log.info("%d force evaluations, largest force %.3g, aim %.3g", step, largest, aim)

    return report
