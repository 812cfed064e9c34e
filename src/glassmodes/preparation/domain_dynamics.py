r"""Molecular dynamics and FIRE of a sample that is spread over ranks.

Each rank moves its own particles among ghosts of others'.  While a neighbour list lasts, the
ranks exchange nothing but displacements of ghosts and, once a step, a handful of sums and
maxima: these also tell every rank, without another message, whether a particle could leave
half the skin with the next move.  Then lists are made anew, more seldom ghosts too, and, when
diffusion has worn the pieces out, owners as well.

The algorithms are those of `dynamics`; FIRE's limit of a move takes an upper bound of the
longest one instead of the longest itself, so that one reduction a step is enough.  Forces of a
configuration agree over any number of ranks to round-off; trajectories part, as they do in any
chaotic system.  FIRE's longest time step follows the largest eigenvalue of the Hessian itself,
found by Lanczos when the bound of `dynamics` has changed: the bound exceeds it three times in
packings, which costs half of all steps again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from glassmodes.domain import Domain
from glassmodes.errors import InputError, SampleError
from glassmodes.kernels import dynamics_numpy as loops
from glassmodes.kernels.domain_forces import Motion, start_motion
from glassmodes.kernels.dynamics import (
    CHAIN_LENGTH,
    LONGEST_MOVE,
    TRACE_COLUMNS,
    FireInfo,
    PairDynamics,
    fire_start,
    longest_fire_step,
    refuse_small_box,
)
from glassmodes.kernels.neighbours import compact_frame
from glassmodes.kernels.pair_tables import PairTables
from glassmodes.mechanics import hessian
from glassmodes.mechanics.interactions import domain_interactions
from glassmodes.models.potential import PairPotential
from glassmodes.parallel import agreement
from glassmodes.spectra.chebyshev import largest_eigenvalue
from glassmodes.spectra.operators import EdgeOperator

_SKIN = 0.22  # of the longest cutoff: over ranks new lists cost more than long ones
_STEP = 1.15  # longest time step of FIRE, over 1 / ω_max; particles bounce from 1.4 on
_LOOK_EVERY = 50  # FIRE steps between two looks at the stiffness, at first
_LOOK_SELDOM = 400  # and once it changes no more
_GHOST_SKINS = 4.0  # reach of ghosts beyond the cutoff: a list needs one skin of it
_WORN = 1.5  # ghosts over those of fresh owners at which owners are renewed


@dataclass
class DomainTrajectory:
    """The end of a run over ranks; see `dynamics.Trajectory`.

    Attributes
    ----------
    positions : Domain
        Unwrapped, ghosts not valid; perhaps with other owners than before.
    velocities : (n_owned, d) float64
    thermostat : (6,) float64
    trace : dict of (K,) float64
    evaluations, list_builds : int
    """

    positions: Domain
    velocities: np.ndarray
    thermostat: np.ndarray
    trace: dict[str, np.ndarray] = field(default_factory=dict)
    evaluations: int = 0
    list_builds: int = 0


def at_positions(domain: Domain, positions: np.ndarray) -> Domain:
    """Return the domain with its owned particles at `positions` (n_owned, d).

    Owners stay; ghosts keep what they were until `with_reach` renews them.
    """
    rest = domain.sample.positions[domain.halo.n_owned :]
    moved = replace(domain.sample, positions=np.concatenate([positions, rest]))
    return replace(domain, sample=moved)


def with_fresh_owners(domain: Domain, *rows: np.ndarray) -> tuple[Domain, list[np.ndarray]]:
    """Return the domain cut anew along the curve, and `rows` (n_owned, ...) that travel along.

    Particles keep their numbers in the file.  Collective.
    """
    names = ("positions", "species", "masses", "diameters")
    held = [name for name in names if getattr(domain.sample, name) is not None]
    columns: dict[str, Any] = {n: domain.to_file_order(domain.owned(n)) for n in held}
    fresh = Domain.from_slice(domain.comm, replace(domain.sample, **columns))
    return fresh, [fresh.from_file_order(domain.to_file_order(row)) for row in rows]


class DomainDynamics:
    """Forces and motion of the particles of one sample spread over ranks.

    Parameters
    ----------
    domain : Domain
        Gives box, species, diameters and masses; its positions are not used.
    potential : PairPotential
    skin : float, optional
        Extra reach of the neighbour lists; affects the speed only.

    Raises
    ------
    InputError
        On every rank, if the sample does not fit the potential, has bonds, has fewer particles
        than there are ranks, or a box edge is below twice the cutoff.

    Notes
    -----
    Every method is collective.  A step takes 65 ns a particle of the rank for harmonic spheres in
    3D, a new list 350 ns, new ghosts 900 ns.  Memory: some 1 kB a particle.
    """

    def __init__(self, domain: Domain, potential: PairPotential, skin: float | None = None) -> None:
        comm = domain.comm
        if domain.sample.bonds is not None:
            raise InputError("the motion of a sample with bonds is not spread over ranks")
        if domain.particles < comm.size:
            raise InputError(
                f"{domain.particles} particles on {comm.size} ranks: take at most one a particle"
            )
        with agreement(comm):
            potential.check(domain.sample)
            reach = potential.interaction_range(domain.sample)
        self.cutoff = max(comm.allgather(reach))  # diameters differ from rank to rank
        self.comm, self.potential = comm, potential
        self.n, self.d = domain.particles, domain.dimension
        self.spacing = float((domain.box.prod() / self.n) ** (1 / self.d))
        refuse_small_box(domain.box, self.cutoff)
        self.skin = _SKIN * self.cutoff if skin is None else float(skin)
        self.tables = PairTables.from_potential(potential)
        self._fresh_ghosts: float | None = None

    @property
    def degrees_of_freedom(self) -> int:
        """Momenta that the kinetic energy is spread over, d (N - 1)."""
        return self.d * (self.n - 1)

    def forces(self, domain: Domain) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the energy, the forces on owned particles (n_owned, d) and the virial (d, d)."""
        _, motion = self._begin(domain)
        with motion:
            share = motion.forces(measure=True)
            total = self._gather(share).sum(axis=0)
            return float(total[0]), motion.read("force"), total[1:].reshape(self.d, self.d)

    def stiffness_bound(self, domain: Domain) -> float:
        """Return an upper bound of the largest eigenvalue of the Hessian (unit masses)."""
        _, motion = self._begin(domain)
        with motion:
            return self._stiffness_bound(motion)

    def fire(
        self,
        domain: Domain,
        force_tolerance: float,
        max_steps: int = 100_000,
        progress: Callable[[int, float], None] | None = None,
    ) -> tuple[Domain, FireInfo]:
        """Descend until no force component exceeds `force_tolerance`; see `PairDynamics.fire`.

        progress : called on every rank with the number of steps and the largest force.

        Returns
        -------
        domain : Domain
            Positions unwrapped, without valid ghosts.
        info : FireInfo
        """
        domain, motion = self._begin(domain)
        longest_move = LONGEST_MOVE * self.spacing
        state, bound, look, every, builds = None, np.inf, 0, _LOOK_EVERY, 1
        known = np.inf  # bound for which the largest eigenvalue was found
        step = 0
        while True:
            if step == look:  # overlaps open and the stiffness falls: look again until it stays
                before, bound = bound, self._stiffness_bound(motion)
                settled = bound > 0.7 * before
                every = min(2 * every, _LOOK_SELDOM) if settled else _LOOK_EVERY
                look = step + every
                if not settled:
                    known, dt_max = np.inf, longest_fire_step(bound)
                elif not 0.9 * known <= bound <= 1.1 * known:
                    known, dt_max = bound, self._longest_fire_step(domain, motion)
                state = fire_start(dt_max) if state is None else state
                state[0] = min(state[0], dt_max)
            motion.forces()
            sums = self._gather(motion.fire_sums())
            power, push, speed = sums[:, :3].sum(axis=0)
            largest, *fastest = sums[:, 3:].max(axis=0)
            state[3] = largest
            # the second test catches NaN
            if largest <= force_tolerance or not push < 1e300 or step == max_steps:
                break
            step += 1
            move = _fire_move(state, (power, push, speed), fastest, dt_max, longest_move)
            motion.fire_move(*move.step)
            if progress is not None:
                progress(step, float(largest))
            if not fastest[2] + move.reach <= 0.5 * self.skin:
                domain, motion = self._renew(domain, motion)
                builds += 1
        domain, _ = _end(domain, motion)
        return domain, FireInfo(bool(largest <= force_tolerance), float(largest), step + 1)

    def run(
        self,
        domain: Domain,
        velocities: np.ndarray,
        steps: int,
        dt: float,
        temperature_start: float = 0.0,
        temperature_end: float | None = None,
        thermostat_time: float = 0.0,
        thermostat: np.ndarray | None = None,
        every: int = 20,
        progress: Callable[[int], None] | None = None,
    ) -> DomainTrajectory:
        """Move the particles for `steps` time steps; see `PairDynamics.run`.

        velocities : (n_owned, d) float64.

        Raises
        ------
        SampleError
            ``"diverged"`` on every rank if a particle crosses a whole cutoff within one step.
        """
        end = temperature_start if temperature_end is None else temperature_end
        if min(temperature_start, end) <= 0 < thermostat_time:
            raise InputError(f"temperatures must be positive, found {temperature_start} to {end}")
        state = np.zeros(2 * CHAIN_LENGTH) if thermostat is None else np.array(thermostat, float)
        chain = loops.NoseHooverChain(state, thermostat_time, self.degrees_of_freedom)
        coupled = thermostat_time > 0
        domain, motion = self._begin(domain, velocities)
        trace, builds = [], 1
        motion.forces()
        twice_kinetic, (fast, hard, moved) = self._kinetic(motion, 0.0)
        for step in range(1, steps + 1):
            temperature = temperature_start + (end - temperature_start) * step / steps
            factor = chain.advance(twice_kinetic, temperature, dt) if coupled else 1.0
            motion.drift(factor, dt)
            reach = dt * (factor * fast + 0.5 * dt * hard)
            if not reach < self.cutoff:
                motion.end()
                raise SampleError(
                    "diverged",
                    f"molecular dynamics diverged within {step} steps of {dt:g}: shorten the "
                    "time step or start from a configuration without overlaps",
                    step=step,
                )
            if not moved + reach <= 0.5 * self.skin:
                domain, motion = self._renew(domain, motion)
                builds += 1
            record = step % every == 0
            share = motion.forces(measure=record)
            twice_kinetic, (fast, hard, moved) = self._kinetic(motion, 0.5 * dt)
            if coupled:
                factor = chain.advance(twice_kinetic, temperature, dt)
                motion.scale(factor)
                twice_kinetic, fast = twice_kinetic * factor**2, fast * factor
            if record:
                energy = float(self._gather(share).sum(axis=0)[0])
                bath = chain.energy(temperature) if coupled else 0.0
                total = energy + 0.5 * twice_kinetic + bath
                trace.append((energy, 0.5 * twice_kinetic, total, temperature))
            if progress is not None:
                progress(step)
        domain, velocities = _end(domain, motion)
        table = np.array(trace).reshape(-1, len(TRACE_COLUMNS))
        result = DomainTrajectory(domain, velocities, state, evaluations=steps + 1)
        result.trace = dict(zip(TRACE_COLUMNS, table.T, strict=True))
        result.trace["time"] = dt * every * np.arange(1, len(table) + 1)
        result.list_builds = builds
        return result

    def _kinetic(self, motion: Motion, dt: float) -> tuple[float, np.ndarray]:
        """Kick by dt; return twice the kinetic energy, and longest v, F / m and displacement."""
        sums = self._gather(motion.kick(dt))
        return float(sums[:, 0].sum()), sums[:, 1:].max(axis=0)

    def _gather(self, values: np.ndarray) -> np.ndarray:
        """Return the values of every rank, (ranks, k): sums of them agree to the last bit."""
        table = np.empty((self.comm.size, len(values)))
        self.comm.Allgather(values, table)
        return table

    def _stiffness_bound(self, motion: Motion) -> float:
        """Return the bound of `PairDynamics.stiffness_bound`; rows of ghosts are parts of sums."""
        here = motion.pairs.stiffness_bound(motion.with_ghosts())
        return float(self._gather(np.array([here])).max())

    def _longest_fire_step(self, domain: Domain, motion: Motion) -> float:
        """Return the longest time step of FIRE where the motion is now."""
        here = at_positions(domain, domain.owned("positions") + motion.displacements())
        inter = domain_interactions(here, self.potential)
        operator = EdgeOperator(inter.domain.halo, inter.i, inter.j, *hessian.edges(inter))
        edge = largest_eigenvalue(operator, tolerance=0.02)
        return _STEP / np.sqrt(edge) if edge > 0 else 1.0

    def _begin(self, domain: Domain, velocities: np.ndarray | None = None) -> tuple[Domain, Motion]:
        """Return the domain with ghosts for a while, and its motion on a first list."""
        domain = domain.with_reach(self.cutoff + _GHOST_SKINS * self.skin)
        self._anchor = domain.owned("positions")
        return domain, self._listed(domain, velocities)

    def _listed(self, domain: Domain, velocities: np.ndarray | None) -> Motion:
        """Return the motion of the domain on a new neighbour list."""
        with agreement(self.comm):
            reach = self.cutoff + self.skin
            frame, edges = compact_frame(domain.sample.positions, domain.box, reach)
            local = replace(domain.sample, positions=frame, box=edges)
            pairs = PairDynamics(
                local, self.potential, self.skin, tables=self.tables, cutoff=self.cutoff
            )
            return start_motion(pairs, domain.halo, frame, velocities)

    def _renew(self, domain: Domain, motion: Motion) -> tuple[Domain, Motion]:
        """Return the same motion on a new list, with new ghosts and owners if it is time."""
        domain, velocities = _end(domain, motion)
        moved = np.linalg.norm(domain.owned("positions") - self._anchor, axis=1).max(initial=0.0)
        ghosts = float(len(domain.halo.ghosts))
        moved, ghosts = self._gather(np.array([moved, ghosts])).max(axis=0)
        if 2 * moved <= (_GHOST_SKINS - 1) * self.skin:
            domain.halo.refresh(domain.sample.positions, 1)
            return domain, self._listed(domain, velocities)
        if self._fresh_ghosts is None:
            self._fresh_ghosts = ghosts
        if ghosts > _WORN * self._fresh_ghosts:
            domain, (velocities,) = with_fresh_owners(domain, velocities)
            self._fresh_ghosts = None
        return self._begin(domain, velocities)


