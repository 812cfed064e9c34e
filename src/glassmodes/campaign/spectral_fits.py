"""The stage ``fits`` for spectral functions: cubic form, exponents of the response, collapse.

Windows come from the regimes of `spectral_curves`, before any curve is looked at.  An
exponent counts as resolved when its window is at least `MINIMUM_DECADES` wide and its
bootstrap error over samples is below `EXPONENT_PRECISION`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassmodes.campaign.collapse_fits import collapse_rows
from glassmodes.campaign.products import tables_of
from glassmodes.campaign.settings import StatisticsSettings
from glassmodes.campaign.spectral_curves import (
    Curves,
    Regimes,
    near_isostatic,
    read_curves,
    state_label,
)
from glassmodes.campaign.table_files import (
    column,
    estimate_cells,
    read_table,
    unknown_estimate,
    write_table,
)
from glassmodes.statistics.bootstrap import Estimate, bootstrap, ratio, samples_needed
from glassmodes.statistics.local_exponents import WindowExponent, decades_of_law, fit_window

RESOLVED, NOT_RESOLVED = "resolved", "not resolved"

MINIMUM_DECADES = 0.5
"""Width below which a window shows no power law."""

EXPONENT_PRECISION = 0.1
"""Largest standard error at which an exponent counts as resolved."""

LAW_TOLERANCE = 0.1
"""Local exponents this close to a single number count as that law."""

CREEP = (-0.75, -0.5)
"""Exponents of G(t) that the paper saw near isostaticity; half a tenth of rounding is granted."""

CREEP_TOLERANCE = 0.05

LATE_TIMES = (2.0, 20.0)
"""Times in units of ``nu / w_min**2`` where mostly modes below the first phonon are left."""

LATE_SAMPLES = 16
"""Samples below which what is left beyond the first phonon is that of one slow sample."""

FITTED_EDGES = (0.6, 1.6, 1001)
"""Range and number of edges tried, in units of the band edge."""


def write_spectral_fits(config) -> None:
    """Write the fits of spectra and viscoelasticity that the campaign has."""
    results, there = config.results, set(tables_of(config))
    options = StatisticsSettings.of(config).options
    if "response_exponents" not in there:
        return
    ensembles = read_table(results, "spectral_ensembles")
    sources = [Source.read(results, e, there) for e in ensembles]
    write_table(
        results, "response_exponents", (r for s in sources for r in exponent_rows(s, options))
    )
    if "cubic_forms" in there:
        rows = (cubic_row(s, options) for s in sources if s.spectra is not None)
        write_table(results, "cubic_forms", rows)
    if "collapse" in there:
        write_table(results, "collapse", collapse_rows(sources, options))


@dataclass(frozen=True)
class Source:
    """One ensemble: its row of `spectral_ensembles`, sample scalars, curves and cubic forms.

    `scalars` holds one number per entry of `samples`; a sample that one analysis refused is
    missing in the curves of that analysis.
    """

    row: dict[str, Any]
    samples: NDArray[np.int64]
    scalars: dict[str, NDArray[np.float64]]
    spectra: Curves | None
    oscillations: Curves | None
    relaxations: Curves | None
    cubic: dict[str, NDArray[np.float64]]

    @property
    def regimes(self) -> Regimes:
        return Regimes.of(self.row)

    def scalars_of(self, curves: Curves) -> dict[str, NDArray[np.float64]]:
        """Return the scalars of the samples that `curves` has, in its order."""
        places = np.searchsorted(self.samples, curves.samples)
        return {name: values[places] for name, values in self.scalars.items()}

    @classmethod
    def read(cls, results, row: dict[str, Any], there: set[str]) -> Source:
        """Read what the campaign has about one ensemble."""
        name = row["ensemble"]

        def curves(table: str, argument: str) -> Curves | None:
            return read_curves(results, table, name, argument) if table in there else None

        samples = [r for r in read_table(results, "spectral_samples") if r["ensemble"] == name]
        scalars = {
            c: column(samples, c)
            for c in (
                "max_frequency",
                "vibrations",
                "number_density",
                "non_affine_force_squared_mean",
                "moment_minus_one",
                "moment_zero",
                "moment_one",
            )
        }
        cubic = {}
        for table, names in _CUBIC.items():
            if table in there:
                rows = [r for r in read_table(results, table) if r["ensemble"] == name]
                cubic.update({c: column(rows, c) for c in names})
        return cls(
            row,
            np.array([r["sample"] for r in samples], dtype=np.int64),
            scalars,
            curves("sample_spectra", "frequency"),
            curves("sample_oscillations", "frequency"),
            curves("sample_relaxations", "time"),
            cubic,
        )


_CUBIC = {
    "spectral_densities": ("cubic_form",),
    "oscillatory_moduli": ("cubic_loss_modulus",),
    "relaxation": ("cubic_decay",),
}


def _identity(source: Source) -> dict[str, Any]:
    names = ("ensemble", "group", "system", "coordination_asked", "dimension", "particles")
    return {**{n: source.row[n] for n in names}, "samples": source.row["samples"]}


@dataclass(frozen=True)
class Law:
    """A power law to look for: where, in which curves, what is expected.

    `bounds` are the local exponents that count as the law between `ends`; None for none.
    Neighbouring points of a spectrum are too close for local exponents: it is `noisy`.
    """

    quantity: str
    window: tuple[float, float]
    grid: NDArray[np.float64]
    curves: NDArray[np.float64]
    cubic: NDArray[np.float64] | None
    expected: float | None
    bounds: tuple[float, float] | None = None
    ends: tuple[float, float] = (0.0, math.inf)
    noisy: bool = False
    minimum_samples: int = 2


def exponent_rows(source: Source, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of `response_exponents` of one ensemble."""
    for law in laws_of(source):
        yield _exponent_row(source, law, options)


