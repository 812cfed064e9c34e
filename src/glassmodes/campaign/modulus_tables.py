"""Tables of one ensemble that rest on moduli and on dipole responses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassmodes.campaign.ensemble_source import Block, EnsembleSource
from glassmodes.campaign.table_files import estimate_cells
from glassmodes.campaign.table_schema import TABLES
from glassmodes.observables.debye import debye_frequency, first_transverse_phonon
from glassmodes.observables.dipole_statistics import summarise_stiffness
from glassmodes.observables.shear_statistics import (
    direction_names,
    disorder_parameter,
    relative_deficit,
    shear_moments,
    single_directions,
)
from glassmodes.statistics.bootstrap import Estimate, bootstrap, mean_estimate, ratio
from glassmodes.statistics.distributions import (
    density_histogram,
    geometric_centres,
    linear_edges,
    logarithmic_edges,
)

MODULI = [c.name for c in TABLES["moduli"].columns if c.kind == "number"]
DIPOLE_BINS_PER_DECADE = 8


@dataclass
class Moduli:
    """Moduli of all accepted samples: scalars ``(S,)``, by direction ``(S, d, d)``."""

    index: NDArray[np.int64]
    scalars: dict[str, NDArray[np.float64]]
    shear: NDArray[np.float64]
    born: NDArray[np.float64]

    @property
    def samples(self) -> int:
        return self.index.size


def read_moduli(source: EnsembleSource) -> Moduli:
    """Gather the moduli of an ensemble: a few dozen numbers per sample."""
    d = source.dimension
    index, shear, born = [np.empty(0, np.int64)], [np.empty((0, d, d))], [np.empty((0, d, d))]
    scalars: dict[str, list] = {name: [np.empty(0)] for name in MODULI}
    for block in source.blocks("moduli"):
        ok = block.accepted
        index.append(block.array("index")[ok].astype(np.int64))
        shear.append(block.array("shear_modulus_by_direction")[ok])
        born.append(block.array("born_shear_modulus_by_direction")[ok])
        for name in MODULI:
            scalars[name].append(np.asarray(block.array(name)[ok], dtype=np.float64))
    return Moduli(
        np.concatenate(index),
        {name: np.concatenate(parts) for name, parts in scalars.items()},
        np.concatenate(shear),
        np.concatenate(born),
    )


def moduli_rows(source: EnsembleSource, moduli: Moduli) -> Iterator[dict[str, Any]]:
    """Yield the rows of `moduli`."""
    for k, index in enumerate(moduli.index):
        yield {
            "ensemble": source.name,
            "sample": index,
            **{name: values[k] for name, values in moduli.scalars.items()},
        }


def direction_rows(source: EnsembleSource, moduli: Moduli) -> Iterator[dict[str, Any]]:
    """Yield the rows of `moduli_by_direction`."""
    names = direction_names(source.dimension)
    shear, born = single_directions(moduli.shear), single_directions(moduli.born)
    for k, index in enumerate(moduli.index):
        for m, direction in enumerate(names):
            yield {
                "ensemble": source.name,
                "sample": index,
                "direction": direction,
                "shear_modulus": shear[k, m],
                "born_shear_modulus": born[k, m],
            }


def mean_rows(
    source: EnsembleSource, moduli: Moduli, options: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of `moduli_means`."""
    units = {c.name: c.unit for c in TABLES["moduli"].columns}
    for name, values in moduli.scalars.items():
        known = values[np.isfinite(values)]
        if known.size == 0:
            continue
        mean = mean_estimate(known, **options)
        yield {
            "ensemble": source.name,
            "quantity": name,
            "unit": units[name],
            "samples": known.size,
            "mean": float(mean.value),
            "standard_error": float(mean.error),
            "low": float(mean.low),
            "high": float(mean.high),
            "standard_deviation": known.std(ddof=1) if known.size > 1 else None,
        }


def ensemble_debye(
    source: EnsembleSource, moduli: Moduli, options: dict[str, Any]
) -> tuple[Estimate | None, float]:
    """Debye frequency of the mean moduli with its error, and the first transverse phonon.

    Averaging the moduli first is what makes the ensemble an elastic continuum; the mean
    over samples of their own Debye frequencies would leave out those with ``G < 0``.
    """
    if moduli.samples == 0:
        return None, math.nan
    names = ("shear_modulus", "bulk_modulus", "mass_density")
    rows = np.stack([moduli.scalars[n] for n in names] + [np.ones(moduli.samples)], axis=1)
    d, number_density = source.dimension, source.particles / source.volume

    def statistic(t: NDArray[np.float64]) -> NDArray[np.float64]:
        shear, bulk, density = ratio(t[:, :3], t[:, 3:]).T
        return np.asarray(debye_frequency(shear, bulk, number_density, density, d))

    shear, density = (float(moduli.scalars[n].mean()) for n in ("shear_modulus", "mass_density"))
    phonon = first_transverse_phonon(shear, density, source.volume ** (1.0 / d))
    return bootstrap(statistic, rows, **options), phonon


