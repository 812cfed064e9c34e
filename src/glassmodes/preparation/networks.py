r"""Networks of springs at rest: depleted lattices, lattices with vacancies, random networks.

The three systems of R. Milkus and A. Zaccone (viscoelastic lattices), each in a periodic box,
with unit masses, springs of one stiffness, every spring at its rest length, and lengths in
units of the (mean) spring:

    bond_depleted_lattice   perfect fcc or triangular lattice, bonds cut down to the mean
                            coordination Z; with Z left out the perfect lattice itself
    lattice_vacancies       the lattice with sites left out; bonds between the sites that stay,
                            Z = Z_perfect times their fraction
    random_network          a Lennard-Jones glass; its shortest pairs become springs (the
                            starting coordination), which are then cut down to Z

What the paper leaves open is a parameter with a documented default.  Floppy parts stay: the
non-affine forces of springs at rest are orthogonal to every zero mode, so moduli and spectral
functions of Ξ need no pruning, and pruning changes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

import glassmodes
from glassmodes.errors import InputError, SampleError, nearest
from glassmodes.kernels.dynamics import PairDynamics
from glassmodes.kernels.neighbours import find_pairs, minimum_image
from glassmodes.mechanics import forces
from glassmodes.mechanics.interactions import find_interactions
from glassmodes.models import PairPotential, named, resolve
from glassmodes.preparation import evidence, lattices, pruning
from glassmodes.preparation.liquid import make_liquid, random_sample, sorted_in_space
from glassmodes.preparation.prepare import plain_seed, refuse_crystal
from glassmodes.preparation.protocols import InstantaneousQuench, describe, protocol_from
from glassmodes.sample import DIMENSIONS, Sample

PARENTS = {2: "lj_2d", 3: "lennard_jones"}
"""Models of the glass that a random network is made from."""

STARTING_COORDINATION = {2: 5.5, 3: 9.0}
"""Coordination at which the shortest pairs of a glass become springs."""

SPRING_LENGTH = {2: 1.018, 3: 1.0952}
"""Mean length of those springs at the parent's own density, in the parent's unit."""

SMALLEST_PART = 0.5
"""Fraction of atoms in the largest connected part below which a network has fallen apart."""


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
    d = _dimension(protocol, dimension)
    if isinstance(protocol, RandomNetwork):
        return particles, _parent(protocol, d)[1]
    lattice, cells = _lattice_of(protocol, particles)
    n = round(lattices.site_count(lattice, cells) * _share(protocol))
    return n, n / float(np.prod(lattices.box_of(lattice, cells)))


def make_network(
    protocol: NetworkProtocol | Mapping[str, Any],
    particles: int,
    seed: int | np.random.SeedSequence,
    dimension: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Sample:
    """Make one network.

    Parameters
    ----------
    protocol
        How, or ``{"name": ..., **parameters}``.
    particles
        Atoms wanted; `realised` says how many there will be.
    seed
        All randomness follows from it.
    dimension
        Of a random network (3 if left out); lattices have their own.
    progress
        Called with one line at the start of each stage.

    Returns
    -------
    Sample
        Model `HarmonicNetwork`, atoms numbered along a Hilbert curve, bonds sorted.
        Provenance holds seed, protocol, versions and ``evidence``, a flat dictionary:
        coordination, coordination_deviation (standard deviation over atoms),
        unbonded_atoms, spring_length, spring_length_deviation, bond_order (F6, the mean
        bond-order correlation of geometric neighbours) and bond_order_fraction (of them above
        0.7), see `evidence`, largest_cluster (fraction of atoms); for a random network also
        what is known of its glass: parent_crystal_order, parent_density, parent_force_ratio,
        parent_energy_per_particle, parent_equilibration_drift and more.

    Raises
    ------
    InputError
        A coordination out of reach, a lattice in another dimension, a box too small.
    SampleError
        ``"falls_apart"`` if the largest connected part holds less than half of the atoms.

    Notes
    -----
    Not collective.  Lattices of 10^6 atoms take some 20 s, the Lennard-Jones parent of
    5 x 10^4 atoms 1 minute.
    """
    protocol = network_from(protocol)
    d = _dimension(protocol, dimension)
    tell = progress or (lambda message: None)
    rng = np.random.default_rng(_child(seed, 0))
    if isinstance(protocol, RandomNetwork):
        network, found = _from_glass(protocol, particles, d, rng, seed, tell)
    else:
        network, found = _from_lattice(protocol, particles, rng, tell), {}
    if protocol.prune_floppy:
        network = _without_loose_atoms(network)
    largest = pruning.largest_cluster(network.bonds, network.particles)
    _refuse_fragments(protocol, network, largest)
    tell("measuring the network")
    found = _evidence(network) | {"largest_cluster": largest} | found
    if protocol.stiffness != 1.0:
        network.stiffness = np.full(len(network.bonds), float(protocol.stiffness))
    network.model = named("harmonic_network").spec()
    network.provenance = {
        "seed": plain_seed(seed),
        "protocol": describe(protocol),
        "versions": {"glassmodes": glassmodes.__version__, "numpy": np.__version__},
        "evidence": found,
    }
    return network


def _from_lattice(protocol, particles, rng, tell) -> Sample:
    lattice, cells = _lattice_of(protocol, particles)
    tell(f"building the {lattice.name} lattice")
    sites = lattices.site_count(lattice, cells)
    kept = None
    if isinstance(protocol, LatticeVacancies):
        kept = np.zeros(sites, bool)
        kept[rng.permutation(sites)[: round(sites * _share(protocol))]] = True
    positions, box, bonds = lattices.build_sites(lattice, cells, kept)
    network = Sample(positions, box, bonds=bonds)
    if isinstance(protocol, BondDepletedLattice) and protocol.coordination is not None:
        tell("cutting bonds")
        _cut(network, protocol, rng)
    return network


def _cut(network: Sample, protocol, rng: np.random.Generator) -> None:
    """Cut the bonds of a network down to the coordination of its protocol."""
    n = network.particles
    keep = round(protocol.coordination * n / 2)
    network.bonds = network.bonds[pruning.cut_bonds(network.bonds, n, keep, protocol.cut, rng)]


def _from_glass(protocol, particles, d, rng, seed, tell) -> tuple[Sample, dict[str, Any]]:
    model, density, starting = _parent(protocol, d)
    glass, found = _glass(
        protocol, model, particles, d, np.random.default_rng(_child(seed, 1)), tell
    )
    scale = (glass.density / density) ** (1 / d)
    bonds = shortest_pairs(glass, model, round(starting * particles / 2))
    network = Sample(glass.positions * scale, glass.box * scale, bonds=bonds)
    tell("cutting bonds")
    _cut(network, protocol, rng)
    return network, {f"parent_{key}": value for key, value in found.items()}


def _glass(protocol, model, particles, d, rng, tell) -> tuple[Sample, dict[str, Any]]:
    """Return the parent near a minimum of its energy, numbered along a Hilbert curve."""
    sample = random_sample(model, particles, rng, d)
    liquid = make_liquid(sample, model, protocol.liquid(), rng, tell)
    glass = sorted_in_space(replace(sample, positions=liquid.positions))
    tell("descending towards the minimum")
    steps = 0
    for most in (protocol.descent_steps // 4, protocol.descent_steps):
        inter = find_interactions(glass)
        aim = protocol.force_tolerance * forces.typical_contact_force(inter)
        glass.positions, descent = PairDynamics(glass, model).fire(
            glass.positions, aim, max(1, most - steps)
        )
        steps += descent.evaluations
    glass.positions = glass.wrapped()
    inter = find_interactions(glass)
    order = evidence.crystal_order(glass.positions, glass.box)
    found = liquid.evidence | {
        "density": glass.density,
        "energy_per_particle": forces.energy(inter) / particles,
        "force_ratio": forces.force_ratio(inter),
        "force_evaluations": steps,
        "crystal_order": order,
    }
    refuse_crystal(order, d, found)
    return glass, found


def shortest_pairs(sample: Sample, potential: PairPotential, count: int) -> np.ndarray:
    """Return the `count` pairs with the smallest distance over interaction length, (count, 2).

    Raises
    ------
    InputError
        If so many pairs reach beyond half of the box.
    """
    length = potential.interaction_range(sample) / float(potential.cutoffs.max())
    spacing = (sample.volume / sample.particles) ** (1 / sample.dimension)
    reach, longest = 1.5 * spacing, 0.49 * float(sample.box.min())
    while True:
        reach = min(reach, longest)
        i, j = find_pairs(sample.wrapped(), sample.box, reach)
        vector = minimum_image(sample.positions[j] - sample.positions[i], sample.box)
        distance = np.linalg.norm(vector, axis=1)
        own = potential.pair_parameters(
            *(sample.species[i], sample.species[j]),
            *((None, None) if sample.diameters is None else sample.diameters[np.stack([i, j])]),
        )[0]
        scaled = distance / own
        # a pair beyond the reach is at least so long in units of its own length
        complete = np.flatnonzero(scaled < reach / length)
        if len(complete) >= count:
            break
        if reach == longest:
            raise InputError(
                f"{count} springs between {sample.particles} atoms reach beyond half of the box: "
                "use more particles or a smaller starting_coordination"
            )
        reach *= 1.2
    nearest_ones = complete[np.argpartition(scaled[complete], count - 1)[:count]]
    nearest_ones.sort()
    return np.stack([i[nearest_ones], j[nearest_ones]], axis=1)


def _evidence(network: Sample) -> dict[str, Any]:
    n, bonds = network.particles, network.bonds
    degree = pruning.degrees(bonds, n)
    vector = minimum_image(
        network.positions[bonds[:, 1]] - network.positions[bonds[:, 0]], network.box
    )
    length = np.sqrt(np.einsum("pc,pc->p", vector, vector))
    near = find_pairs(
        network.positions, network.box, evidence.NEIGHBOUR_DISTANCE * float(length.mean())
    )
    order = evidence.neighbour_correlations(network.positions, network.box, *near)
    return {
        "coordination": float(degree.mean()),
        "coordination_deviation": float(degree.std()),
        "unbonded_atoms": int((degree == 0).sum()),
        "spring_length": float(length.mean()),
        "spring_length_deviation": float(length.std()),
        "bond_order": float(order.mean()),
        "bond_order_fraction": float((order > evidence.SIMILAR).mean()),
    }


def _refuse_fragments(protocol, network: Sample, largest: float) -> None:
    if largest < SMALLEST_PART:
        raise SampleError(
            "falls_apart",
            f"the network falls apart: its largest connected part holds {largest:.1%} of "
            f"{network.particles} atoms at {protocol.name} with coordination "
            f"{protocol.coordination:g}; use a larger coordination",
            largest_cluster=largest,
        )


def _without_loose_atoms(network: Sample) -> Sample:
    held = pruning.held_atoms(network.bonds, network.particles, network.dimension + 1)
    if not held.any():
        raise SampleError(
            "falls_apart",
            "the network falls apart: no atom is left once those with d or fewer springs are "
            "taken out; use a larger coordination, or keep floppy parts",
        )
    number = np.cumsum(held, dtype=np.int32) - 1
    bonds = number[network.bonds[held[network.bonds].all(axis=1)]]
    return Sample(network.positions[held], network.box, bonds=bonds)


def _lattice_of(protocol, particles: int) -> tuple[lattices.Lattice, tuple[int, ...]]:
    lattice = lattices.LATTICES[protocol.lattice]
    return lattice, lattices.cells_for(lattice, particles / _share(protocol))


def _share(protocol: BondDepletedLattice | LatticeVacancies) -> float:
    """Return the fraction of sites that stay."""
    if isinstance(protocol, BondDepletedLattice):
        return 1.0
    return protocol.coordination / lattices.LATTICES[protocol.lattice].coordination


def _dimension(protocol: NetworkProtocol, dimension: int | None) -> int:
    """Return the dimension of the network; a lattice has its own."""
    if isinstance(protocol, RandomNetwork):
        if dimension not in (None, *DIMENSIONS):
            raise InputError(f"a random network has 2, 3 or 4 dimensions, not {dimension}")
        return dimension or 3
    d = lattices.LATTICES[protocol.lattice].dimension
    if dimension not in (None, d):
        raise InputError(f"the {protocol.lattice} lattice has {d} dimensions, not {dimension}")
    return d


def _parent(protocol: RandomNetwork, d: int) -> tuple[PairPotential, float, float]:
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


def _child(seed: int | np.random.SeedSequence, number: int) -> np.random.SeedSequence:
    """Return an independent stream of a seed, the same whenever it is asked for."""
    root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    return np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, number))


def _expect_common(protocol: NetworkProtocol, highest: float) -> None:
    """Check what the three protocols share."""
    _expect_positive(protocol, "stiffness")
    if hasattr(protocol, "cut"):
        _expect_choice(protocol, "cut", pruning.CUTS)
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
