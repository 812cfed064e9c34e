"""Recipes of spring networks, as data, and what each will give.

See `networks` for the systems they stand for.  What the paper leaves open is a parameter with
a documented default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from glassmodes.errors import InputError, nearest
from glassmodes.models import PairPotential, resolve
from glassmodes.preparation import lattices, pruning
from glassmodes.preparation.protocols import InstantaneousQuench, protocol_from
from glassmodes.sample import DIMENSIONS

PARENTS = {2: "lj_2d", 3: "lennard_jones"}
"""Models of the glass that a random network is made from."""

STARTING_COORDINATION = {2: 5.5, 3: 9.0}
"""Coordination at which the shortest pairs of a glass become springs."""

SPRING_LENGTH = {2: 1.018, 3: 1.0952}
"""Mean length of those springs at the parent's own density, in the parent's unit."""


@dataclass(frozen=True, kw_only=True)
class BondDepletedLattice:
    """A lattice with bonds cut at random.

    Parameters
    ----------
    lattice : {"fcc", "triangular"}
    coordination
        Mean number of springs per atom, exact to one bond; None for the perfect lattice.
    cut : {"narrow", "independent"}
        See `pruning`.
    stiffness
        Of every spring.
    prune_floppy
        Take out atoms with d or fewer springs, again and again: they carry no stress.
    """

    name: ClassVar[str] = "bond_depleted_lattice"
    lattice: str = "fcc"
    coordination: float | None = None
    cut: str = "narrow"
    stiffness: float = 1.0
    prune_floppy: bool = False

    def __post_init__(self) -> None:
        _expect_choice(self, "lattice", lattices.LATTICES)
        _expect_common(self, lattices.LATTICES[self.lattice].coordination)


@dataclass(frozen=True, kw_only=True)
class LatticeVacancies:
    """A lattice with sites left out at random.

    Parameters
    ----------
    lattice, stiffness, prune_floppy
        As in `BondDepletedLattice`.
    coordination
        Expected number of springs per atom, which fixes how many sites stay.
    """

    name: ClassVar[str] = "lattice_vacancies"
    coordination: float
    lattice: str = "fcc"
    stiffness: float = 1.0
    prune_floppy: bool = False

    def __post_init__(self) -> None:
        _expect_choice(self, "lattice", lattices.LATTICES)
        _expect_common(self, lattices.LATTICES[self.lattice].coordination)


@dataclass(frozen=True, kw_only=True)
class RandomNetwork:
    """Springs between the neighbours of a glass, cut down to a mean coordination.

    Parameters
    ----------
    coordination, cut, stiffness, prune_floppy
        As in `BondDepletedLattice`.
    starting_coordination
        The M = N Z/2 shortest pairs become springs; 9 in 3D and 5.5 in 2D if left out.
    parent_model
        Name or file of the glass; force-shifted Lennard-Jones if left out.
    density
        Of the network.  Lengths of the parent are scaled to it.  If left out, springs of the
        usual parent and starting coordination have the mean length 1 (to 0.2 %); lengths of
        another parent stay as they are.
    temperature, equilibration_time, time_step, thermostat_time
        Of the liquid, see `InstantaneousQuench`.
    force_tolerance, descent_steps
        The descent from the liquid ends at this ratio of the largest force component to the
        typical contact force, or after so many steps of FIRE.  A loose minimum is enough:
        springs are put at rest wherever the atoms are, and the last 0.3 % of the energy
        change their lengths by 10^-4.
    """

    name: ClassVar[str] = "random_network"
    coordination: float
    starting_coordination: float | None = None
    cut: str = "narrow"
    parent_model: str | None = None
    density: float | None = None
    temperature: float = 2.0
    equilibration_time: float = 3.5
    time_step: float = 0.005
    thermostat_time: float = 0.1
    force_tolerance: float = 1e-2
    descent_steps: int = 1000
    stiffness: float = 1.0
    prune_floppy: bool = False

    def __post_init__(self) -> None:
        for name in ("starting_coordination", "density"):
            if getattr(self, name) is not None:
                _expect_positive(self, name)
        for name in ("force_tolerance", "descent_steps"):
            _expect_positive(self, name)
        _expect_common(self, self.starting_coordination or np.inf)
        self.liquid()

    def liquid(self) -> InstantaneousQuench:
        """Return the thermal history of the parent."""
        return InstantaneousQuench(
            temperature=self.temperature,
            equilibration_time=self.equilibration_time,
            time_step=self.time_step,
            thermostat_time=self.thermostat_time,
        )


NetworkProtocol = BondDepletedLattice | LatticeVacancies | RandomNetwork

NETWORKS: dict[str, type[NetworkProtocol]] = {
    cls.name: cls for cls in (BondDepletedLattice, LatticeVacancies, RandomNetwork)
}


def network_from(settings: NetworkProtocol | Mapping[str, Any]) -> NetworkProtocol:
    """Build the protocol of ``{"name": ..., **parameters}``; see `protocol_from`."""
    return protocol_from(settings, NETWORKS) if isinstance(settings, Mapping) else settings


def realised(
    protocol: NetworkProtocol | Mapping[str, Any], particles: int, dimension: int | None = None
) -> tuple[int, float]:
    """Return the number of atoms and the density that `make_network` will give.

    Lattices fill a box of whole cells, as near to `particles` atoms as that allows.  With
    `prune_floppy` these are the numbers before the pruning.
    """
    protocol = network_from(protocol)
    d = dimension_of(protocol, dimension)
    if isinstance(protocol, RandomNetwork):
        return particles, parent_of(protocol, d)[1]
    lattice, cells = lattice_of(protocol, particles)
    n = round(lattices.site_count(lattice, cells) * site_share(protocol))
    return n, n / float(np.prod(lattices.box_of(lattice, cells)))


def lattice_of(protocol, particles: int) -> tuple[lattices.Lattice, tuple[int, ...]]:
    """Return the lattice of a protocol and the cells along each axis of its box."""
    lattice = lattices.LATTICES[protocol.lattice]
    return lattice, lattices.cells_for(lattice, particles / site_share(protocol))


def site_share(protocol: BondDepletedLattice | LatticeVacancies) -> float:
    """Return the fraction of sites that stay."""
    if isinstance(protocol, BondDepletedLattice):
        return 1.0
    return protocol.coordination / lattices.LATTICES[protocol.lattice].coordination


def dimension_of(protocol: NetworkProtocol, dimension: int | None) -> int:
    """Return the dimension of the network; a lattice has its own."""
    if isinstance(protocol, RandomNetwork):
        if dimension not in (None, *DIMENSIONS):
            raise InputError(f"a random network has 2, 3 or 4 dimensions, not {dimension}")
        return dimension or 3
    d = lattices.LATTICES[protocol.lattice].dimension
    if dimension not in (None, d):
        raise InputError(f"the {protocol.lattice} lattice has {d} dimensions, not {dimension}")
    return d


def parent_of(protocol: RandomNetwork, d: int) -> tuple[PairPotential, float, float]:
    """Return the parent's potential, the network's density and the starting coordination."""
    starting = protocol.starting_coordination or STARTING_COORDINATION.get(d)
    name = protocol.parent_model or PARENTS.get(d)
    if name is None or starting is None:
        raise InputError(
            f"a random network in {d} dimensions needs parent_model and starting_coordination"
        )
    _expect_reachable(protocol, starting)
    model = resolve(name)
    if not isinstance(model, PairPotential) or model.defaults is None:
        raise InputError(f"{name} is no pair potential with a usual state point: no parent glass")
    usual = model.defaults.density
    scale = SPRING_LENGTH[d] if protocol.parent_model is None else 1.0
    return model, protocol.density or usual * scale**d, starting


def _expect_common(protocol: NetworkProtocol, highest: float) -> None:
    """Check what the three protocols share."""
    _expect_positive(protocol, "stiffness")
    if hasattr(protocol, "cut"):
        _expect_choice(protocol, "cut", pruning.CUTS)
    if protocol.coordination is None and not isinstance(protocol, BondDepletedLattice):
        raise InputError(f"{protocol.name}: coordination is missing; expected a positive number")
    if protocol.coordination is not None:
        _expect_positive(protocol, "coordination")
        _expect_reachable(protocol, highest)


def _expect_reachable(protocol: NetworkProtocol, highest: float) -> None:
    if protocol.coordination is not None and protocol.coordination > highest:
        raise InputError(
            f"{protocol.name}: the coordination {protocol.coordination:g} cannot be reached by "
            f"cutting; it lies above 0 and at most at {highest:g}"
        )


def _expect_positive(protocol: NetworkProtocol, name: str) -> None:
    value = getattr(protocol, name)
    if not 0 < value < float("inf"):
        raise InputError(f"{protocol.name}: {name} is {value}; expected a positive number")


def _expect_choice(protocol: NetworkProtocol, name: str, known) -> None:
    value = getattr(protocol, name)
    if value not in known:
        raise InputError(
            f"{protocol.name}: {name} is {value!r}; known are {', '.join(known)}"
            f"{nearest(value, known)}"
        )