def shear_row(
    source: EnsembleSource, moduli: Moduli, options: dict[str, Any]
) -> dict[str, Any] | None:
    """Return the row of `shear_modulus`, None without moduli."""
    if moduli.samples == 0:
        return None
    single = single_directions(moduli.shear)
    moments = shear_moments(single, **options)
    return {
        "ensemble": source.name,
        "group": source.group,
        "dimension": source.dimension,
        "particles": source.particles,
        "samples": moduli.samples,
        "draws": moments.draws,
        **estimate_cells("mean", moments.mean),
        **estimate_cells("standard_deviation", moments.standard_deviation),
        **estimate_cells("disorder_parameter", disorder_parameter(moments, source.particles)),
        **estimate_cells("skewness", moments.skewness),
        "negative_fraction": float((single < 0).mean()),
        "smallest": float(single.min()),
    }


def shear_distribution_rows(
    source: EnsembleSource, moduli: Moduli, options: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of `shear_modulus_distribution`."""
    if moduli.samples == 0:
        return
    single = single_directions(moduli.shear)
    owner = np.repeat(np.arange(moduli.samples), single.shape[1])
    edges = linear_edges(single)
    histogram = density_histogram(single.ravel(), owner, moduli.samples, edges, **options)
    centres = 0.5 * (edges[:-1] + edges[1:])
    deficit = relative_deficit(centres, float(single.mean()))
    for k, centre in enumerate(centres):
        yield {
            "ensemble": source.name,
            "shear_modulus_low": edges[k],
            "shear_modulus_high": edges[k + 1],
            "shear_modulus": centre,
            "relative_deficit": deficit[k],
            "draws": histogram.counts[k],
            "samples": moduli.samples,
            **estimate_cells("probability_density", histogram.density, k),
        }


class Dipoles:
    """Stiffnesses of all accepted samples, flat ``(M,)`` with the row of their sample."""

    def __init__(self) -> None:
        self.index: NDArray[np.int64] = np.empty(0, np.int64)
        self.stiffness: NDArray[np.float64] = np.empty(0)
        self.sample: NDArray[np.int64] = np.empty(0, np.int64)
        self.largest_residual = 0.0
        self._index: list[NDArray[np.int64]] = []
        self._sizes: list[NDArray[np.int64]] = []
        self._stiffness: list[NDArray[np.float64]] = []

    @property
    def samples(self) -> int:
        return self.index.size

    def add(self, block: Block) -> None:
        """Take in one batch."""
        ok = np.flatnonzero(block.accepted)
        values, residuals = block.ragged("stiffness"), block.ragged("residual")
        self._index.append(block.array("index")[ok].astype(np.int64))
        self._sizes.append(np.array([len(values[k]) for k in ok], dtype=np.int64))
        self._stiffness += [np.asarray(values[k], dtype=np.float64) for k in ok]
        for k in ok:
            self.largest_residual = max(
                self.largest_residual, float(np.max(residuals[k], initial=0.0))
            )

    def finish(self) -> None:
        """Join the batches."""
        if not self._stiffness:
            return
        self.index = np.concatenate(self._index)
        self.stiffness = np.concatenate(self._stiffness)
        self.sample = np.repeat(np.arange(self.index.size), np.concatenate(self._sizes))
        for parts in (self._index, self._sizes, self._stiffness):
            parts.clear()


def dipole_columns(source: EnsembleSource, block: Block) -> Iterator[dict[str, Any]]:
    """Yield the columns of `dipoles` of one batch, nothing if all its samples were refused."""
    ok = np.flatnonzero(block.accepted)
    if ok.size == 0:
        return
    pairs = np.concatenate([np.reshape(block.ragged("pair")[k], (-1, 2)) for k in ok])
    sizes = [len(block.ragged("stiffness")[k]) for k in ok]
    yield {
        "ensemble": [source.name] * len(pairs),
        "sample": np.repeat(block.array("index")[ok].astype(np.int64), sizes),
        "i": pairs[:, 0],
        "j": pairs[:, 1],
        "stiffness": np.concatenate([block.ragged("stiffness")[k] for k in ok]),
        "residual": np.concatenate([block.ragged("residual")[k] for k in ok]),
    }


def dipole_row(
    source: EnsembleSource, dipoles: Dipoles, options: dict[str, Any]
) -> dict[str, Any] | None:
    """Return the row of `dipole_stiffness`, None without dipoles."""
    if dipoles.stiffness.size == 0:
        return None
    s = summarise_stiffness(dipoles.stiffness, dipoles.sample, dipoles.samples, **options)
    return {
        "ensemble": source.name,
        "group": source.group,
        "dimension": source.dimension,
        "particles": source.particles,
        "samples": dipoles.samples,
        "dipoles": s.dipoles,
        **estimate_cells("mean", s.mean),
        **estimate_cells("standard_deviation", s.standard_deviation),
        "median": s.median,
        "smallest": s.smallest,
        "largest_residual": dipoles.largest_residual,
    }


def dipole_distribution_rows(
    source: EnsembleSource, dipoles: Dipoles, options: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of `dipole_stiffness_distribution`."""
    if dipoles.stiffness.size == 0:
        return
    edges = logarithmic_edges(
        dipoles.stiffness.min(), dipoles.stiffness.max() * (1 + 1e-9), DIPOLE_BINS_PER_DECADE
    )
    histogram = density_histogram(
        dipoles.stiffness, dipoles.sample, dipoles.samples, edges, **options
    )
    for k, centre in enumerate(geometric_centres(edges)):
        yield {
            "ensemble": source.name,
            "stiffness_low": edges[k],
            "stiffness_high": edges[k + 1],
            "stiffness": centre,
            "dipoles": histogram.counts[k],
            "samples": dipoles.samples,
            **estimate_cells("probability_density", histogram.density, k),
        }
