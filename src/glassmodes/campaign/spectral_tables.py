"""Tables of one ensemble that rest on spectra and viscoelasticity.

Curves share the grids of the configuration, so that every one is averaged over samples
point by point; exponents and ratios are those of the mean curves, with errors from
resampled samples.  The cubic form is that of the mean band edge, <|Xi|^2> and G_A.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassmodes.campaign.ensemble_source import EnsembleSource
from glassmodes.campaign.spectral_records import (
    STRUCTURE,
    SpectralRecords,
    read_analysis,
    read_structure,
)
from glassmodes.campaign.table_files import estimate_cells, unknown_estimate
from glassmodes.campaign.table_schema import TABLES
from glassmodes.observables.cubic_form import CubicForm
from glassmodes.observables.debye import first_transverse_phonon
from glassmodes.observables.lattice_theory import SPRING_LATTICES
from glassmodes.statistics.bootstrap import Estimate, bootstrap, mean_estimate, ratio
from glassmodes.statistics.local_exponents import local_exponents

_FROM_SPECTRA = (
    "zero_modes",
    "zero_modes_error",
    "vibrations",
    "moment_minus_one",
    "moment_zero",
    "moment_one",
    "products",
)
_FROM_VISCOELASTICITY = (
    "number_density",
    "affine_modulus",
    "static_modulus",
    "steps",
    "error",
)
_FROM_EITHER = ("max_frequency", "non_affine_force_squared_mean")
_MOMENTS = ("moment_minus_one", "moment_zero", "moment_one")


@dataclass
class SpectralSource:
    """Records and structure of one ensemble; `scalars` joins them sample by sample.

    Attributes
    ----------
    index : (S,)
        Samples with at least one of the two analyses.
    scalars : dict of (S,)
        Columns of `spectral_samples`; NaN where unknown.
    """

    source: EnsembleSource
    spectra: SpectralRecords
    viscoelasticity: SpectralRecords
    structure: dict[int, dict[str, float]]
    index: NDArray[np.int64]
    scalars: dict[str, NDArray[np.float64]]

    @property
    def samples(self) -> int:
        return self.index.size

    def mean(self, name: str, **options) -> dict[str, Any]:
        """Return the four cells of a mean over samples."""
        return _mean_cells(name, self.scalars[name], options)

    def average(self, name: str) -> float:
        """Return a mean over samples, NaN without any."""
        values = self.scalars[name]
        known = values[np.isfinite(values)]
        return float(known.mean()) if known.size else math.nan


def read_spectral(source: EnsembleSource) -> SpectralSource:
    """Gather everything the spectral tables need of an ensemble."""
    spectra, moduli = (read_analysis(source, name) for name in ("spectra", "viscoelasticity"))
    structure = read_structure(source)
    index = np.union1d(spectra.index, moduli.index).astype(np.int64)
    scalars = {name: np.full(index.size, np.nan) for name in STRUCTURE}
    for k, sample in enumerate(index):
        for name in STRUCTURE:
            scalars[name][k] = structure[int(sample)][name]
    for names, records in (
        (_FROM_SPECTRA, (spectra,)),
        (_FROM_VISCOELASTICITY, (moduli,)),
        (_FROM_EITHER, (moduli, spectra)),
    ):
        for name in names:
            scalars[name] = _joined(name, index, *records)
    return SpectralSource(source, spectra, moduli, structure, index, scalars)


def _joined(name: str, index: NDArray, *records: SpectralRecords) -> NDArray[np.float64]:
    """Return a scalar by sample; the last of `records` that has it counts."""
    values = np.full(index.size, np.nan)
    for record in records:
        values[np.searchsorted(index, record.index)] = record.scalars[name]
    return values


def _mean_cells(name: str, values: NDArray, options: dict[str, Any]) -> dict[str, Any]:
    if not np.isfinite(values).any():
        return unknown_estimate(name)
    return estimate_cells(name, mean_estimate(values, **options))


def sample_rows(gathered: SpectralSource) -> Iterator[dict[str, Any]]:
    """Yield the rows of `spectral_samples`."""
    for k, index in enumerate(gathered.index):
        row = gathered.spectra.row(int(index))
        methods = gathered.spectra.texts["zero_modes_method"]
        yield {
            "ensemble": gathered.source.name,
            "sample": index,
            **{name: values[k] for name, values in gathered.scalars.items()},
            "zero_modes_method": "" if row is None else methods[row],
        }


def ensemble_row(gathered: SpectralSource, options: dict[str, Any]) -> dict[str, Any]:
    """Return the row of `spectral_ensembles`."""
    particles = gathered.source.particles
    cells = {}
    for name in _MOMENTS:
        cells |= _mean_cells(name, gathered.scalars[name] / particles, options)
    for name in ("coordination", "vibrations", "affine_modulus", "static_modulus", *_FROM_EITHER):
        cells |= gathered.mean(name, **options)
    resolution = gathered.spectra.scalars["resolution"]
    damping = gathered.viscoelasticity.scalars["damping"]
    return {
        **_identity(gathered),
        "resolution": resolution[0] if resolution.size else None,
        "damping": damping[0] if damping.size else None,
        **_zero_mode_fraction(gathered, options),
        **cells,
    }


def network_row(gathered: SpectralSource, options: dict[str, Any]) -> dict[str, Any]:
    """Return the row of `networks`: structure, moduli, and what closed forms expect."""
    cells = {}
    for name in ("coordination", "bond_order"):
        values = np.array([sample[name] for sample in gathered.structure.values()])
        cells |= _mean_cells(name, values, options)
    for name in ("affine_modulus", "static_modulus", *_FROM_EITHER):
        cells |= gathered.mean(name, **options)
    return {
        **_identity(gathered),
        "samples": len(gathered.structure),
        **{
            name: _structure_mean(gathered, name)
            for name in ("coordination_deviation", "largest_cluster", "crystal_order")
        },
        **_zero_mode_fraction(gathered, options),
        **cells,
        **_expected(gathered),
    }


def _identity(gathered: SpectralSource) -> dict[str, Any]:
    source = gathered.source
    return {
        "ensemble": source.name,
        "title": source.title,
        "group": source.group,
        "system": source.protocol,
        "coordination_asked": source.coordination_asked,
        "dimension": source.dimension,
        "particles": source.particles,
        "density": source.density,
        "samples": gathered.samples,
    }


def _zero_mode_fraction(gathered: SpectralSource, options: dict[str, Any]) -> dict[str, Any]:
    source = gathered.source
    values = gathered.scalars["zero_modes"] / (source.dimension * source.particles)
    return _mean_cells("zero_mode_fraction", values, options)


def _structure_mean(gathered: SpectralSource, name: str) -> float | None:
    values = np.array([sample[name] for sample in gathered.structure.values()])
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def _expected(gathered: SpectralSource) -> dict[str, Any]:
    """Return the closed forms of a lattice, None for other networks."""
    names = ("expected_force_squared", "expected_affine_modulus", "effective_medium_modulus")
    source = gathered.source
    coordination = _structure_mean(gathered, "coordination")
    deviation = _structure_mean(gathered, "coordination_deviation")
    if source.lattice is None or coordination is None or deviation is None:
        return dict.fromkeys(names)
    lattice, k = SPRING_LATTICES[source.lattice], source.stiffness
    medium = None
    if source.protocol == "bond_depleted_lattice":
        medium = lattice.effective_medium_modulus(coordination, k)
    return {
        "expected_force_squared": lattice.force_squared(coordination, deviation, k),
        "expected_affine_modulus": lattice.affine_modulus(coordination, source.density, k),
        "effective_medium_modulus": medium,
    }


def density_rows(gathered: SpectralSource, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of `spectral_densities`."""
    spectra = gathered.spectra
    if not spectra.samples:
        return
    w, curves, scalars = spectra.grids["frequency"], spectra.curves, spectra.scalars
    product = curves["density_times_correlator"]
    force = np.broadcast_to(scalars["non_affine_force_squared_mean"][:, None], product.shape)
    density = mean_estimate(curves["density"], **options)
    weighted = mean_estimate(product, **options)
    correlator = _ratio_estimate(product, curves["density"], options)
    reduced = _ratio_estimate(product, force, options).scaled(gathered.source.density)
    edge = float(scalars["max_frequency"].mean())
    form = CubicForm(edge, float((scalars["moment_zero"] / scalars["vibrations"]).mean()))
    cubic = form.density(w)
    inside = w <= edge
    for k, frequency in enumerate(w):
        yield {
            "ensemble": gathered.source.name,
            "frequency": frequency,
            "samples": spectra.samples,
            **estimate_cells("density", density, k),
            **(
                estimate_cells("correlator", correlator, k)
                if inside[k]
                else unknown_estimate("correlator")
            ),
            **estimate_cells("density_times_correlator", weighted, k),
            **estimate_cells("reduced_product", reduced, k),
            "cubic_form": cubic[k],
        }


