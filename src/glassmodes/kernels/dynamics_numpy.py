"""The loops of dynamics.cpp in numpy, for any force function: oracle and fallback.

Both functions change their arrays in place and follow the compiled ones step by step.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Forces = Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]]
"""Positions (N, d) -> energy, forces (N, d), virial (d, d)."""

GROW, SHRINK, ALPHA, ALPHA_SHRINK, DELAY = 1.1, 0.5, 0.25, 0.99, 20
"""Constants of FIRE 2.0."""


class NoseHooverChain:
    """Nose-Hoover chain on the state array: positions eta, then velocities w."""

    def __init__(self, state: np.ndarray, time: float, freedom: int) -> None:
        half = len(state) // 2
        self.eta, self.w = state[:half], state[half:]
        self.time, self.freedom = time, freedom

    def _inertia(self, k: int, temperature: float) -> float:
        return (self.freedom if k == 0 else 1.0) * temperature * self.time**2

    def _push(self, k: int, twice_kinetic: float, temperature: float) -> float:
        if k == 0:
            drive = twice_kinetic - self.freedom * temperature
        else:
            drive = self._inertia(k - 1, temperature) * self.w[k - 1] ** 2 - temperature
        return drive / self._inertia(k, temperature)

    def _kick(self, k: int, twice_kinetic: float, temperature: float, dt: float) -> None:
        drag = np.exp(-0.125 * dt * self.w[k + 1]) if k + 1 < len(self.w) else 1.0
        push = self._push(k, twice_kinetic, temperature)
        self.w[k] = (self.w[k] * drag + 0.25 * dt * push) * drag

    def advance(self, twice_kinetic: float, temperature: float, dt: float) -> float:
        """Move on by dt at fixed positions; return the factor for all velocities."""
        for k in reversed(range(len(self.w))):
            self._kick(k, twice_kinetic, temperature, dt)
        factor = float(np.exp(-0.5 * dt * self.w[0]))
        self.eta += 0.5 * dt * self.w
        for k in range(len(self.w)):
            self._kick(k, twice_kinetic * factor**2, temperature, dt)
        return factor

    def energy(self, temperature: float) -> float:
        """Return what the chain adds to the conserved quantity."""
        inertia = [self._inertia(k, temperature) for k in range(len(self.w))]
        kinetic = 0.5 * float(np.dot(inertia, self.w**2))
        return kinetic + temperature * (self.freedom * self.eta[0] + self.eta[1:].sum())


def molecular_dynamics(
    forces: Forces,
    masses: np.ndarray,
    x: np.ndarray,
    v: np.ndarray,
    steps: int,
    dt: float,
    t_start: float,
    t_end: float,
    thermostat_time: float,
    chain_state: np.ndarray,
    every: int,
    trace: np.ndarray,
) -> None:
    """Velocity Verlet with a Nose-Hoover chain; arguments as in `PairDynamics.run`.

    x, v : (N, d) and chain_state : (6,) are advanced; trace : (steps // every, 4) is filled.
    """
    chain = NoseHooverChain(chain_state, thermostat_time, x.shape[1] * (len(x) - 1))
    weight = masses[:, None]
    _, f, _ = forces(x)
    twice_kinetic = float((weight * v * v).sum())
    for step in range(1, steps + 1):
        temperature = t_start + (t_end - t_start) * step / steps
        if thermostat_time > 0:
            v *= chain.advance(twice_kinetic, temperature, dt)
        v += 0.5 * dt * f / weight
        x += dt * v
        energy, f, _ = forces(x)
        v += 0.5 * dt * f / weight
        twice_kinetic = float((weight * v * v).sum())
        if thermostat_time > 0:
            factor = chain.advance(twice_kinetic, temperature, dt)
            v *= factor
            twice_kinetic *= factor**2
        if step % every == 0:
            bath = chain.energy(temperature) if thermostat_time > 0 else 0.0
            total = energy + 0.5 * twice_kinetic + bath
            trace[step // every - 1] = energy, 0.5 * twice_kinetic, total, temperature


def fire(
    forces: Forces,
    x: np.ndarray,
    v: np.ndarray,
    steps: int,
    tolerance: float,
    dt_max: float,
    longest_move: float,
    state: np.ndarray,
) -> tuple[bool, int]:
    """FIRE 2.0 with unit masses; return whether it converged and the force evaluations.

    x, v : (N, d) are advanced.  state : (4,) time step, mixing, steps downhill, and on return
    the largest force component.
    """
    dt, alpha, downhill = min(state[0], dt_max), state[1], state[2]
    for step in range(steps + 1):
        _, f, _ = forces(x)
        state[3] = np.abs(f).max(initial=0.0)
        push = float(np.vdot(f, f))
        if state[3] <= tolerance or not push < 1e300 or step == steps:
            break
        if np.vdot(f, v) > 0:
            downhill += 1
            if downhill > DELAY:
                dt, alpha = min(dt * GROW, dt_max), alpha * ALPHA_SHRINK
        else:
            if downhill >= 0:
                dt *= SHRINK
            downhill, alpha = 0, ALPHA
            x -= 0.5 * dt * v
            v[...] = 0.0
        v += dt * f
        v *= 1 - alpha
        v += alpha / (1 - alpha) * np.linalg.norm(v) / np.sqrt(push) * f
        fastest = dt * np.abs(v).max()
        if fastest > longest_move:
            v *= longest_move / fastest
        x += dt * v
    state[:3] = dt, alpha, downhill
    return bool(state[3] <= tolerance), step + 1
