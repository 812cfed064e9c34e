"""The liquid before the quench: random start, melting, equilibration, cooling."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from glassmodes.errors import InputError
from glassmodes.kernels.dynamics import PairDynamics, Trajectory
from glassmodes.kernels.neighbours import hilbert_order
from glassmodes.models.defaults import ModelDefaults, PowerLawDiameters
from glassmodes.models.potential import PairPotential
from glassmodes.preparation import evidence
from glassmodes.preparation.protocols import InstantaneousQuench, SlowCooling, default_time_step
from glassmodes.sample import Sample

_SEPARATING_STEPS = 300  # of FIRE, before particles get velocities
_REDRAWS = 20  # of all velocities while melting, one thermostat time apart
_RECORD_TIME = 0.05  # between two records of the trace
_SMALL_STEP_FROM = 1.0  # temperature from which the default time step is the short one


def random_sample(
    potential: PairPotential,
    n: int,
    rng: np.random.Generator,
    dimension: int | None = None,
    density: float | None = None,
) -> Sample:
    """Put N particles at random into a cubic box.

    Dimension, density, composition and diameters are those of the model's defaults unless
    given.  Species are counted out exactly, diameters are the quantiles of their
    distribution; which particle gets which is random.

    Raises
    ------
    InputError
        If the model has no defaults and dimension or density is missing, or if diameters are
        needed and there is no rule for them.
    """
    box = cubic_box(potential, n, dimension, density)
    quantiles = diameter_rule(potential)
    diameters = None if quantiles is None else rng.permutation(quantiles.quantiles(n))
    species = rng.permutation(species_counted_out(potential, n, np.arange(n)))
    positions = rng.uniform(0.0, 1.0, (n, len(box))) * box
    return Sample(positions, box, species, diameters=diameters, model=potential.spec())


def cubic_box(
    potential: PairPotential, n: int, dimension: int | None, density: float | None
) -> np.ndarray:
    """Return the edges (d,) of the box of N particles at the model's state point or another."""
    defaults: ModelDefaults | None = potential.defaults
    d = dimension or (defaults.dimension if defaults else None)
    rho = density or (defaults.density if defaults else None)
    if d is None or rho is None:
        raise InputError(
            f"the model {potential.name or type(potential).__name__} has no usual state point: "
            "give dimension and density"
        )
    if n < 2 or not rho > 0 or d not in (2, 3, 4):
        raise InputError(f"cannot prepare {n} particles at density {rho:g} in {d} dimensions")
    return np.full(d, (n / rho) ** (1 / d))


def diameter_rule(potential: PairPotential) -> PowerLawDiameters | None:
    """Return the distribution of diameters, None for a model that needs none."""
    if potential.lengths is not None:
        return None
    if potential.defaults is None or potential.defaults.diameters is None:
        raise InputError("the model needs diameters and its defaults give no rule for them")
    return potential.defaults.diameters


def species_counted_out(potential: PairPotential, n: int, index: np.ndarray) -> np.ndarray:
    """Return the labels of `index` of n particles, counted out nearest to the composition."""
    composition = potential.defaults.composition if potential.defaults else (1.0,)
    ends = np.rint(np.cumsum(composition) * n).astype(int)
    return np.searchsorted(ends, index, side="right")


def sorted_in_space(sample: Sample) -> Sample:
    """Return the sample (without bonds) with particles numbered along a Hilbert curve."""
    order = hilbert_order(sample.positions, sample.box)
    diameters = None if sample.diameters is None else sample.diameters[order]
    return replace(
        sample,
        positions=sample.wrapped()[order],
        species=sample.species[order],
        masses=sample.masses[order],
        diameters=diameters,
    )


@dataclass
class Liquid:
    """Positions (N, d) at the end of a thermal history, and the evidence gathered on it."""

    positions: np.ndarray
    evidence: dict[str, Any]


def make_liquid(
    sample: Sample,
    potential: PairPotential,
    protocol: InstantaneousQuench | SlowCooling,
    rng: np.random.Generator,
    progress: Callable[[str], None] | None = None,
) -> Liquid:
    """Run a protocol's thermal history from a random start.

    Overlaps are taken apart by FIRE, velocities are redrawn for a while (which heats or cools
    without the swings of a thermostat), then the Nose-Hoover chain keeps the temperature for
    the equilibration time, and a cooling follows if there is one.

    Returns
    -------
    Liquid
        Evidence: ``equilibration_drift``, ``mean_squared_displacement``,
        ``temperature_mean`` (over the second half of the equilibration), ``time_step``,
        ``molecular_dynamics_steps``.
    """
    history = _History(sample, potential, protocol, rng, progress)
    history.pass_through()
    return Liquid(history.positions, history.evidence)


