"""Curves of single samples, read back from the long tables, and the regimes they show.

Symbols: ``w_D`` band edge, ``w_min = 2 pi c_T / L`` first transverse phonon with
``c_T = sqrt(G / rho)`` (unit masses), ``nu`` damping.  In the overdamped regime a mode of
frequency w relaxes at the rate ``w**2 / nu``: the spectrum between ``w_min`` and ``w_D``
shows between ``w_min**2 / nu`` and ``w_D**2 / nu`` in frequency, and between the inverse
times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from glassmodes.campaign.table_files import table_path
from glassmodes.errors import InputError

ABOVE_PHONON = 3.0
"""Factor of W over ``w_min**2 / nu``: the Lorentzian of a rate forgets slower ones squared."""

BELOW_EDGE = 100.0
"""Factor of ``w_D**2 / nu`` over W: the band ends as w / w_D, a tenth here."""

BEFORE_PHONON = 10.0
"""Factor of ``nu / w_min**2`` over t.  A sharp gap in the place of the phonons would steepen
``t**(-1/2)`` by 0.25 at the end of this window, by 0.06 at a hundredth: compare sizes."""

FAR = 10.0
"""Factor above the band, ``w_D**2 / nu << W << nu``."""

GLASS_CUTOFF = 0.05
"""Quasilocalised modes of a glass keep to their law below this part of the band edge (the
thesis on soft excitations finds 0.05 of the Debye frequency)."""

SPECTRUM_FROM_PHONON = 2.0
SPECTRUM_FROM_RESOLUTION = 3.0
"""Spectra are read above this many first phonons and widths of the broadening."""

LOW_FREQUENCY = 0.25
"""Low frequencies of spectra end at this part of the band edge."""

NEAR_ISOSTATIC = 0.15
"""Networks with Z within this of 2 d carry the paper's label Z = 6."""


@dataclass(frozen=True)
class Curves:
    """Curves of one ensemble: `grid` ``(F,)``, arrays ``(S, F)`` by name, numbers of `samples`."""

    grid: NDArray[np.float64]
    values: dict[str, NDArray[np.float64]]
    samples: NDArray[np.int64]

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        return self.values[name]


def read_curves(results: str | Path, table: str, ensemble: str, argument: str) -> Curves | None:
    """Read all curves of one ensemble from a long table; None if it has none.

    Raises
    ------
    InputError
        If the table is missing or its samples do not share one grid of `argument`.
    """
    path = table_path(results, table)
    if not path.is_file():
        raise InputError(f"{path}: the table is missing; run the stage tables")
    data = pq.read_table(path, filters=[("ensemble", "=", ensemble)])
    if data.num_rows == 0:
        return None
    numbers = data.column("sample").to_numpy()
    samples = np.unique(numbers).size
    columns = {
        name: data.column(name).to_numpy().astype(np.float64)
        for name in data.column_names
        if name not in ("ensemble", "sample")
    }
    grids = columns.pop(argument)
    if grids.size % samples or np.ptp(grids.reshape(samples, -1), axis=0).any():
        raise InputError(f"{path}: the samples of {ensemble} do not share one grid")
    shaped = {name: c.reshape(samples, -1) for name, c in columns.items()}
    return Curves(grids.reshape(samples, -1)[0], shaped, numbers.reshape(samples, -1)[:, 0])


@dataclass(frozen=True)
class Regimes:
    """Frequencies that bound the regimes of one ensemble; NaN where G is not positive."""

    first_phonon: float
    edge: float
    damping: float
    resolution: float

    @classmethod
    def of(cls, ensemble: dict[str, Any]) -> Regimes:
        """Take them from a row of `spectral_ensembles`."""
        return cls(
            first_phonon(ensemble),
            _number(ensemble["max_frequency"]),
            _number(ensemble["damping"]),
            _number(ensemble["resolution"]),
        )

    @property
    def rates(self) -> tuple[float, float]:
        """Slowest and fastest relaxation, ``w_min**2 / nu`` and ``w_D**2 / nu``."""
        return self.first_phonon**2 / self.damping, self.edge**2 / self.damping

    def slow(self) -> tuple[float, float]:
        """Frequencies W inside ``w_min**2 / nu << W << w_D**2 / nu``."""
        low, high = self.rates
        return ABOVE_PHONON * low, high / BELOW_EDGE

    def fast(self) -> tuple[float, float]:
        """Frequencies W inside ``w_D**2 / nu << W << nu``."""
        return FAR * self.rates[1], self.damping / FAR

    def times(self) -> tuple[float, float]:
        """Times inside ``nu / w_D**2 << t << nu / w_min**2``."""
        low, high = self.rates
        return BELOW_EDGE / high, 1.0 / (BEFORE_PHONON * low)

    def glass_times(self) -> tuple[float, float]:
        """Times at which a glass is left with its phonons and quasilocalised modes."""
        low, high = self.rates
        return 1.0 / (GLASS_CUTOFF**2 * high), 1.0 / (ABOVE_PHONON * low)

    def spectrum(self) -> tuple[float, float]:
        """Low frequencies w of the spectra: above phonons and broadening, below the band."""
        return self.spectrum_start(), LOW_FREQUENCY * self.edge

    def spectrum_start(self) -> float:
        """Lowest frequency at which spectra are read."""
        limits = (
            SPECTRUM_FROM_PHONON * self.first_phonon,
            SPECTRUM_FROM_RESOLUTION * self.resolution,
        )
        return max((limit for limit in limits if not math.isnan(limit)), default=math.nan)


def first_phonon(ensemble: dict[str, Any]) -> float:
    """``2 pi sqrt(G / rho) / L`` of a row of `spectral_ensembles`; NaN if G is not positive."""
    modulus, density = _number(ensemble["static_modulus"]), ensemble["density"]
    if not modulus > 0:
        return math.nan
    length = (ensemble["particles"] / density) ** (1.0 / ensemble["dimension"])
    return 2.0 * math.pi * math.sqrt(modulus / density) / length


def state_label(ensemble: dict[str, Any]) -> str:
    """Return the paper's label of a network's coordination; empty for glasses."""
    coordination = ensemble["coordination_asked"]
    if coordination is None:
        return ""
    isostatic = 2 * ensemble["dimension"]
    if abs(coordination - isostatic) <= NEAR_ISOSTATIC:
        return f"Z near {isostatic}"
    return f"Z = {coordination:g}"


def near_isostatic(ensemble: dict[str, Any]) -> bool:
    """Tell whether a network belongs to the state point near isostaticity."""
    return state_label(ensemble).startswith("Z near")


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
