r"""Molecular dynamics and FIRE of pair potentials, compiled for d = 2, 3 and 4.

Velocity Verlet with a Nose-Hoover chain of three links (Martyna et al., Mol. Phys. 87, 1117
(1996)) and FIRE 2.0 (Guenole et al., Comput. Mater. Sci. 175, 109584 (2020)) over tabulated
forces and Verlet lists.  The compiled loops come back to Python every few 10^5 particle
steps, so that signals and progress are served.  `dynamics_numpy` is the twin with exact
forces: the oracle, and what runs where no compiler is.

Units are those of the model with k_B = 1.  The kinetic temperature of N particles in d
dimensions at zero total momentum is 2 E_kin / (d (N - 1)).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from glassmodes.errors import InputError, SampleError
from glassmodes.kernels import dynamics_numpy
from glassmodes.kernels.library import load
from glassmodes.kernels.neighbours import (
    COMPILED_DIMENSIONS,
    find_pairs,
    minimum_image,
    wrap,
)
from glassmodes.kernels.pair_tables import PairTables

if TYPE_CHECKING:
    from glassmodes.models.potential import PairPotential
    from glassmodes.sample import Sample

CHAIN_LENGTH = 3
TRACE_COLUMNS = ("potential", "kinetic", "conserved", "temperature")

SKIN = 0.16
"""Extra reach of neighbour lists over the longest cutoff: the optimum of a liquid, flat."""

LONGEST_MOVE = 0.1
"""Longest move of one FIRE step over the mean distance between particles."""

_CHUNK = 1_000_000  # particle steps between two returns to Python
_FIRST_CHUNK = 50  # FIRE steps


class _System(ctypes.Structure):
    """Mirror of gm_system in pair_forces.hpp."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("dimension", "species", "tables", "octaves", "bits")),
        ("n", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("box", "species_of", "diameters")),
        ("non_additivity", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("cutoffs", "table_of", "rows")),
        ("longest_cutoff", ctypes.c_double),
        ("skin", ctypes.c_double),
    )


@dataclass
class FireInfo:
    """What FIRE did.

    converged : the largest force component reached the tolerance.
    max_force : that component at the positions returned.
    evaluations : force evaluations.
    """

    converged: bool
    max_force: float
    evaluations: int


@dataclass
class Trajectory:
    """The end of a run and what was recorded on the way.

    Attributes
    ----------
    positions, velocities : (N, d) float64
        Positions are unwrapped: their differences to the start are displacements.
    thermostat : (6,) float64
        State of the chain, to be handed to the next run.
    trace : dict of (K,) float64
        Columns of `TRACE_COLUMNS` and ``time``: energies in total, the conserved quantity and
        the temperature aimed at.
    evaluations, list_builds : int
    """

    positions: np.ndarray
    velocities: np.ndarray
    thermostat: np.ndarray
    trace: dict[str, np.ndarray] = field(default_factory=dict)
    evaluations: int = 0
    list_builds: int = 0