def laws_of(source: Source) -> Iterator[Law]:
    """Yield the power laws that the curves of one ensemble can show, with their windows."""
    if source.oscillations is not None:
        yield from _loss_laws(source)
    if source.relaxations is not None:
        yield from _relaxation_laws(source)
    if source.spectra is not None:
        yield from _spectrum_laws(source)


def _around(value: float | None) -> tuple[float, float] | None:
    return None if value is None else (value - LAW_TOLERANCE, value + LAW_TOLERANCE)


def _loss_laws(source: Source) -> Iterator[Law]:
    regimes, curves = source.regimes, source.oscillations
    cubic = source.cubic.get("cubic_loss_modulus")
    slow: float | None = None
    if state_label(source.row):
        slow = 0.5 if near_isostatic(source.row) else 1.0
    common = curves.grid, curves["loss_modulus"], cubic
    yield Law("loss_low", regimes.slow(), *common, slow, _around(slow), regimes.rates)
    yield Law(
        "loss_high",
        regimes.fast(),
        *common,
        -1.0,
        _around(-1.0),
        (regimes.rates[1], regimes.damping),
    )


def _relaxation_laws(source: Source) -> Iterator[Law]:
    regimes, curves = source.regimes, source.relaxations
    network = bool(state_label(source.row))
    near = near_isostatic(source.row)
    bounds = (CREEP[0] - CREEP_TOLERANCE, CREEP[1] + CREEP_TOLERANCE) if network else None
    decay, cubic = curves["decay"], source.cubic.get("cubic_decay")
    times = regimes.times() if network else regimes.glass_times()
    ends = 1.0 / regimes.rates[1], 1.0 / regimes.rates[0]
    phonons = -0.5 * source.row["dimension"]
    expected = -0.5 if near else phonons
    yield Law("decay", times, curves.grid, decay, cubic, expected, bounds, ends)
    if network:
        static = source.row["static_modulus"]
        whole = None if cubic is None or static is None else static + cubic
        modulus = curves["relaxation_modulus"]
        creep = -0.5 if near else None
        yield Law("modulus", times, curves.grid, modulus, whole, creep, bounds, ends)
    else:
        late = LATE_TIMES[0] * ends[1], LATE_TIMES[1] * ends[1]
        yield Law("decay_late", late, curves.grid, decay, cubic, -1.5, minimum_samples=LATE_SAMPLES)


def _spectrum_laws(source: Source) -> Iterator[Law]:
    curves, window = source.spectra, source.regimes.spectrum()
    network, near = bool(state_label(source.row)), near_isostatic(source.row)
    density, product = curves["density"], curves["density_times_correlator"]
    grid = np.maximum(curves.grid, np.finfo(float).tiny)
    plateau = 0.0 if near else source.row["dimension"] - 1.0
    yield Law("density", window, grid, density, None, plateau, noisy=True)
    ratio_curves = np.stack([product, density], axis=1)
    quadratic = 2.0 if network else None
    yield Law("correlator", window, grid, ratio_curves, None, quadratic, noisy=True)
    expected = 2.0 if near else source.row["dimension"] + 1.0
    cubic = source.cubic.get("cubic_form")
    yield Law("density_times_correlator", window, grid, product, cubic, expected, noisy=True)


