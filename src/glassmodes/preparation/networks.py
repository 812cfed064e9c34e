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
from itertools import combinations
from typing import Any

import numpy as np

import glassmodes
from glassmodes.errors import SampleError
from glassmodes.kernels.neighbours import find_pairs
from glassmodes.mechanics.interactions import find_interactions
from glassmodes.mechanics.non_affine import inversion_asymmetry
from glassmodes.models import named
from glassmodes.preparation import evidence, lattices, pruning
from glassmodes.preparation.network_protocols import (
    NETWORKS,
    BondDepletedLattice,
    LatticeVacancies,
    NetworkProtocol,
    RandomNetwork,
    dimension_of,
    lattice_of,
    network_from,
    parent_of,
    realised,
    site_share,
)
from glassmodes.preparation.parent_glass import make_parent, shortest_pairs
from glassmodes.preparation.prepare import plain_seed
from glassmodes.preparation.protocols import describe
from glassmodes.sample import Sample

__all__ = [
    "NETWORKS",
    "BondDepletedLattice",
    "LatticeVacancies",
    "NetworkProtocol",
    "RandomNetwork",
    "make_network",
    "network_from",
    "realised",
]

SMALLEST_PART = 0.5
"""Fraction of atoms in the largest connected part below which a network has fallen apart."""


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
        unbonded_atoms, spring_length, spring_length_deviation, non_affine_force_squared_mean
        (<|Ξ|²>, the lack of inversion symmetry, over all planes), bond_order (F6, the mean
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
    d = dimension_of(protocol, dimension)
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
    if protocol.stiffness != 1.0:
        network.stiffness = np.full(len(network.bonds), float(protocol.stiffness))
    network.model = named("harmonic_network").spec()
    tell("measuring the network")
    found = _evidence(network) | {"largest_cluster": largest} | found
    network.provenance = {
        "seed": plain_seed(seed),
        "protocol": describe(protocol),
        "versions": {"glassmodes": glassmodes.__version__, "numpy": np.__version__},
        "evidence": found,
    }
    return network


def _from_lattice(protocol, particles, rng, tell) -> Sample:
    lattice, cells = lattice_of(protocol, particles)
    tell(f"building the {lattice.name} lattice")
    sites = lattices.site_count(lattice, cells)
    kept = None
    if isinstance(protocol, LatticeVacancies):
        kept = np.zeros(sites, bool)
        kept[rng.permutation(sites)[: round(sites * site_share(protocol))]] = True
    positions, box, bonds = lattices.build_sites(lattice, cells, kept)
    network = Sample(positions, box, bonds=bonds)
    if isinstance(protocol, BondDepletedLattice) and protocol.coordination is not None:
        tell("cutting bonds")
        _cut(network, protocol, rng)
    return network


def _from_glass(protocol, particles, d, rng, seed, tell) -> tuple[Sample, dict[str, Any]]:
    model, density, starting = parent_of(protocol, d)
    quench = np.random.default_rng(_child(seed, 1))
    glass, found = make_parent(protocol, model, particles, d, quench, tell)
    scale = (glass.density / density) ** (1 / d)
    bonds = shortest_pairs(glass, model, round(starting * particles / 2))
    network = Sample(glass.positions * scale, glass.box * scale, bonds=bonds)
    tell("cutting bonds")
    _cut(network, protocol, rng)
    return network, {f"parent_{key}": value for key, value in found.items()}


def _cut(network: Sample, protocol, rng: np.random.Generator) -> None:
    """Cut the bonds of a network down to the coordination of its protocol."""
    n = network.particles
    keep = round(protocol.coordination * n / 2)
    network.bonds = network.bonds[pruning.cut_bonds(network.bonds, n, keep, protocol.cut, rng)]


def _evidence(network: Sample) -> dict[str, Any]:
    inter = find_interactions(network)
    degree, length = pruning.degrees(network.bonds, inter.n), inter.distance
    near = find_pairs(
        network.positions, network.box, evidence.NEIGHBOUR_DISTANCE * float(length.mean())
    )
    order = evidence.neighbour_correlations(network.positions, network.box, *near)
    planes = combinations(range(inter.d), 2)
    asymmetry = [inversion_asymmetry(inter, a, b).mean() for a, b in planes]
    return {
        "coordination": float(degree.mean()),
        "coordination_deviation": float(degree.std()),
        "unbonded_atoms": int((degree == 0).sum()),
        "spring_length": float(length.mean()),
        "spring_length_deviation": float(length.std()),
        "non_affine_force_squared_mean": float(np.mean(asymmetry)),
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


def _child(seed: int | np.random.SeedSequence, number: int) -> np.random.SeedSequence:
    """Return an independent stream of a seed, the same whenever it is asked for."""
    root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    return np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, number))