class History(ABC):
    """One run through a protocol.

    A subclass says how velocities are drawn and how far particles have come; to it `positions`
    may be anything that its `motion` takes and gives back.
    """

    def __init__(self, motion, positions, volume: float, protocol, progress) -> None:
        self.motion = motion
        self.volume = volume
        self.positions = positions
        self.protocol = protocol
        self.tell = progress or (lambda message: None)
        self.thermostat: np.ndarray | None = None
        self.dt = protocol.time_step or default_time_step(protocol.temperature)
        self.evidence: dict[str, Any] = {"time_step": self.dt, "molecular_dynamics_steps": 0}

    @abstractmethod
    def draw_velocities(self, temperature: float) -> np.ndarray:
        """Return Maxwell's velocities of zero momentum at exactly this temperature."""

    @abstractmethod
    def squared_displacement(self, start) -> float:
        """Return the mean squared displacement since `start`, in units of a0²."""

    def pass_through(self) -> None:
        """Melt, equilibrate and, where the protocol says so, cool."""
        self.melt()
        self.equilibrate()
        if isinstance(self.protocol, SlowCooling):
            self.cool()

    def melt(self) -> None:
        self.tell("melting")
        temperature = self.protocol.temperature
        # forces of this size belong to the liquid: no need to separate any further
        soft = 10.0 * temperature / float((self.volume / self.motion.n) ** (1 / self.motion.d))
        self.positions, _ = self.motion.fire(self.positions, soft, _SEPARATING_STEPS)
        steps = max(1, round(self.protocol.thermostat_time / self.dt))
        for _ in range(_REDRAWS):
            self.velocities = self.draw_velocities(temperature)
            self._run(steps, self.dt)

    def equilibrate(self) -> None:
        protocol = self.protocol
        steps = round(protocol.equilibration_time / self.dt)
        self.tell(f"equilibrating at T = {protocol.temperature:g} for {steps} steps")
        start = self.positions
        run = self._run(steps, self.dt, protocol.temperature, protocol.temperature)
        late = len(run.trace["potential"]) // 2
        kinetic = run.trace["kinetic"][late:]
        freedom = self.motion.degrees_of_freedom
        self.evidence.update(
            equilibration_drift=evidence.drift(run.trace["potential"][late:]),
            mean_squared_displacement=self.squared_displacement(start),
            temperature_mean=2 * float(kinetic.mean()) / freedom if len(kinetic) else float("nan"),
        )

    def cool(self) -> None:
        protocol = self.protocol
        corners = [protocol.temperature, protocol.final_temperature]
        if corners[0] > _SMALL_STEP_FROM > corners[1] and protocol.time_step is None:
            corners.insert(1, _SMALL_STEP_FROM)
        for high, low in pairwise(corners):
            dt = protocol.time_step or default_time_step(np.nextafter(high, 0.0))
            steps = max(1, round((high - low) / protocol.rate / dt))
            self.tell(f"cooling from T = {high:g} to {low:g} in {steps} steps")
            self._run(steps, dt, high, low)

    def _run(self, steps: int, dt: float, start: float = 0.0, end: float = 0.0) -> Trajectory:
        """Move on; without a temperature at constant energy."""
        run = self.motion.run(
            *(self.positions, self.velocities, steps, dt, start, end),
            thermostat_time=self.protocol.thermostat_time if start > 0 else 0.0,
            thermostat=self.thermostat,
            every=max(1, round(_RECORD_TIME / dt)),
        )
        self.positions, self.velocities = run.positions, run.velocities
        self.thermostat = run.thermostat
        self.evidence["molecular_dynamics_steps"] += steps
        return run


class _History(History):
    """A protocol on one rank."""

    def __init__(self, sample, potential, protocol, rng, progress) -> None:
        motion = PairDynamics(sample, potential)
        super().__init__(motion, sample.positions, sample.volume, protocol, progress)
        self.rng = rng

    def draw_velocities(self, temperature: float) -> np.ndarray:
        return self.motion.thermal_velocities(temperature, self.rng)

    def squared_displacement(self, start: np.ndarray) -> float:
        return evidence.mean_squared_displacement(start, self.positions, self.volume)
