"""Speed of molecular dynamics and of the quench to an inherent structure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from rows import Measured, Row, measure

from glassmodes import models
from glassmodes.kernels.dynamics import PairDynamics
from glassmodes.preparation.minimise import minimise

AIMS = {2000: 1500.0}
MELTING = 4000  # steps from the glass to the liquid
STEPS = 2000
TIME_STEP = 0.0025
TEMPERATURE = 1.0


def ours(sample) -> Measured:
    """Melt a glass, time NVT steps in the liquid, then time the quench."""
    n = sample.positions.shape[0]
    model = models.from_spec(sample.model)
    dynamics, startup = measure(lambda: PairDynamics(sample, model))
    # Half of the kinetic energy of a glass becomes potential: start twice as hot.
    velocities = dynamics.thermal_velocities(2 * TEMPERATURE, np.random.default_rng(0))
    thermostat = {"temperature_start": TEMPERATURE, "thermostat_time": 0.2}
    liquid = dynamics.run(sample.positions, velocities, MELTING, TIME_STEP, **thermostat)
    state = (liquid.positions, liquid.velocities)
    moved, seconds = measure(lambda: dynamics.run(*state, STEPS, TIME_STEP, **thermostat), 3, 5.0)
    speed = Row("molecular dynamics, NVT", n, "glassmodes", STEPS / seconds, "steps/s", startup)
    speed.aim = AIMS.get(n, float("nan"))
    drift = np.ptp(moved.trace["conserved"]) / np.ptp(moved.trace["kinetic"])
    speed.accuracy = f"conserved energy varies {drift:.0e} of the kinetic energy's variation"

    start = replace(sample, positions=liquid.positions)
    (_, info), seconds = measure(lambda: minimise(start, model), 1)
    quench = Row("quench of a liquid", n, "glassmodes: FIRE, then Newton", seconds)
    quench.accuracy = (
        f"force ratio {info.force_ratio:.0e}, {info.force_evaluations} forces, "
        f"{info.hessian_products} products"
    )
    return Measured([speed, quench])