class PairDynamics:
    """Forces and motion of one sample's particles.

    Parameters
    ----------
    sample : Sample
        Gives box, species, diameters and masses; its positions are not used.
    potential : PairPotential
    skin : float, optional
        Extra reach of the neighbour lists; affects the speed only.
    tables, cutoff : optional
        Of a whole sample of which this one is a part; found here if left out.

    Raises
    ------
    InputError
        If the sample does not fit the potential, or a box edge is below twice the cutoff.
    """

    def __init__(
        self,
        sample: Sample,
        potential: PairPotential,
        skin: float | None = None,
        *,
        tables: PairTables | None = None,
        cutoff: float | None = None,
    ) -> None:
        sample.validate()
        potential.check(sample)
        self.potential = potential
        self.box = np.ascontiguousarray(sample.box, np.float64)
        self.species = np.ascontiguousarray(sample.species, np.int32)
        self.masses = np.ascontiguousarray(sample.masses, np.float64)
        self.diameters = None
        if sample.diameters is not None and potential.lengths is None:
            self.diameters = np.ascontiguousarray(sample.diameters, np.float64)
        self.n, self.d = sample.positions.shape
        self.cutoff = potential.interaction_range(sample) if cutoff is None else cutoff
        refuse_small_box(self.box, self.cutoff)
        self.skin = SKIN * self.cutoff if skin is None else float(skin)
        self._library = load() if self.d in COMPILED_DIMENSIONS else None
        self.tables = PairTables.from_potential(potential) if tables is None else tables
        self.system = self._as_structure() if self._library is not None else None

    @property
    def degrees_of_freedom(self) -> int:
        """Momenta that the kinetic energy is spread over, d (N - 1)."""
        return self.d * (self.n - 1)

    def forces(self, positions: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the energy, the forces (N, d) and the virial Σ_pairs F_a r_b (d, d).

        F is the force on i and r = x_i - x_j, so that the pressure at rest is tr / (d V).
        """
        x = self._checked(positions)
        if self._library is None:
            return self.tabulated_forces(x)
        energy, force, virial = (
            ctypes.c_double(),
            np.empty_like(x),
            np.empty((self.d, self.d)),
        )
        self._library.gm_pair_forces(
            ctypes.byref(self.system),
            address(x),
            address(force),
            ctypes.byref(energy),
            address(virial),
        )
        return energy.value, force, virial

    def tabulated_forces(
        self, positions: np.ndarray, owned: int | None = None
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Return what `forces` returns, from the same tables in numpy: the compiled loop's twin.

        owned : if given, the particles behind the first `owned` are ghosts of other ranks;
        energy and virial are then this rank's share, half of a pair with a ghost.
        """
        i, j, vector, cutoff = self._pairs(positions)
        square = np.einsum("pc,pc->p", vector, vector)
        table = self.tables.table_of[self.species[i], self.species[j]]
        energy, slope = self.tables.evaluate(table, square / cutoff**2)
        share = None if owned is None else 0.5 * (i < owned) + 0.5 * (j < owned)
        return self._assembled(i, j, energy, -2.0 * slope / cutoff**2, vector, share)

    def exact_forces(self, positions: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return what `forces` returns, from the potential's own formulas."""
        i, j, vector, _ = self._pairs(positions)
        r = np.linalg.norm(vector, axis=1)
        values = self._derivatives(i, j, r, order=1)
        return self._assembled(i, j, values[0], -values[1] / r, vector)

    def stiffness_bound(self, positions: np.ndarray) -> float:
        """Return an upper bound of the largest eigenvalue of the Hessian (unit masses).

        Twice the largest sum over a particle's pairs of max(|φ''|, |φ'/r|) (Gershgorin), with
        overlaps deeper than the tables reach taken at their innermost distance.
        """
        i, j, vector, cutoff = self._pairs(positions)
        r = np.maximum(np.linalg.norm(vector, axis=1), cutoff * 2.0 ** (-self.tables.octaves / 2))
        values = self._derivatives(i, j, r, order=2)
        stiffness = np.maximum(np.abs(values[2]), np.abs(values[1]) / r)
        rows = np.bincount(i, stiffness, self.n) + np.bincount(j, stiffness, self.n)
        return 2.0 * float(rows.max(initial=0.0))

    def thermal_velocities(self, temperature: float, rng: np.random.Generator) -> np.ndarray:
        """Draw Maxwell's velocities (N, d) with zero momentum and exactly this temperature."""
        velocities = rng.standard_normal((self.n, self.d)) / np.sqrt(self.masses)[:, None]
        velocities -= self.masses @ velocities / self.masses.sum()
        twice_kinetic = float(self.masses @ (velocities**2).sum(axis=1))
        return velocities * np.sqrt(temperature * self.degrees_of_freedom / twice_kinetic)

    def run(
        self,
        positions: np.ndarray,
        velocities: np.ndarray,
        steps: int,
        dt: float,
        temperature_start: float = 0.0,
        temperature_end: float | None = None,
        thermostat_time: float = 0.0,
        thermostat: np.ndarray | None = None,
        every: int = 20,
        progress: Callable[[int], None] | None = None,
    ) -> Trajectory:
        """Move the particles for `steps` time steps.

        Parameters
        ----------
        positions, velocities : (N, d) float64
        steps, dt
            Number and length of the time steps.
        temperature_start, temperature_end
            The thermostat's temperature runs linearly from one to the other.
        thermostat_time
            Relaxation time of the Nose-Hoover chain; 0 switches it off: constant energy.
        thermostat : (6,) float64, optional
            State of the chain from the run before.
        every
            Steps between two records of the trace.
        progress
            Called with the number of steps done, some times a second.

        Raises
        ------
        SampleError
            ``"diverged"`` if a particle crosses a whole cutoff within one step.

        Notes
        -----
        Deterministic: the same input gives the same bytes on the same machine.
        """
        x, v = self._checked(positions).copy(), self._checked(velocities).copy()
        end = temperature_start if temperature_end is None else temperature_end
        if min(temperature_start, end) <= 0 < thermostat_time:
            raise InputError(f"temperatures must be positive, found {temperature_start} to {end}")
        chain = np.zeros(2 * CHAIN_LENGTH) if thermostat is None else np.array(thermostat, float)
        result = Trajectory(x, v, chain)
        records, done = [], 0
        chunk = max(every, _CHUNK // self.n // every * every)
        while done < steps:
            now = min(chunk, steps - done)
            ramp = [temperature_start + (end - temperature_start) * k / steps
                    for k in (done, done + now)]  # fmt: skip
            trace = np.zeros((now // every, len(TRACE_COLUMNS)))
            self._move(result, now, dt, ramp, thermostat_time, every, trace)
            records.append(trace)
            done += now
            fastest = np.abs(v).max() * dt
            if not (fastest < self.cutoff and np.isfinite(x).all()):
                raise SampleError(
                    "diverged",
                    f"molecular dynamics diverged within {done} steps of {dt:g}: shorten the "
                    "time step or start from a configuration without overlaps",
                    step=done,
                )
            if progress is not None:
                progress(done)
        table = np.concatenate(records) if records else np.empty((0, len(TRACE_COLUMNS)))
        result.trace = dict(zip(TRACE_COLUMNS, table.T, strict=True))
        result.trace["time"] = dt * every * np.arange(1, len(table) + 1)
        return result

    def fire(
        self,
        positions: np.ndarray,
        force_tolerance: float,
        max_steps: int = 100_000,
        progress: Callable[[int], None] | None = None,
    ) -> tuple[np.ndarray, FireInfo]:
        """Descend to a minimum until no force component exceeds `force_tolerance`.

        Parameters
        ----------
        positions : (N, d) float64
            Any start, overlaps included.

        Returns
        -------
        positions : (N, d) float64
            Unwrapped.
        info : FireInfo
            Not converged if `max_steps` evaluations did not suffice.
        """
        x = self._checked(positions).copy()
        v = np.zeros_like(x)
        state: np.ndarray | None = None
        longest_move = LONGEST_MOVE * float((self.box.prod() / self.n) ** (1 / self.d))
        done, chunk, evaluations = 0, _FIRST_CHUNK, 0
        bound = np.inf
        while True:
            # overlaps open and the stiffness falls: look at it again and again until it stays
            before, bound = bound, self.stiffness_bound(x)
            chunk = min(2 * chunk, max(50, _CHUNK // self.n)) if bound > 0.7 * before else chunk
            dt_max = longest_fire_step(bound)
            state = fire_start(dt_max) if state is None else state
            now = max(0, min(chunk, max_steps - done))
            converged, used = self._descend(x, v, now, force_tolerance, dt_max, longest_move, state)
            evaluations += used
            done += now
            if progress is not None:
                progress(done)
            if converged or done >= max_steps or not np.isfinite(state[3]):
                return x, FireInfo(converged, float(state[3]), evaluations)

    def _move(self, result, steps, dt, ramp, thermostat_time, every, trace) -> None:
        arrays = result.positions, result.velocities
        if self._library is None:
            dynamics_numpy.molecular_dynamics(
                *(self.tabulated_forces, self.masses, result.positions, result.velocities),
                *(steps, dt, ramp[0], ramp[1], thermostat_time, result.thermostat, every, trace),
            )
            result.evaluations += steps + 1
            return
        counts = np.zeros(2, np.int64)
        self._library.gm_molecular_dynamics(
            *(ctypes.byref(self.system), address(self.masses), *map(address, arrays)),
            *(
                ctypes.c_int64(steps),
                *map(ctypes.c_double, (dt, *ramp, thermostat_time)),
            ),
            *(address(result.thermostat), ctypes.c_int64(every), address(trace), address(counts)),
        )
        result.evaluations += int(counts[0])
        result.list_builds += int(counts[1])

    def _descend(self, x, v, steps, tolerance, dt_max, longest_move, state) -> tuple[bool, int]:
        if self._library is None:
            return dynamics_numpy.fire(
                self.tabulated_forces,
                x,
                v,
                steps,
                tolerance,
                dt_max,
                longest_move,
                state,
            )
        counts = np.zeros(2, np.int64)
        outcome = self._library.gm_fire(
            *(ctypes.byref(self.system), address(x), address(v), ctypes.c_int64(steps)),
            *map(ctypes.c_double, (tolerance, dt_max, longest_move)),
            *(address(state), address(counts)),
        )
        return outcome == 0 and bool(state[3] <= tolerance), int(counts[0])

    def _pairs(self, positions) -> tuple[np.ndarray, ...]:
        """Return i, j, x_i - x_j and r_c of all pairs inside their cutoff."""
        x = wrap(positions, self.box)
        i, j = find_pairs(x, self.box, self.cutoff)
        vector = minimum_image(x[i] - x[j], self.box)
        length, _, reduced = self.potential.pair_parameters(
            self.species[i], self.species[j], *self._diameters(i, j)
        )
        cutoff = length * reduced
        square = np.einsum("pc,pc->p", vector, vector)
        kept = (square < cutoff**2) & (square > 0)
        return i[kept], j[kept], vector[kept], cutoff[kept]

    def _diameters(self, i, j) -> tuple[np.ndarray | None, np.ndarray | None]:
        return (None, None) if self.diameters is None else (self.diameters[i], self.diameters[j])

    def _derivatives(self, i, j, r, order) -> np.ndarray:
        species = self.species[i], self.species[j]
        return self.potential.derivatives(r, *species, *self._diameters(i, j), order=order)

    def _assembled(
        self, i, j, energy, pull, vector, share=None
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Sum pair energies and the forces pull * (x_i - x_j) on i."""
        pair_force = pull[:, None] * vector
        force = np.zeros((self.n, self.d))
        for c in range(self.d):
            force[:, c] = np.bincount(i, pair_force[:, c], self.n)
            force[:, c] -= np.bincount(j, pair_force[:, c], self.n)
        if share is not None:
            energy, pair_force = share * energy, share[:, None] * pair_force
        return float(energy.sum()), force, pair_force.T @ vector

    def _checked(self, array: np.ndarray) -> np.ndarray:
        array = np.ascontiguousarray(array, np.float64)
        if array.shape != (self.n, self.d) or not np.isfinite(array).all():
            raise InputError(
                f"expected {self.n} x {self.d} finite numbers, found shape {array.shape}"
            )
        return array

    def _as_structure(self) -> _System:
        tables = self.tables
        self._rows = _aligned_copy(tables.rows)
        return _System(
            *(
                self.d,
                len(tables.table_of),
                len(tables.rows),
                tables.octaves,
                tables.bits,
                self.n,
            ),
            *(address(self.box), address(self.species), address(self.diameters)),
            *(tables.non_additivity or 0.0, address(tables.cutoffs), address(tables.table_of)),
            *(address(self._rows), self.cutoff, self.skin),
        )


def refuse_small_box(box: np.ndarray, cutoff: float) -> None:
    """Raise `InputError` where a pair could meet through two images."""
    if box.min() < 2 * cutoff:
        raise InputError(
            f"the shortest box edge is {box.min():.6g}, less than twice the cutoff "
            f"{cutoff:.6g}: a larger sample is needed"
        )


def longest_fire_step(stiffness_bound: float) -> float:
    """Return the longest time step of FIRE, a fraction of the stability limit 2 / ω_max.

    The bound exceeds ω_max² by a factor near 2; from 2.0 on FIRE bounces in some glasses, at
    1.0 it takes more steps for all (inverse power laws, Lennard-Jones, harmonic spheres).
    """
    return 1.5 / np.sqrt(stiffness_bound) if stiffness_bound > 0 else 1.0


def fire_start(dt_max: float) -> np.ndarray:
    """Return FIRE's state at rest: time step, mixing, steps downhill (-1: none), max force."""
    return np.array([0.1 * dt_max, 0.25, -1.0, np.inf])


def _aligned_copy(array: np.ndarray) -> np.ndarray:
    """Return a copy on a 64-byte boundary, where one load fetches a table row."""
    raw = np.empty(array.nbytes + 64, np.uint8)
    skip = -raw.ctypes.data % 64
    copy = raw[skip : skip + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def address(array: np.ndarray | None) -> ctypes.c_void_p | None:
    """Return the place of an array in memory for the compiled loops; None stays None."""
    return None if array is None else ctypes.c_void_p(array.ctypes.data)