def oscillation_rows(gathered: SpectralSource, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of `oscillatory_moduli`."""
    moduli = gathered.viscoelasticity
    if not moduli.samples:
        return
    w, damping = moduli.grids["frequency"], float(moduli.scalars["damping"][0])
    storage = mean_estimate(moduli.curves["storage_modulus"], **options)
    loss = mean_estimate(moduli.curves["loss_modulus"], **options)
    exponent = _exponent_estimate(w, moduli.curves["loss_modulus"], options)
    form = _mean_form(gathered)
    cubic = form.complex_modulus(w, damping)
    cubic_exponent = local_exponents(w, cubic.imag)
    low, high = slow_window(gathered)
    for k, frequency in enumerate(w):
        yield {
            "ensemble": gathered.source.name,
            "frequency": frequency,
            "samples": moduli.samples,
            **estimate_cells("storage_modulus", storage, k),
            **estimate_cells("loss_modulus", loss, k),
            **estimate_cells("loss_exponent", exponent, k),
            "cubic_storage_modulus": cubic.real[k],
            "cubic_loss_modulus": cubic.imag[k],
            "cubic_loss_exponent": cubic_exponent[k],
            "inside_window": low < frequency < high,
        }


def relaxation_rows(gathered: SpectralSource, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of `relaxation`; no exponent where the decay is below the solver's error."""
    moduli = gathered.viscoelasticity
    if not moduli.samples:
        return
    t, damping = moduli.grids["time"], float(moduli.scalars["damping"][0])
    names = ("relaxation_modulus", "decay", "overdamped_decay")
    means = {name: mean_estimate(moduli.curves[name], **options) for name in names}
    exponents = {
        "decay_exponent": _exponent_estimate(t, moduli.curves["decay"], options),
        "modulus_exponent": _exponent_estimate(t, moduli.curves["relaxation_modulus"], options),
    }
    resolved = {
        "decay_exponent": means["decay"].value > moduli.scalars["error"].mean(),
        "modulus_exponent": np.ones(t.size, dtype=bool),
    }
    form = _mean_form(gathered)
    cubic = form.relaxation(t, damping) - form.static_modulus
    cubic_exponent = local_exponents(t, cubic)
    low, high = slow_window(gathered)
    for k, time in enumerate(t):
        yield {
            "ensemble": gathered.source.name,
            "time": time,
            "samples": moduli.samples,
            **{c: v for name, e in means.items() for c, v in estimate_cells(name, e, k).items()},
            **{
                c: v if resolved[name][k] else None
                for name, e in exponents.items()
                for c, v in estimate_cells(name, e, k).items()
            },
            "cubic_decay": cubic[k],
            "cubic_exponent": cubic_exponent[k],
            "inside_window": low < 1.0 / time < high,
        }


def slow_window(gathered: SpectralSource) -> tuple[float, float]:
    """Return w_min^2/nu and w_D^2/nu of the means; NaN, without a window, if G is not positive."""
    source, moduli = gathered.source, gathered.viscoelasticity
    static, edge = gathered.average("static_modulus"), gathered.average("max_frequency")
    damping = float(moduli.scalars["damping"][0])
    mass_density = _structure_mean(gathered, "mass_density")
    if not static > 0 or mass_density is None:
        return math.nan, math.nan
    phonon = first_transverse_phonon(
        static, mass_density, source.volume ** (1.0 / source.dimension)
    )
    return phonon**2 / damping, edge**2 / damping


def _mean_form(gathered: SpectralSource) -> CubicForm:
    """Return the cubic form of the mean edge, weight per volume and affine modulus."""
    scalars = gathered.viscoelasticity.scalars
    mass_density = _structure_mean(gathered, "mass_density")
    assert mass_density is not None
    # Per volume, Xi.M^-1.Xi is N <|Xi|^2> over the mass; exact if all masses are equal.
    number = float(scalars["number_density"].mean())
    weight = float(scalars["non_affine_force_squared_mean"].mean()) * number**2 / mass_density
    edge, affine = (float(scalars[n].mean()) for n in ("max_frequency", "affine_modulus"))
    return CubicForm(edge, weight, volume=1.0, affine=affine)


def _ratio_estimate(top: NDArray, bottom: NDArray, options: dict[str, Any]) -> Estimate:
    """Ratio of the means of two curves per sample, ``(S, F)`` each."""
    rows = np.stack([top, bottom], axis=1)
    return bootstrap(lambda t: ratio(t[:, 0], t[:, 1]), rows, **options)


def _exponent_estimate(
    grid: NDArray[np.float64], curves: NDArray[np.float64], options: dict[str, Any]
) -> Estimate:
    """Local exponent of the mean curve; the sum will do, the logarithm drops its factor."""
    return bootstrap(lambda t: local_exponents(grid, t), curves, **options)


def spectrum_columns(gathered: SpectralSource) -> dict[str, Any]:
    """Return the columns of `sample_spectra`."""
    return _long_columns(gathered, gathered.spectra, "frequency", "sample_spectra")


def oscillation_columns(gathered: SpectralSource) -> dict[str, Any]:
    """Return the columns of `sample_oscillations`."""
    return _long_columns(gathered, gathered.viscoelasticity, "frequency", "sample_oscillations")


def relaxation_columns(gathered: SpectralSource) -> dict[str, Any]:
    """Return the columns of `sample_relaxations`."""
    return _long_columns(gathered, gathered.viscoelasticity, "time", "sample_relaxations")


def _long_columns(
    gathered: SpectralSource, records: SpectralRecords, grid: str, table: str
) -> dict[str, Any]:
    """Return one row per sample and grid point, sample by sample."""
    points, samples = records.grids[grid].size, records.samples
    names = [n for n in TABLES[table].names if n not in ("ensemble", "sample", grid)]
    return {
        "ensemble": [gathered.source.name] * (samples * points),
        "sample": np.repeat(records.index, points),
        grid: np.tile(records.grids[grid], samples),
        **{name: records.curves[name].reshape(-1) for name in names},
    }
