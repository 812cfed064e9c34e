"""What a table of a campaign is made of: columns with units, and when it exists.

Units are those of the model: length, energy and mass are the model's own (for the
binary inverse power law the diameter of the small particle, the interaction strength
and the mass of a particle), time is ``length * sqrt(mass / energy)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "integer", "number", "flag"]
Needs = tuple[frozenset[str], ...]
"""Alternatives; each one is a set of analyses, or ``networks``, that must all be there."""


@dataclass(frozen=True)
class Column:
    """One column: its unit is ``"1"`` for pure numbers and ``""`` for text and flags."""

    name: str
    kind: Kind
    unit: str
    description: str


@dataclass(frozen=True)
class TableSchema:
    """One table: where it lies under the results folder and what its rows are.

    It belongs to campaigns that have all members of one set in `needs`, to all campaigns
    if `needs` is empty.
    """

    name: str
    path: str
    rows: str
    columns: tuple[Column, ...]
    needs: Needs = ()

    @property
    def names(self) -> list[str]:
        return [c.name for c in self.columns]


FREQUENCY = "sqrt(energy/mass)/length"
MODULUS = "energy/length^d"
DENSITY_OF_STATES = "1/frequency"
FORCE_SQUARED = "(energy/length)^2"
TIME = "length sqrt(mass/energy)"


def one_of(*names: str) -> Needs:
    """Say that one of `names` is enough."""
    return tuple(frozenset({name}) for name in names)


def all_of(*names: str) -> Needs:
    """Say that all `names` must be there."""
    return (frozenset(names),)


def text(name: str, description: str) -> Column:
    """Return a column of text."""
    return Column(name, "text", "", description)


def integer(name: str, description: str, unit: str = "1") -> Column:
    """Return a column of whole numbers."""
    return Column(name, "integer", unit, description)


def number(name: str, unit: str, description: str) -> Column:
    """Return a column of real numbers."""
    return Column(name, "number", unit, description)


def flag(name: str, description: str) -> Column:
    """Return a column of true and false."""
    return Column(name, "flag", "", description)


def estimate(name: str, unit: str, description: str) -> tuple[Column, ...]:
    """Return a value with its bootstrap error and confidence interval."""
    return (
        number(name, unit, description),
        number(f"{name}_error", unit, f"standard error of {name}, bootstrap over samples"),
        number(f"{name}_low", unit, f"lower end of the confidence interval of {name}"),
        number(f"{name}_high", unit, f"upper end of the confidence interval of {name}"),
    )


ENSEMBLE = text("ensemble", "name of the ensemble in the configuration")
TITLE = text("title", "label of the ensemble in figures; empty if none was given")
GROUP = text("group", "model and protocol: ensembles of one group differ in size only")
SAMPLE = integer("sample", "index of the sample in its ensemble, from 0")
DIMENSION = integer("dimension", "dimension of space d")
PARTICLES = integer("particles", "particles per sample N")
SAMPLES = integer("samples", "samples that entered")
VERDICT = text("verdict", "`resolved` or `not resolved`; without resolution no number is given")
NEEDED = integer(
    "samples_needed", "samples that would reach the precision asked for; empty if unknown"
)
