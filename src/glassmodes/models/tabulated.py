"""A potential given by tables of numbers, one table per pair of species."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from glassmodes.errors import InputError, nearest
from glassmodes.files import check_input
from glassmodes.models.potential import PairPotential, power

DEGREE = 5
_KEYS = ("pair", "r", "phi", "dphi")


class TabulatedPotential(PairPotential):
    """phi(r) interpolated between the rows of tables.

    Parameters
    ----------
    tables : list of mappings
        One for each pair of species, with the keys ``pair`` (two labels), ``r``
        (ascending distances), ``phi`` (energies) and, optionally, ``dphi``
        (dphi/dr).  The last distance is the cutoff.  In a model file ``file``
        names a text file with the columns r, phi and optionally dphi instead.

    Raises
    ------
    InputError
        A pair of species without a table, too few rows, distances that do not
        ascend, or a column dphi that is not the derivative of phi.

    Notes
    -----
    Without ``dphi`` phi is the interpolating spline of degree 5; with it the
    spline of degree 5 goes through dphi, which is more accurate for forces, and
    phi is its integral from the cutoff.  Either way phi has four continuous
    derivatives inside the table.  Each derivative loses about one power of the
    spacing in accuracy: compare with twice the rows before trusting the third
    and fourth.  The energy is used as given: end the table at phi = 0, or energy
    and force jump at the cutoff.  Below the first row phi continues as a parabola.
    """

    def __init__(self, *, tables: list[Mapping[str, Any]]) -> None:
        if not isinstance(tables, list | tuple) or not tables:
            raise InputError("the constant tables is a list with one table per pair of species")
        columns: dict[tuple[int, int], dict[str, np.ndarray]] = {}
        for table in tables:
            pair, content = _read_table(table)
            if pair in columns:
                raise InputError(f"two tables are given for the pair of species {list(pair)}")
            columns[pair] = content
        species = 1 + max(max(pair) for pair in columns)
        cutoffs = np.empty((species, species))
        for i in range(species):
            for j in range(i, species):
                if (i, j) not in columns:
                    raise InputError(f"no table is given for the pair of species [{i}, {j}]")
                cutoffs[i, j] = cutoffs[j, i] = columns[i, j]["r"][-1]
        super().__init__(lengths=1.0, energies=1.0, cutoffs=cutoffs)
        self.tables = [
            {"pair": list(pair)} | {name: column.tolist() for name, column in content.items()}
            for pair, content in sorted(columns.items())
        ]
        self._curves = {pair: _Curve(pair, content) for pair, content in columns.items()}

    @classmethod
    def load_files(cls, constants: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Return the constants with each ``file`` replaced by the columns it holds."""
        tables = constants.get("tables")
        if not isinstance(tables, list):
            return dict(constants)
        return dict(constants) | {"tables": [_load_columns(t, folder) for t in tables]}

    @property
    def forms(self) -> np.ndarray:
        """One label per table, (S, S) int."""
        upper = {pair: label for label, pair in enumerate(sorted(self._curves))}
        s = range(self.n_species)
        return np.array([[upper[min(i, j), max(i, j)] for j in s] for i in s])

    def radial(self, x: np.ndarray, cutoff: np.ndarray, order: int) -> np.ndarray:
        """Return the derivatives of the only table; several tables need `reduced`."""
        if self.n_species > 1:
            raise InputError("a table for several species has no common radial function")
        return self._curves[0, 0](x, order)

    def _radial_of_species(self, x, cutoff, species_i, species_j, order) -> np.ndarray:
        values = np.empty((order + 1, len(x)))
        for pair, curve in self._curves.items():
            here = (np.minimum(species_i, species_j) == pair[0]) & (
                np.maximum(species_i, species_j) == pair[1]
            )
            if here.any():
                values[:, here] = curve(x[here], order)
        return values


