r"""To the bottom of a basin: FIRE into it, Newton steps to machine precision.

FIRE is cheap and safe from anywhere but its last digits cost as many steps as the first;
Newton steps on the exact Hessian finish in a handful of steps but diverge from afar.  Where a
Newton solve meets negative curvature or its line search fails, FIRE takes over again and
goes ten times deeper before the next attempt.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from glassmodes.errors import InputError, SampleError
from glassmodes.kernels import dynamics, dynamics_numpy
from glassmodes.mechanics import forces, hessian
from glassmodes.mechanics.interactions import PairInteractions, find_interactions
from glassmodes.preparation import newton
from glassmodes.preparation.newton import HessianProduct, Point

if TYPE_CHECKING:
    from glassmodes.models.potential import PairPotential
    from glassmodes.sample import Sample

TOLERANCE = 1e-10
"""Largest force component over the typical contact force at which a sample is at a minimum."""

_SWITCH = 3e-4  # force ratio at which Newton takes over first
_RETURNS = 6  # times that FIRE may take over again
_NEWTON_STEPS = 40
FIRE_STEPS = 200_000
"""Largest number of force evaluations of one descent by FIRE."""

METHODS = ("newton", "fire")
"""How the last digits are won; FIRE alone is for comparison."""

_UNJAMMED = 1e-16  # energy per particle over that of a contact, O'Hern et al. (2003)
_AT_REST = 1e-24  # energy of a network per site, over stiffness times squared distance


@dataclass(frozen=True)
class MinimisationInfo:
    """How a minimum was reached.

    Attributes
    ----------
    energy_per_particle, max_force, typical_contact_force : float
        At the end; max_force is the largest absolute component.
    force_ratio : float
        max_force / typical_contact_force, 0 if no particles touch.
    force_evaluations : int
        All evaluations of forces, by FIRE and by line searches.
    newton_steps, hessian_products : int
    """

    energy_per_particle: float
    max_force: float
    typical_contact_force: float
    force_ratio: float
    force_evaluations: int
    newton_steps: int
    hessian_products: int


def minimise(
    sample: Sample,
    potential: PairPotential | None = None,
    tolerance: float = TOLERANCE,
    fire_steps: int = FIRE_STEPS,
    method: str = "newton",
) -> tuple[Sample, MinimisationInfo]:
    """Bring a sample to the minimum of its energy at fixed box.

    Parameters
    ----------
    sample
        Any configuration; bonds act as springs beside the potential.
    potential
        By default the model that the sample carries.
    tolerance
        Force ratio to reach.
    fire_steps
        Largest number of force evaluations of one descent by FIRE.
    method
        ``"newton"``, or ``"fire"`` all the way down.

    Returns
    -------
    sample : Sample
        At the minimum, positions wrapped, ``provenance["minimisation"]`` filled.
    info : MinimisationInfo

    Raises
    ------
    SampleError
        ``"not_converged"`` if the tolerance is out of reach; ``"unjammed"`` if the contacts
        of finite-range particles fade away instead of balancing.  Particles that do not touch
        and networks that come to rest are at a minimum; for these the force ratio, of two
        numbers near round-off, is reported as it is.
    InputError
        If the sample does not fit the potential.

    Notes
    -----
    Not collective, deterministic.  Some 10^3 force evaluations and 10^3 Hessian products.
    """
    descent = Descent(sample, potential, fire_steps, method)
    point, info = descent.minimum(tolerance)
    model = sample.model or ({} if potential is None else potential.spec())
    minimum = replace(sample, positions=point.positions, model=model)
    minimum.positions = minimum.wrapped()
    minimum.provenance = {**sample.provenance, "minimisation": vars(info).copy()}
    return minimum, info


class Descent:
    """The minimisation of one sample and its counts.

    evaluations, newton_steps, products : int
    seconds : dict of float, wall time in ``"fire"`` and ``"newton"``
    """

    def __init__(
        self,
        sample: Sample,
        potential: PairPotential | None,
        fire_steps: int,
        method: str,
        particles: int | None = None,
    ) -> None:
        from glassmodes.models import HarmonicNetwork, from_spec

        if method not in METHODS:
            raise InputError(f"unknown method {method!r}; known are {', '.join(METHODS)}")
        if potential is None and (sample.model or sample.bonds is None):
            model = from_spec(sample.model)
            if not isinstance(model, HarmonicNetwork):
                potential = cast("PairPotential", model)
        self.sample, self.potential, self.fire_steps = sample, potential, fire_steps
        self.switch = _SWITCH if method == "newton" else 0.0
        self.evaluations = self.newton_steps = self.products = 0
        self.seconds = {"fire": 0.0, "newton": 0.0}
        self.spacing = float(
            (sample.volume / (particles or sample.particles)) ** (1 / sample.dimension)
        )
        self._fire = self._choose_fire()

    @property
    def start(self) -> np.ndarray:
        """Positions that the descent begins with."""
        return self.sample.positions

    def minimum(self, tolerance: float) -> tuple[Point, MinimisationInfo]:
        """Return the minimum; `SampleError` if there is none within reach."""
        point = self.to_bottom(tolerance)
        inter = point.inter
        info = MinimisationInfo(
            energy_per_particle=point.energy / inter.n,
            max_force=forces.max_force(inter),
            typical_contact_force=forces.typical_contact_force(inter),
            force_ratio=point.ratio,
            force_evaluations=self.evaluations,
            newton_steps=self.newton_steps,
            hessian_products=self.products,
        )
        if info.force_ratio <= tolerance:
            return point, info
        faded = self.faded(inter)
        if faded and self.sample.bonds is not None:
            return point, info
        if faded:
            raise SampleError(
                "unjammed",
                f"the particles come apart: the energy per particle fell to "
                f"{info.energy_per_particle:.2g} and still falls; use a higher density",
                **vars(info),
            )
        raise SampleError(
            "not_converged",
            f"the minimisation stopped at max_force / typical contact force = "
            f"{info.force_ratio:.2g} after {info.force_evaluations} force evaluations; "
            f"{tolerance:.2g} was asked for",
            **vars(info),
        )

    def interactions(self, x: np.ndarray) -> PairInteractions:
        """Return the interactions at positions x (N, d)."""
        return find_interactions(replace(self.sample, positions=x), self.potential)

    def faded(self, inter: PairInteractions) -> bool:
        """Whether hardly any energy is left in contacts and springs."""
        if self.sample.bonds is not None:
            _, _, t = hessian.edges(inter)
            stiffness = float(np.abs(np.append(inter.derivatives[2], t)).max(initial=0.0))
            limit = _AT_REST * stiffness * self.spacing**2
        else:
            limit = _UNJAMMED * float(np.abs(self.potential.energies).max())
        return float(inter.total(np.abs(inter.derivatives[0]))) < limit * inter.n

    def to_bottom(self, tolerance: float) -> Point:
        """Return the best point within reach."""
        x, force_aim = self.start, np.inf
        switch = max(self.switch, tolerance)
        point = None
        for _ in range(_RETURNS + 1):
            began = time.perf_counter()
            x, force_aim = self._fire_to_ratio(x, switch, force_aim)
            point = Point.at(self.interactions, x)
            self.seconds["fire"] += time.perf_counter() - began
            if point.ratio > 2 * switch:  # FIRE ran out of steps or of contacts
                return point
            began = time.perf_counter()
            point = self._newton(point, tolerance)
            self.seconds["newton"] += time.perf_counter() - began
            if point.ratio <= tolerance:
                return point
            x = point.positions
            switch = max(tolerance, 0.1 * min(switch, point.ratio))
        return point

    def _newton(self, point: Point, tolerance: float) -> Point:
        """Take Newton steps until they end at the tolerance or stop paying."""
        for _ in range(_NEWTON_STEPS):
            ratio = point.ratio
            if ratio <= tolerance:
                break
            product = HessianProduct(point.inter)
            # no deeper than asked for: the last solve need not go below the tolerance
            rtol = max(min(0.1, ratio**0.5), 0.1 * tolerance / ratio)
            size = point.inter.n * point.inter.d
            direction = newton.solve(product, point.force.ravel(), rtol, most=size + 50)
            self.products += product.products
            if direction.negative:
                break
            found, used = newton.search(
                self.interactions, point, direction.step, dynamics.LONGEST_MOVE * self.spacing
            )
            self.evaluations += used
            if found is None:
                break
            self.newton_steps += 1
            point = found
        return point

    def _fire_to_ratio(self, x: np.ndarray, ratio: float, aim: float) -> tuple[np.ndarray, float]:
        """Descend until the force ratio is met; the contact force is known only on the way."""
        budget = self.fire_steps
        aim = min(aim, self._force_scale())
        while budget > 0:
            x, converged, used = self._fire(x, aim, budget)
            self.evaluations += used
            budget -= used
            inter = self.interactions(x)
            typical, largest = forces.typical_contact_force(inter), forces.max_force(inter)
            if not converged or largest <= ratio * typical or self.faded(inter):
                break
            # by steps: where contacts fade the ratio would ask for less than round-off
            aim = min(0.5 * aim, max(0.01 * aim, 0.9 * ratio * typical))
        return x, aim

    def _force_scale(self) -> float:
        """Return a force to start with: an energy of the model over the distance of particles."""
        if self.potential is None:
            return self.spacing
        return 0.1 * float(np.abs(self.potential.energies).max()) / self.spacing

    def _choose_fire(self) -> Callable[[np.ndarray, float, int], tuple[np.ndarray, bool, int]]:
        if self.sample.bonds is None:
            motion = dynamics.PairDynamics(self.sample, self.potential)

            def compiled(x, aim, most):
                x, info = motion.fire(x, aim, most)
                return x, info.converged, info.evaluations

            return compiled
        return self._fire_of_network

    def _fire_of_network(self, x, aim, most) -> tuple[np.ndarray, bool, int]:
        """FIRE in numpy on the exact forces, for samples with bonds."""

        def evaluate(positions):
            inter = self.interactions(positions)
            return forces.energy(inter), forces.forces(inter), np.empty((0, 0))

        x, v = np.array(x), np.zeros_like(x)
        inter = self.interactions(x)
        u, _, t = hessian.edges(inter)
        stiffness = np.abs(t) + (u * u).sum(axis=1)
        ends = np.concatenate([inter.i, inter.j])
        rows = np.bincount(ends, np.tile(stiffness, 2), inter.n)
        dt_max = dynamics.longest_fire_step(2.0 * float(rows.max(initial=0.0)))
        state = dynamics.fire_start(dt_max)
        arguments = (x, v, most, aim, dt_max, dynamics.LONGEST_MOVE * self.spacing, state)
        converged, used = dynamics_numpy.fire(evaluate, *arguments)
        return x, converged, used
