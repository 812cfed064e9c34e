"""The stage ``fits``: exponents, tails and size scalings from the tables, with verdicts.

A fit is given only where the ensemble resolves it to the precision asked for; otherwise
the row says ``not resolved`` and how many samples it would take.  The window of the
``w**4`` law ends at the lowest of

* the stated fraction of the first transverse phonon,
* the cutoff ``w_c``, read off the end of the plateau of ``F(w)/w**5`` where our own
  modes show one, otherwise taken from the thesis as a fraction of our Debye frequency,
* the frequency below which every sample is complete.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassmodes.campaign.long_tables import read_modes, read_stiffness
from glassmodes.campaign.paper_values_soft_excitations import (
    CUTOFF_PLACE,
    CUTOFF_RATIO,
    SHEAR_TAIL_EXPONENT,
)
from glassmodes.campaign.products import read_tables, tables_of
from glassmodes.campaign.settings import StatisticsSettings
from glassmodes.campaign.spectral_fits import NOT_RESOLVED, RESOLVED, write_spectral_fits
from glassmodes.campaign.table_files import (
    column,
    estimate_cells,
    read_table,
    unknown_estimate,
    write_table,
)
from glassmodes.observables.shear_statistics import relative_deficit
from glassmodes.statistics.bootstrap import Estimate, bootstrap, ratio
from glassmodes.statistics.power_law import (
    Plateau,
    PowerLawFit,
    find_plateau_end,
    fit_exponent,
    goodness_of_fit,
    values_needed,
)
from glassmodes.statistics.scaling import fit_scaling
from glassmodes.statistics.tails import fit_upper_tail

LAW = 4.0
"""Exponent of the law whose window and resolution are judged."""

INNER_WINDOW = 0.8
"""A fit counts as resolved only if this part of its window gives the same exponent."""

SCAN_POINTS = 40
SCAN_MINIMUM_MODES = 10
TAIL_MINIMUM_SAMPLES = 20
PARTICIPATION_MINIMUM_MODES = 30
DIPOLE_TAIL_FRACTION = 0.01
SHEAR_TAIL_SIGMAS = 2.0


def write_fits(config) -> None:
    """Write those of ``fits/*.csv`` that the campaign has, from its tables."""
    results, there = config.results, set(tables_of(config))
    settings = StatisticsSettings.of(config)
    ensembles = read_table(results, "ensembles")
    exponents, scans = [], []
    for ensemble in ensembles:
        if not ensemble["samples_with_modes"]:
            continue
        modes = read_modes(results, ensemble["ensemble"])
        row, scan = fit_ensemble_exponent(
            ensemble, modes, read_plateau(results, ensemble, settings), settings
        )
        exponents.append(row)
        scans.extend(scan)
    if "exponents" in there:
        write_table(results, "exponents", exponents)
        write_table(results, "exponent_scan", scans)
    if "tails" in there:
        write_table(results, "tails", tail_rows(config, ensembles, settings))
    if "size_scaling" in there:
        windows = {r["ensemble"]: r["window_upper"] for r in exponents}
        write_table(results, "size_scaling", scaling_rows(config, ensembles, windows, settings))
    write_spectral_fits(config)


def read_plateau(results, ensemble: dict[str, Any], settings: StatisticsSettings) -> Plateau:
    """Look for the end of the ``F/w**5`` plateau below the phonons of one ensemble."""
    limit = _phonon_limit(ensemble, settings)
    rows = [
        r
        for r in read_table(results, "cumulative")
        if r["ensemble"] == ensemble["ensemble"] and r["frequency"] <= limit
    ]
    return find_plateau_end(
        column(rows, "frequency"),
        column(rows, "reduced_cumulative"),
        column(rows, "reduced_cumulative_error"),
        column(rows, "modes"),
    )


def _phonon_limit(ensemble: dict[str, Any], settings: StatisticsSettings) -> float:
    phonon = ensemble["first_phonon_frequency"]
    return math.inf if phonon is None else settings.phonon_fraction * phonon


def fit_ensemble_exponent(
    ensemble: dict[str, Any],
    modes: dict[str, NDArray],
    plateau: Plateau,
    settings: StatisticsSettings,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Fit one ensemble: the row of `exponents` and the rows of `exponent_scan`.

    `modes` holds ``frequency`` and ``row`` (number of the sample among those with modes).
    """
    samples = ensemble["samples_with_modes"]
    phonon, complete = _phonon_limit(ensemble, settings), ensemble["complete_below"]
    if plateau.found:
        cutoff, source = plateau.end, "plateau"
    elif ensemble["debye_frequency"] is not None:
        cutoff = CUTOFF_RATIO * ensemble["debye_frequency"]
        source = f"{CUTOFF_RATIO:g} of the Debye frequency (thesis {CUTOFF_PLACE})"
    else:
        cutoff, source = math.inf, "none: no moduli"
    limits = {"phonon": phonon, "cutoff": cutoff, "complete": complete}
    set_by = min(limits, key=lambda k: limits[k])
    upper = limits[set_by]
    w, owner = modes["frequency"], modes["row"]
    ends = [upper, INNER_WINDOW * upper]
    fit = fit_exponent(w, owner, samples, ends, **settings.options)
    used, error = int(fit.used[0]), float(fit.exponent.error[0])
    needed = values_needed(LAW, settings.exponent_precision)
    enough = used >= needed and error <= settings.exponent_precision and _stable(fit)
    factor = needed / max(used, 1)
    if used >= needed:
        factor = max((error / settings.exponent_precision) ** 2, 2.0)
    row = {
        "ensemble": ensemble["ensemble"],
        "group": ensemble["group"],
        "dimension": ensemble["dimension"],
        "particles": ensemble["particles"],
        "samples": samples,
        "window_upper": upper,
        "window_set_by": set_by,
        "phonon_limit": phonon,
        "cutoff": cutoff,
        "cutoff_source": source,
        "plateau": plateau.reason,
        "modes": used,
        "samples_used": int(fit.samples_used[0]),
        **(estimate_cells("exponent", fit.exponent, 0) if enough else unknown_estimate("exponent")),
        "inner_exponent": fit.exponent.value[1] if enough else None,
        "inner_exponent_error": fit.exponent.error[1] if enough else None,
        "goodness": goodness_of_fit(w, upper, seed=settings.seed) if enough else None,
        "verdict": RESOLVED if enough else NOT_RESOLVED,
        "modes_needed": needed,
        "samples_needed": samples if enough else math.ceil(samples * factor),
    }
    return row, list(_scan_rows(ensemble, w, owner, samples, upper, phonon, settings))


def _stable(fit: PowerLawFit) -> bool:
    """Tell whether the second, narrower window agrees with the first within two errors."""
    value, error = fit.exponent.value, fit.exponent.error
    return bool(abs(value[1] - value[0]) <= 2.0 * math.hypot(error[0], error[1]))


def _scan_rows(
    ensemble: dict[str, Any],
    w: NDArray[np.float64],
    owner: NDArray[np.int64],
    samples: int,
    upper: float,
    phonon: float,
    settings: StatisticsSettings,
) -> Iterator[dict[str, Any]]:
    complete = ensemble["complete_below"]
    inside = np.sort(w[w < complete])
    if inside.size < SCAN_MINIMUM_MODES:
        return
    first = inside[SCAN_MINIMUM_MODES - 1] * (1 + 1e-9)
    if not first < complete:
        return
    ends = np.geomspace(first, complete, SCAN_POINTS)
    fit = fit_exponent(w, owner, samples, ends, **settings.options)
    for k, end in enumerate(ends):
        regime = "inside" if end <= upper else "phonons" if end > phonon else "above cutoff"
        yield {
            "ensemble": ensemble["ensemble"],
            "window_upper": end,
            "modes": fit.used[k],
            "samples_used": fit.samples_used[k],
            **estimate_cells("exponent", fit.exponent, k),
            "regime": regime,
        }


def tail_rows(
    config, ensembles: list[dict[str, Any]], settings: StatisticsSettings
) -> Iterator[dict[str, Any]]:
    """Yield the rows of `tails`: soft tails of the shear modulus and the dipole stiffness."""
    moduli = defaultdict(list)
    for r in read_tables(config, ["moduli_by_direction"])["moduli_by_direction"]:
        moduli[r["ensemble"]].append(r)
    for ensemble in ensembles:
        name = ensemble["ensemble"]
        if moduli[name]:
            yield _shear_tail(name, moduli[name], settings)
        if ensemble["samples_with_dipoles"]:
            dipoles = read_stiffness(config.results, name)
            if dipoles["stiffness"].size:
                yield _dipole_tail(name, dipoles, ensemble["samples_with_dipoles"], settings)


def _shear_tail(name: str, rows: list[dict], settings: StatisticsSettings) -> dict[str, Any]:
    values = column(rows, "shear_modulus")
    numbers, owner = np.unique(column(rows, "sample").astype(int), return_inverse=True)
    mean, spread = values.mean(), values.std()
    deficit = relative_deficit(values, mean)
    threshold = SHEAR_TAIL_SIGMAS * spread / abs(mean)
    starts = [threshold, 1.5 * threshold]
    fit = fit_upper_tail(deficit, owner, numbers.size, starts, **settings.options)
    needed = values_needed(SHEAR_TAIL_EXPONENT - 2.0, settings.tail_precision)
    return {
        "ensemble": name,
        "quantity": "shear_modulus",
        "law": "P(y) ~ y^-a, y = (<mu> - mu)/<mu> above the threshold",
        "expected": SHEAR_TAIL_EXPONENT,
        **_tail_cells(fit, numbers.size, needed, settings),
    }


def _dipole_tail(
    name: str, dipoles: dict[str, NDArray], samples: int, settings: StatisticsSettings
) -> dict[str, Any]:
    stiffness = dipoles["stiffness"]
    ends = np.quantile(stiffness, [DIPOLE_TAIL_FRACTION, 0.5 * DIPOLE_TAIL_FRACTION])
    fit = fit_exponent(stiffness, dipoles["row"], samples, ends, **settings.options)
    needed = values_needed(1.5, settings.tail_precision)
    return {
        "ensemble": name,
        "quantity": "dipole_stiffness",
        "law": f"P(kappa) ~ kappa^b below the softest {100 * DIPOLE_TAIL_FRACTION:g} %",
        "expected": None,
        **_tail_cells(fit, samples, needed, settings),
    }


def _tail_cells(
    fit: PowerLawFit, samples: int, needed: int, settings: StatisticsSettings
) -> dict[str, Any]:
    """Cells of one tail: resolved if precise and if a threshold further out agrees."""
    used = int(fit.used[0])
    error, spread = float(fit.exponent.error[0]), int(fit.samples_used[0])
    enough = used >= needed and spread >= TAIL_MINIMUM_SAMPLES
    resolved = enough and error <= settings.tail_precision and _stable(fit)
    if enough:
        factor = max((error / settings.tail_precision) ** 2, 2.0)
    else:
        factor = max(needed / max(used, 1), TAIL_MINIMUM_SAMPLES / max(spread, 1))
    return {
        "samples": samples,
        "threshold": fit.upper[0],
        "values": used,
        "samples_used": int(fit.samples_used[0]),
        **(
            estimate_cells("exponent", fit.exponent, 0)
            if resolved
            else unknown_estimate("exponent")
        ),
        "verdict": RESOLVED if resolved else NOT_RESOLVED,
        "samples_needed": samples if resolved else math.ceil(samples * factor),
    }


def scaling_rows(
    config,
    ensembles: list[dict[str, Any]],
    windows: dict[str, float],
    settings: StatisticsSettings,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of `size_scaling` for every group with at least two sizes.

    `windows` holds the upper end of the window of the soft modes of every ensemble.
    """
    groups = defaultdict(list)
    for e in sorted(ensembles, key=lambda e: e["particles"]):
        groups[e["group"]].append(e)
    shear = {r["ensemble"]: r for r in read_tables(config, ["shear_modulus"])["shear_modulus"]}
    for group, members in groups.items():
        if len({e["particles"] for e in members}) < 2:
            continue
        if all(e["ensemble"] in windows for e in members):
            upper = min(windows[e["ensemble"]] for e in members)
            yield _participation_scaling(config.results, group, members, upper, settings)
        with_moduli = [shear[e["ensemble"]] for e in members if e["ensemble"] in shear]
        if len({r["particles"] for r in with_moduli}) >= 2:
            for quantity, name in (
                ("shear_modulus", "mean"),
                ("disorder_parameter", "disorder_parameter"),
            ):
                yield _scaling_row(
                    group,
                    quantity,
                    with_moduli,
                    column(with_moduli, name),
                    column(with_moduli, f"{name}_error"),
                    [r["draws"] for r in with_moduli],
                    [r["samples"] for r in with_moduli],
                    None,
                    settings,
                )


def _participation_scaling(
    results,
    group: str,
    members: list[dict[str, Any]],
    upper: float,
    settings: StatisticsSettings,
) -> dict[str, Any]:
    """Mean ``N e`` of the soft modes below a window that serves every size of the group."""
    values, errors, counts = [], [], []
    for e in members:
        modes = read_modes(results, e["ensemble"])
        inside = modes["frequency"] < upper
        number = modes["participation_ratio"][inside] * e["particles"]
        mean = _mean_over_modes(number, modes["row"][inside], e["samples_with_modes"], settings)
        values.append(float(mean.value))
        errors.append(float(mean.error))
        counts.append(int(inside.sum()))
    samples = [e["samples_with_modes"] for e in members]
    return _scaling_row(
        group,
        "participation_number",
        members,
        np.array(values),
        np.array(errors),
        counts,
        samples,
        upper,
        settings,
        minimum_count=PARTICIPATION_MINIMUM_MODES,
    )


def _mean_over_modes(
    values: NDArray[np.float64],
    owner: NDArray[np.int64],
    samples: int,
    settings: StatisticsSettings,
) -> Estimate:
    """Mean over modes with the bootstrap over samples; NaN without modes."""
    rows = np.stack(
        [
            np.bincount(owner, weights=values, minlength=samples),
            np.bincount(owner, minlength=samples),
        ],
        axis=1,
    )
    return bootstrap(lambda t: ratio(t[:, 0], t[:, 1]), rows, **settings.options)


def _scaling_row(
    group: str,
    quantity: str,
    members: list[dict[str, Any]],
    values: NDArray[np.float64],
    errors: NDArray[np.float64],
    counts: list[int],
    samples: list[int],
    upper: float | None,
    settings: StatisticsSettings,
    minimum_count: int = 2,
) -> dict[str, Any]:
    """Row of one scaling: resolved if precise, with `minimum_count` values at every size."""
    usable = np.isfinite(values) & (values > 0) & np.isfinite(errors) & (errors > 0)
    sizes = np.array([m["particles"] for m in members])
    slope = error = math.nan
    if usable.all():
        fit = fit_scaling(sizes, values, errors)
        slope, error = fit.slope, fit.error
    resolved = error <= settings.scaling_precision and min(counts) >= minimum_count
    factor = minimum_count / max(min(counts), 1)
    if math.isfinite(error):
        factor = max(factor, (error / settings.scaling_precision) ** 2)
    return {
        "group": group,
        "dimension": members[0]["dimension"],
        "quantity": quantity,
        "ensembles": " ".join(m["ensemble"] for m in members),
        "sizes": " ".join(str(n) for n in sizes),
        "values": " ".join(f"{v:.6g}" for v in values),
        "errors": " ".join(f"{v:.3g}" for v in errors),
        "counts": " ".join(str(c) for c in counts),
        "window_upper": upper,
        "slope": slope if resolved else None,
        "slope_error": error,
        "verdict": RESOLVED if resolved else NOT_RESOLVED,
        "samples_needed": math.ceil(max(factor, 1.0) * min(samples)),
    }
