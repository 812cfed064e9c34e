r"""The particles of one rank among ghosts of others', between two neighbour lists.

A motion holds positions, velocities and forces and does one part of a time step at a call; the
ranks meet between the calls, where `preparation.domain_dynamics` adds up sums and sends the
displacements of ghosts.  `NumpyMotion` is the twin of the compiled `CompiledMotion`: the oracle,
and what runs where no compiler is.
"""

from __future__ import annotations

import ctypes
from abc import ABC, abstractmethod

import numpy as np

from glassmodes.kernels.dynamics import PairDynamics, address
from glassmodes.kernels.library import load
from glassmodes.kernels.neighbours import COMPILED_DIMENSIONS


def start_motion(
    pairs: PairDynamics, halo, positions: np.ndarray, velocities: np.ndarray | None = None
) -> Motion:
    """Build the neighbour list of a rank's particles and return their motion.

    Parameters
    ----------
    pairs : PairDynamics
        Box (perhaps a frame smaller than the whole box), species, diameters and masses of the
        owned particles, then the ghosts, and the tables of the forces.
    halo : spectra.halo.Halo
        Owned sites and ghosts, and their exchange.
    positions : (n_total, d) float64
        In the frame of `pairs`.
    velocities : (n_owned, d) float64 or None
        At rest if left out.
    """
    compiled = load() is not None and pairs.d in COMPILED_DIMENSIONS
    return (CompiledMotion if compiled else NumpyMotion)(pairs, halo, positions, velocities)


class Motion(ABC):
    """Particles of one rank between two neighbour lists; `end` it when done.

    Units and factors of the parts of a step are those of domain_forces.cpp.  Only `forces` is
    collective.
    """

    def __init__(self, pairs: PairDynamics, halo, positions: np.ndarray) -> None:
        self.pairs = pairs
        self.owned = halo.n_owned
        self._halo = halo
        self._built = np.ascontiguousarray(positions, np.float64)
        self._moved = np.zeros(positions.shape)

    def __enter__(self) -> Motion:
        return self

    def __exit__(self, *problem) -> None:
        self.end()

    def with_ghosts(self) -> np.ndarray:
        """Return the positions of all sites, ghosts where they were at the last forces."""
        ghosts = (self._built + self._moved)[self.owned :]
        return np.concatenate([self.read("positions"), ghosts])

    def displacements(self) -> np.ndarray:
        """Return how far the owned particles have come from their start, (n_owned, d)."""
        return self.read("positions") - self._built[: self.owned]

    @abstractmethod
    def forces(self, measure: bool = False) -> np.ndarray | None:
        """Fetch the ghosts and compute the forces on owned particles.  Collective.

        Returns this rank's share of energy and virial, (1 + d d,), if asked to `measure`.
        """

    @abstractmethod
    def fire_sums(self) -> np.ndarray:
        """Return F.v, F.F, v.v, largest |F| component, longest v, F and displacement, (7,)."""

    @abstractmethod
    def fire_move(self, back: float, dt: float, keep: float, turn: float, brake: float) -> None:
        """Set v = brake (keep (v + dt F) + turn F), x += dt v.

        With back > 0 x -= back v and v = 0 come first.
        """

    @abstractmethod
    def drift(self, factor: float, dt: float) -> None:
        """Set v = factor v + dt F / 2m, x += dt v."""

    @abstractmethod
    def kick(self, dt: float) -> np.ndarray:
        """Set v += dt F / m; return 2 E_kin, longest v, F / m and displacement, (4,)."""

    @abstractmethod
    def scale(self, factor: float) -> None:
        """Multiply the velocities by a factor."""

    @abstractmethod
    def read(self, what: str) -> np.ndarray:
        """Return ``"positions"`` (unwrapped), ``"velocities"`` or ``"force"``, (n_owned, d)."""

    @abstractmethod
    def end(self) -> None:
        """Give the memory back."""


