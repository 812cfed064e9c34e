"""Speed of molecular dynamics and of the quench to an inherent structure, 3D model."""

from __future__ import annotations

import numpy as np
from rows import Row, measure

from glassmodes import models
from glassmodes.kernels.dynamics import PairDynamics
from glassmodes.preparation import minimise

AIMS = {2000: 1500.0}
STEPS = 2000
TIME_STEP = 0.005
TEMPERATURE = 0.6


def run(sample, with_peers: bool = True) -> list[Row]:
    """Melt a glass, time NVT steps in the liquid, then time the quench."""
    n, d = sample.positions.shape
    model = models.from_spec(sample.model)
    dynamics = PairDynamics(sample, model)
    generator = np.random.default_rng(0)
    velocities = generator.normal(size=(n, d)) * np.sqrt(TEMPERATURE)
    velocities -= velocities.mean(axis=0)

    def steps(positions, velocities, state):
        return dynamics.run(
            *(positions, velocities, STEPS, TIME_STEP, TEMPERATURE, TEMPERATURE, 1.0, state)
        )

    positions, velocities, state, _ = steps(sample.positions, velocities, None)
    (positions, *_), seconds = measure(lambda: steps(positions, velocities, state), 3)
    speed = Row("molecular dynamics, NVT", n, "glassmodes", STEPS / seconds, unit="steps/s")
    speed.aim = AIMS.get(n, float("nan"))

    liquid = sample.replace(positions=positions)
    (_, info), seconds = measure(lambda: minimise(liquid, model), 1)
    quench = Row("quench of a liquid", n, "glassmodes: FIRE, then Newton", seconds)
    quench.accuracy = f"force {info.force_ratio:.0e} of a contact force"
    return [speed, quench]