def _exponent_row(source: Source, law: Law, options: dict[str, Any]) -> dict[str, Any]:
    fit = fit_window(law.grid, law.curves, *law.window, **options)
    error = float(fit.exponent.error)
    wide = fit.decades >= MINIMUM_DECADES
    samples = fit.exponent.samples
    resolved = bool(wide and samples >= law.minimum_samples and error <= EXPONENT_PRECISION)
    needed = samples_needed(samples, error, EXPONENT_PRECISION) if wide else None
    if needed is not None:
        needed = max(needed, law.minimum_samples)
    return {
        **_identity(source),
        "quantity": law.quantity,
        "window_low": fit.low,
        "window_high": fit.high,
        "decades": fit.decades,
        **(estimate_cells("exponent", fit.exponent) if resolved else unknown_estimate("exponent")),
        "smallest_local": None if law.noisy else fit.smallest,
        "largest_local": None if law.noisy else fit.largest,
        "cubic_exponent": _cubic_exponent(law, fit),
        "expected": law.expected,
        **_law_cells(law, options),
        "verdict": RESOLVED if resolved else NOT_RESOLVED,
        "samples_needed": source.row["samples"] if resolved else needed,
    }


def _cubic_exponent(law: Law, fit: WindowExponent) -> float:
    """Slope of the cubic form in the same window: it has no error."""
    if law.cubic is None:
        return math.nan
    cubic = fit_window(law.grid, law.cubic[None], fit.low, fit.high, resamples=0)
    return float(cubic.exponent.value)


def _law_cells(law: Law, options: dict[str, Any]) -> dict[str, Any]:
    """Over how many decades the local exponent keeps to the law, samples and cubic form."""
    cells = {"law_low": None, "law_high": None, "cubic_law_decades": None}
    if law.bounds is None or not law.ends[0] < law.ends[1]:
        return {**cells, **unknown_estimate("law_decades")}
    inside = (law.grid >= law.ends[0]) & (law.grid <= law.ends[1])
    if inside.sum() < 2:
        return {**cells, **unknown_estimate("law_decades")}

    def decades(curves: NDArray[np.float64], **settings) -> Estimate:
        return decades_of_law(law.grid, curves, law.bounds, inside=inside, **settings)

    cubic = math.nan if law.cubic is None else float(decades(law.cubic[None]).value)
    return {
        "law_low": law.bounds[0],
        "law_high": law.bounds[1],
        **estimate_cells("law_decades", decades(law.curves, **options)),
        "cubic_law_decades": cubic,
    }


def cubic_row(source: Source, options: dict[str, Any]) -> dict[str, Any]:
    """Return the row of `cubic_forms` of one ensemble."""
    curves, scalars = source.spectra, source.scalars_of(source.spectra)
    product = curves["density_times_correlator"]
    window = source.regimes.spectrum_start(), float(np.mean(scalars["max_frequency"]))
    inside = (curves.grid >= window[0]) & (curves.grid <= window[1])
    grid, weight = curves.grid[inside], scalars["moment_zero"] / scalars["vibrations"]
    statistic = _cubic_statistic(grid, window[1])
    ones = np.ones_like(weight)
    moments = [scalars[f"moment_{name}"] for name in ("minus_one", "zero", "one")]
    rows = np.column_stack([ones, scalars["max_frequency"], weight, *moments, product[:, inside]])
    names = (
        "edge",
        "deviation",
        "fitted_edge",
        "deviation_fitted",
        "drop_ratio",
        "moment_one_ratio",
    )
    estimate = bootstrap(statistic, rows, **options)
    cells: dict[str, Any] = {}
    for k, name in enumerate(names):
        cells.update(estimate_cells(name, estimate, k))
    return {
        **_identity(source),
        "window_low": window[0],
        "window_high": window[1],
        **cells,
    }


def _cubic_statistic(
    grid: NDArray[np.float64], edge: float
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Return the map from totals to edge, deviations, fitted edge and moment ratios."""
    low, high, number = FITTED_EDGES
    trials = edge * np.linspace(low, high, int(number))
    forms = _unit_forms(grid, trials)
    squares = (forms**2).sum(axis=1)

    def statistic(totals: NDArray[np.float64]) -> NDArray[np.float64]:
        means = totals / totals[:, :1]
        top, weight, static, zero, one = (means[:, k] for k in range(1, 6))
        product = means[:, 6:]
        plain = weight[:, None] * _unit_forms(grid, top)
        misfit = weight[:, None] ** 2 * squares - 2.0 * weight[:, None] * (product @ forms.T)
        best = np.argmin(misfit, axis=1)
        fitted = weight[:, None] * forms[best]
        return np.column_stack(
            [
                top,
                _relative_deviation(product, plain),
                trials[best],
                _relative_deviation(product, fitted),
                ratio(static * top**2, 6.0 * zero),
                ratio(one, 0.4 * top**2 * zero),
            ]
        )

    return statistic


def _unit_forms(grid: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cubic forms of integral 1 for every edge, shape ``(edges, F)``."""
    x = grid[None] / edges[:, None]
    return np.where(x < 1.0, 12.0 * x**2 * (1.0 - x), 0.0) / edges[:, None]


def _relative_deviation(
    product: NDArray[np.float64], form: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.sqrt(ratio(((product - form) ** 2).sum(axis=1), (form**2).sum(axis=1)))
