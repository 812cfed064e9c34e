"""Keys of the protocols: how the glasses and networks of an ensemble are made."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from glassmodes.campaign.config_section import Section, key

LatticeName = Literal["fcc", "triangular"]
CutName = Literal["narrow", "independent"]


class Descent(Section):
    """What all protocols end with."""

    force_tolerance: float = key(
        1e-10,
        "the minimum is reached when the largest force component falls below this part of "
        "the typical contact force",
        "1",
        ge=1e-13,
        le=1e-6,
    )


class RandomStart(Descent):
    """Random positions, then straight to the nearest minimum: infinite temperature."""

    name: Literal["random_start"] = key(..., "no liquid at all")

    @property
    def temperature(self) -> float:
        """Of the liquid that random positions are."""
        return math.inf


class Liquid(Descent):
    """Molecular dynamics of the liquid."""

    temperature: float = key(..., "temperature of the liquid", "energy/k_B", gt=0)
    equilibration_time: float = key(50.0, "time in the liquid before anything else", "time", ge=0)
    time_step: float | None = key(
        None,
        "step of the molecular dynamics; null: 0.0025 from temperature 1 on, 0.005 below",
        "time",
        gt=0,
    )
    thermostat_time: float = key(0.2, "time constant of the Nose-Hoover chain", "time", gt=0)

    def step_at(self, temperature: float) -> float:
        """Return the time step of the molecular dynamics at a temperature."""
        return self.time_step or (0.0025 if temperature >= 1.0 else 0.005)


class Quench(Liquid):
    """Molecular dynamics of the liquid, then straight to the nearest minimum."""

    name: Literal["instantaneous_quench"] = key(
        ..., "liquid at one temperature, quenched without any cooling"
    )


class Cooling(Liquid):
    """Molecular dynamics of the liquid, cooling at a constant rate, then the nearest minimum."""

    name: Literal["slow_cooling"] = key(..., "liquid cooled from `temperature` at a constant rate")
    final_temperature: float = key(..., "temperature where the cooling ends", "energy/k_B", gt=0)
    rate: float = key(..., "temperature lost per time", "energy/k_B/time", gt=0)

    @model_validator(mode="after")
    def _cools(self) -> Cooling:
        if self.final_temperature >= self.temperature:
            raise ValueError(
                f"final_temperature {self.final_temperature} is not below temperature "
                f"{self.temperature}"
            )
        return self


class Network(Section):
    """What all networks of springs at rest have in common."""

    stiffness: float = key(1.0, "of every spring", "energy/length^2", gt=0)
    prune_floppy: bool = key(
        False,
        "take out particles with too few springs to be held; changes moduli and spectra, which "
        "need no pruning",
    )


class DepletedLattice(Network):
    """A lattice with bonds cut at random."""

    name: Literal["bond_depleted_lattice"] = key(..., "a lattice with bonds cut at random")
    lattice: LatticeName = key("fcc", "the perfect lattice, nearest-neighbour distance 1")
    coordination: float | None = key(
        None, "mean springs per particle Z; null: the perfect lattice", "1", gt=0
    )
    cut: CutName = key(
        "narrow",
        "which bonds are cut: those between the particles with most of them, or any",
    )


class Vacancies(Network):
    """A lattice with sites left out at random."""

    name: Literal["lattice_vacancies"] = key(..., "a lattice with sites left out at random")
    lattice: LatticeName = key("fcc", "the perfect lattice, nearest-neighbour distance 1")
    coordination: float = key(..., "expected springs per particle Z", "1", gt=0)


class RandomNetwork(Network):
    """Springs between the neighbours of a Lennard-Jones glass, cut down to a coordination."""

    name: Literal["random_network"] = key(
        ..., "the shortest pairs of a Lennard-Jones glass become springs, some are cut"
    )
    coordination: float = key(..., "mean springs per particle Z", "1", gt=0)
    starting_coordination: float | None = key(
        None, "Z before the cut; null: 9 in three dimensions, 5.5 in two", "1", gt=0
    )
    cut: CutName = key(
        "narrow",
        "which bonds are cut: those between the particles with most of them, or any",
    )
    parent_model: str | None = key(
        None, "model of the glass; null: force-shifted Lennard-Jones of the dimension"
    )
    density: float | None = key(
        None, "of the network; null: springs have the mean length 1", "1/length^d", gt=0
    )
    temperature: float = key(2.0, "temperature of the parent liquid", "energy/k_B", gt=0)
    equilibration_time: float = key(2.5, "time in the parent liquid", "time", ge=0)
    time_step: float = key(0.005, "step of the molecular dynamics", "time", gt=0)
    thermostat_time: float = key(0.1, "time constant of the Nose-Hoover chain", "time", gt=0)
    force_tolerance: float = key(
        1e-2,
        "the parent's minimum, as for glasses; loose, because springs are put at rest wherever "
        "the particles are",
        "1",
        gt=0,
        le=1,
    )


Protocol = Annotated[
    Quench | Cooling | RandomStart | DepletedLattice | Vacancies | RandomNetwork,
    Field(discriminator="name"),
]
