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
TIME = "length sqrt(mass/energy)"
WEIGHT = "energy^2/(mass length^2)"
"""Of a squared overlap of the non-affine force with a mass-weighted mode."""

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
        The column exists only if a record has it: a setting asks for it, or the samples
        are such that it means something.
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
    # Of networks alone, so that files of glasses stay as they were.
    _number("coordination", "1", optional=True),
    _number("coordination_deviation", "1", optional=True),
    _number("bond_order", "1", optional=True),
    _number("largest_cluster", "1", optional=True),
)

_MODES = (
    _number("frequency", FREQUENCY, ragged=True),
    _number("participation_ratio", "1", ragged=True),
    _number("residual", "1", ragged=True),
    _number("vectors", "1", "N", "d", ragged=True, optional=True),
    _integer("zero_modes"),
    _integer("rattlers", optional=True),
    RecordColumn("certified", "flag"),
    RecordColumn("certificate", "text"),
    _number("modes_counted", "1"),
    _number("modes_counted_error", "1"),
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
    _integer("rattlers", optional=True),
)

_DIPOLES = (
    _integer("pair", 2, ragged=True),
    _number("stiffness", "energy/length^2", ragged=True),
    _number("residual", "1", ragged=True),
)

_SPECTRA = (
    _number("frequency", FREQUENCY, ragged=True),
    _number("density", "1/frequency", ragged=True),
    _number("density_error", "1/frequency", ragged=True),
    _number("density_times_correlator", f"{WEIGHT}/frequency", ragged=True),
    _number("correlator", WEIGHT, ragged=True),
    _number("zero_modes", "1"),
    _number("zero_modes_error", "1"),
    RecordColumn("zero_modes_method", "text"),
    _number("vibrations", "1"),
    _number("max_frequency", FREQUENCY),
    _number("non_affine_force_squared_mean", "(energy/length)^2"),
    _number("moment_minus_one", "energy"),
    _number("moment_zero", WEIGHT),
    _number("moment_one", f"{WEIGHT} frequency^2"),
    _number("resolution", FREQUENCY),
    _integer("vectors"),
    _integer("products"),
)

_VISCOELASTICITY = (
    _number("frequency", FREQUENCY, ragged=True),
    _number("storage_modulus", MODULUS, ragged=True),
    _number("loss_modulus", MODULUS, ragged=True),
    _number("time", TIME, ragged=True),
    _number("relaxation_modulus", MODULUS, ragged=True),
    _number("decay", MODULUS, ragged=True),
    _number("overdamped_decay", MODULUS, ragged=True),
    _number("affine_modulus", MODULUS),
    _number("static_modulus", MODULUS),
    _number("non_affine_force_squared_mean", "(energy/length)^2"),
    _number("max_frequency", FREQUENCY),
    _number("number_density", "1/length^d"),
    _number("damping", "1/time"),
    _number("error", MODULUS),
    _integer("steps"),
)

_WINDOWS = (
    _integer("slice"),
    _number("frequency", FREQUENCY, ragged=True),
    _number("participation_ratio", "1", ragged=True),
    _number("residual", "1", ragged=True),
    _number("complete_above", FREQUENCY),
    _number("complete_below", FREQUENCY),
    _number("modes_expected", "1"),
    _number("modes_expected_error", "1"),
    _integer("modes_counted"),
    RecordColumn("certificate", "text"),
    RecordColumn("certified", "flag"),
    _integer("products"),
)

#: Columns by the name of the records; ``samples`` are those of the stage prepare.
SCHEMAS: dict[str, tuple[RecordColumn, ...]] = {
    "samples": COMMON + _SAMPLES,
    "modes": COMMON + _MODES,
    "moduli": COMMON + _MODULI,
    "dipoles": COMMON + _DIPOLES,
    "spectra": COMMON + _SPECTRA,
    "viscoelasticity": COMMON + _VISCOELASTICITY,
    "windows": COMMON + _WINDOWS,
}
