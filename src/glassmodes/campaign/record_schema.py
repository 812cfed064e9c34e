"""What the records of each stage hold: name, kind, shape and unit of every column.

Every file of a stage has all its columns, also when each sample was refused; a refused
sample has NaN, -1, False, an empty text or an empty list there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Kind = Literal["number", "integer", "flag", "text"]

FREQUENCY = "sqrt(energy/mass)/length"
MODULUS = "energy/length^d"
FORCE = "energy/length"

_TYPES: dict[str, Any] = {"number": np.float64, "integer": np.int64, "flag": np.bool_}
_MISSING: dict[str, Any] = {"number": np.nan, "integer": -1, "flag": False, "text": ""}


@dataclass(frozen=True)
class RecordColumn:
    """One column of records.

    Attributes
    ----------
    shape : tuple of str or int
        Shape of one sample's value; ``"d"`` is the dimension, ``"N"`` the particles.
        A ragged column has one more axis in front whose length differs by sample.
    optional : bool
        The column exists only if a setting asks for it.
    """

    name: str
    kind: Kind
    unit: str = ""
    shape: tuple[str | int, ...] = ()
    ragged: bool = False
    optional: bool = False

    def sizes(self, dimension: int, particles: int) -> tuple[int, ...]:
        """Return `shape` in numbers."""
        names = {"d": dimension, "N": particles}
        return tuple(names[s] if isinstance(s, str) else s for s in self.shape)

    @property
    def dtype(self) -> Any:
        """Type of the stored numbers; texts have none."""
        return _TYPES[self.kind]

    @property
    def missing(self) -> Any:
        """Value that stands for `unknown`."""
        return _MISSING[self.kind]


def _number(name: str, unit: str, *shape: str | int, **options: bool) -> RecordColumn:
    return RecordColumn(name, "number", unit, shape, **options)


def _integer(name: str, *shape: str | int, **options: bool) -> RecordColumn:
    return RecordColumn(name, "integer", "1", shape, **options)


#: Every record starts with these.
COMMON = (
    _integer("index"),
    RecordColumn("status", "text"),
    RecordColumn("reason", "text"),
    RecordColumn("message", "text"),
)

_SAMPLES = (
    _integer("seed"),
    _integer("particles"),
    _integer("dimension"),
    _number("density", "1/length^d"),
    _number("mass_density", "mass/length^d"),
    _number("energy_per_particle", "energy"),
    _number("pressure", MODULUS),
    _number("max_force", FORCE),
    _number("typical_contact_force", FORCE),
    _number("force_ratio", "1"),
    _number("equilibration_drift", "1"),
    _number("mean_squared_displacement", "a0^2"),
    _number("temperature_mean", "energy/k_B"),
    _number("crystal_order", "1"),
    _integer("force_evaluations"),
    _integer("newton_steps"),
)

_MODES = (
    _number("frequency", FREQUENCY, ragged=True),
    _number("participation_ratio", "1", ragged=True),
    _number("residual", "1", ragged=True),
    _number("vectors", "1", "N", "d", ragged=True, optional=True),
    _integer("zero_modes"),
    RecordColumn("certified", "flag"),
    _number("complete_below", FREQUENCY),
    _integer("products"),
)

_MODULI = (
    _number("energy_per_particle", "energy"),
    _number("pressure", MODULUS),
    _number("shear_modulus", MODULUS),
    _number("born_shear_modulus", MODULUS),
    _number("non_affine_force_squared_mean", "(energy/length)^2"),
    _number("shear_modulus_by_direction", MODULUS, "d", "d"),
    _number("born_shear_modulus_by_direction", MODULUS, "d", "d"),
    _number("non_affine_force_squared_mean_by_direction", "(energy/length)^2", "d", "d"),
    _number("bulk_modulus", MODULUS),
    _number("elastic_tensor", MODULUS, "d", "d", "d", "d"),
    _number("max_force", FORCE),
    _number("typical_contact_force", FORCE),
    _number("debye_frequency", FREQUENCY),
    _number("mass_density", "mass/length^d"),
    _number("residual", "1"),
)

_DIPOLES = (
    _integer("pair", 2, ragged=True),
    _number("stiffness", "energy/length^2", ragged=True),
    _number("residual", "1", ragged=True),
)

#: Columns by the name of the records; ``samples`` are those of the stage prepare.
SCHEMAS: dict[str, tuple[RecordColumn, ...]] = {
    "samples": COMMON + _SAMPLES,
    "modes": COMMON + _MODES,
    "moduli": COMMON + _MODULI,
    "dipoles": COMMON + _DIPOLES,
}