def _end(domain: Domain, motion: Motion) -> tuple[Domain, np.ndarray]:
    """Return the domain where the motion has led it, and the velocities."""
    with motion:
        moved = domain.owned("positions") + motion.displacements()
        return at_positions(domain, moved), motion.read("velocities")


@dataclass
class _Move:
    step: tuple[float, ...]  # arguments of `Motion.fire_move`
    reach: float  # no particle moves farther


def _fire_move(state, sums, fastest, dt_max, longest_move) -> _Move:
    """Return the next move of FIRE 2.0 and advance its state (time step, mixing, downhill)."""
    power, push, speed = sums
    fast, hard = fastest[:2]
    dt, alpha, downhill = state[:3]
    back = 0.0
    if power > 0:
        downhill += 1
        if downhill > loops.DELAY:
            dt, alpha = min(dt * loops.GROW, dt_max), alpha * loops.ALPHA_SHRINK
    else:
        if downhill >= 0:
            dt *= loops.SHRINK
        downhill, alpha = 0, loops.ALPHA
        back = 0.5 * dt
    state[:3] = dt, alpha, downhill
    own = 0.0 if back else 1.0
    # of v + dt F
    speed = own * (speed + 2 * dt * power) + dt * dt * push
    keep, turn = 1 - alpha, alpha * np.sqrt(max(speed, 0.0) / push)
    longest = keep * (own * fast + dt * hard) + turn * hard
    brake = min(1.0, longest_move / (dt * longest))
    return _Move((back, dt, keep, turn, brake), back * fast + dt * brake * longest)