class CompiledMotion(Motion):
    """The loops of domain_forces.cpp."""

    def __init__(self, pairs, halo, positions, velocities) -> None:
        super().__init__(pairs, halo, positions)
        self._handle: ctypes.c_void_p | None = None
        library = load()
        assert library is not None
        self._library = library
        if velocities is not None:
            velocities = np.ascontiguousarray(velocities, np.float64)
        library.gm_motion_start.restype = ctypes.c_void_p
        handle = library.gm_motion_start(
            *(ctypes.byref(pairs.system), ctypes.c_int64(self.owned), address(self._built)),
            *(address(velocities), address(pairs.masses)),
        )
        self._handle = ctypes.c_void_p(handle)
        self._shared = halo.shared
        self._sent = np.empty((len(self._shared), pairs.d))

    def end(self) -> None:
        if self._handle is not None:
            self._library.gm_motion_end(self._handle)
        self._handle = None

    __del__ = end

    def _exchange(self) -> None:
        count = ctypes.c_int64(len(self._shared))
        self._library.gm_motion_pack(
            self._handle, count, address(self._shared), address(self._sent)
        )
        self._moved[self._shared] = self._sent
        self._halo.refresh(self._moved, 1)
        self._library.gm_motion_unpack(self._handle, address(self._moved[self.owned :]))

    def forces(self, measure: bool = False) -> np.ndarray | None:
        self._exchange()
        share = np.empty(1 + self.pairs.d**2) if measure else None
        self._library.gm_motion_forces(self._handle, address(share))
        return share

    def fire_sums(self) -> np.ndarray:
        sums = np.empty(7)
        self._library.gm_motion_fire_sums(self._handle, address(sums))
        return sums

    def fire_move(self, *numbers: float) -> None:
        self._library.gm_motion_fire_move(self._handle, *map(ctypes.c_double, numbers))

    def drift(self, factor: float, dt: float) -> None:
        self._library.gm_motion_drift(self._handle, ctypes.c_double(factor), ctypes.c_double(dt))

    def kick(self, dt: float) -> np.ndarray:
        sums = np.empty(4)
        self._library.gm_motion_kick(self._handle, ctypes.c_double(dt), address(sums))
        return sums

    def scale(self, factor: float) -> None:
        self._library.gm_motion_scale(self._handle, ctypes.c_double(factor))

    def read(self, what: str) -> np.ndarray:
        found = np.empty((self.owned, self.pairs.d))
        names = ("positions", "velocities", "force")
        self._library.gm_motion_give_back(
            self._handle, *(address(found if what == name else None) for name in names)
        )
        return found


class NumpyMotion(Motion):
    """The same in numpy."""

    def __init__(self, pairs, halo, positions, velocities) -> None:
        super().__init__(pairs, halo, positions)
        self._x = self._built[: self.owned].copy()
        self._v = np.zeros_like(self._x) if velocities is None else velocities.copy()
        self._f = np.zeros_like(self._x)
        self._masses = pairs.masses[: self.owned, None]

    def end(self) -> None:
        pass

    def forces(self, measure: bool = False) -> np.ndarray | None:
        self._moved[: self.owned] = self._x - self._built[: self.owned]
        self._halo.refresh(self._moved, 1)
        energy, force, virial = self.pairs.tabulated_forces(self.with_ghosts(), self.owned)
        self._f = force[: self.owned]
        return np.append(energy, virial.ravel()) if measure else None

    def _longest(self, *vectors: np.ndarray) -> list[float]:
        moved = self._x - self._built[: self.owned]
        return [np.linalg.norm(v, axis=1).max(initial=0.0) for v in (*vectors, moved)]

    def fire_sums(self) -> np.ndarray:
        v, f = self._v, self._f
        sums = np.vdot(f, v), np.vdot(f, f), np.vdot(v, v)
        return np.array([*sums, np.abs(f).max(initial=0.0), *self._longest(v, f)])

    def fire_move(self, back, dt, keep, turn, brake) -> None:
        self._x -= back * self._v
        own = 0.0 if back > 0 else 1.0
        self._v = brake * (keep * (own * self._v + dt * self._f) + turn * self._f)
        self._x += dt * self._v

    def drift(self, factor: float, dt: float) -> None:
        self._v = factor * self._v + 0.5 * dt * self._f / self._masses
        self._x += dt * self._v

    def kick(self, dt: float) -> np.ndarray:
        self._v = self._v + dt * self._f / self._masses
        twice_kinetic = float((self._masses * self._v**2).sum())
        return np.array([twice_kinetic, *self._longest(self._v, self._f / self._masses)])

    def scale(self, factor: float) -> None:
        self._v = factor * self._v

    def read(self, what: str) -> np.ndarray:
        return {"positions": self._x, "velocities": self._v, "force": self._f}[what].copy()