class _Curve:
    """One table as a spline, and a parabola below its first row."""

    def __init__(self, pair: tuple[int, int], columns: dict[str, np.ndarray]) -> None:
        # Only tables need scipy.interpolate, and every job of a campaign would load it.
        from scipy.interpolate import BSpline, make_interp_spline

        r, phi = columns["r"], columns["phi"]
        if "dphi" in columns:
            integral = make_interp_spline(r, columns["dphi"], k=DEGREE).antiderivative()
            self.spline = BSpline(integral.t, integral.c + phi[-1] - integral(r[-1]), integral.k)
            error = np.abs(self.spline(r) - phi).max()
            if error > 1e-2 * np.ptp(phi):
                raise InputError(
                    f"the table of the pair {list(pair)}: dphi is not the derivative of phi "
                    f"(its integral is off by {error:.3g}); dphi is dphi/dr, not the force"
                )
        else:
            self.spline = make_interp_spline(r, phi, k=DEGREE)
        self.start = r[0]
        self.parabola = [float(self.spline.derivative(k)(r[0])) for k in range(3)]

    def __call__(self, r: np.ndarray, order: int) -> np.ndarray:
        values = np.array([self.spline(r, nu=k) for k in range(order + 1)])
        below = r < self.start
        if below.any():
            step = r[below] - self.start
            values[:, below] = sum(
                c / (1 if k < 2 else 2) * power(step, k, order) for k, c in enumerate(self.parabola)
            )
        return values


def _read_table(table: Any) -> tuple[tuple[int, int], dict[str, np.ndarray]]:
    if not isinstance(table, Mapping):
        raise InputError(f"a table is a mapping with the keys {', '.join(_KEYS)}")
    for key in table:
        if key not in _KEYS:
            raise InputError(
                f"unknown key {key!r} in a table; known are {', '.join(_KEYS)}"
                + nearest(key, _KEYS)
            )
    for key in _KEYS[:3]:
        if key not in table:
            raise InputError(f"a table lacks the key {key!r}")
    pair = table["pair"]
    if not (
        isinstance(pair, list | tuple)
        and len(pair) == 2
        and all(isinstance(s, int) and 0 <= s < 1000 for s in pair)
    ):
        raise InputError(f"a table is for the pair {pair!r}; expected two species labels")
    columns = {}
    for name in _KEYS[1:]:
        if name not in table:
            continue
        try:
            columns[name] = np.array(table[name], dtype=np.float64)
        except (TypeError, ValueError):
            raise InputError(f"the column {name} of the table {pair} is not numbers") from None
    r = columns["r"]
    for name, column in columns.items():
        if column.shape != (len(np.atleast_1d(r)),) or not np.all(np.isfinite(column)):
            raise InputError(
                f"the column {name} of the table {pair} has shape {column.shape} or holds NaN; "
                "expected as many finite numbers as distances"
            )
    if len(r) < 2 * (DEGREE + 1):
        raise InputError(f"the table {pair} has {len(r)} rows; expected {2 * (DEGREE + 1)} or more")
    if r[0] <= 0 or np.any(np.diff(r) <= 0):
        raise InputError(f"the distances of the table {pair} must be positive and ascend")
    return (min(pair), max(pair)), columns


def _load_columns(table: Any, folder: Path) -> Any:
    if not isinstance(table, Mapping) or "file" not in table:
        return table
    source = check_input(folder / str(table["file"]))
    try:
        with source.open(encoding="utf-8") as file:  # numpy would unpack or download by the name
            numbers = np.loadtxt(file, ndmin=2)
    except Exception as error:  # loadtxt reports bad text with several exception types
        raise InputError(f"{source} is not a table of numbers: {error}") from error
    if numbers.shape[1] not in (2, 3):
        raise InputError(f"{source} has {numbers.shape[1]} columns; expected r, phi and maybe dphi")
    columns = dict(zip(_KEYS[1:], numbers.T, strict=False))
    rest = {key: value for key, value in table.items() if key != "file"}
    return rest | {name: column.tolist() for name, column in columns.items()}
