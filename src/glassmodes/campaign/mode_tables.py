"""Tables of one ensemble that rest on modes: spectrum, cumulative, participation.

The mode files are read twice: first the scalars, which give the window that is complete
in every sample, then the modes, batch by batch, into one row of counts per sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassmodes.campaign.ensemble_source import Block, EnsembleSource
from glassmodes.campaign.table_files import estimate_cells
from glassmodes.observables.density_of_states import (
    complete_bins,
    complete_window,
    cumulative,
    debye_level,
    density_of_states,
)
from glassmodes.observables.localisation import participation_sums, running_average
from glassmodes.statistics.bootstrap import Estimate
from glassmodes.statistics.distributions import (
    counts_by_sample,
    geometric_centres,
    logarithmic_edges,
)

CUMULATIVE_POINTS_PER_BIN = 3


class ModeScan:
    """What the first pass over the modes of an ensemble found; arrays have shape ``(S,)``.

    Attributes
    ----------
    index, vibrations, certified, lowest
        Of the accepted samples: index, number of vibrations, whether a certificate vouches for
        the modes, lowest frequency (NaN without modes).
    window : float
        Frequency below which every sample is complete.
    """

    def __init__(self) -> None:
        self.index: NDArray[np.int64] = np.empty(0, np.int64)
        self.vibrations: NDArray[np.float64] = np.empty(0)
        self.certified: NDArray[np.bool_] = np.empty(0, np.bool_)
        self.lowest: NDArray[np.float64] = np.empty(0)
        self.window = float(complete_window([]))
        self._parts: list[tuple[NDArray, ...]] = []

    @property
    def samples(self) -> int:
        return self.index.size

    def add(self, source: EnsembleSource, block: Block) -> None:
        """Take in the scalars of one batch."""
        ok = block.accepted
        frequencies = block.ragged("frequency")
        lowest = [
            frequencies[k].min() if len(frequencies[k]) else np.nan for k in np.flatnonzero(ok)
        ]
        self._parts.append(
            (
                block.array("index")[ok].astype(np.int64),
                (source.dimension * source.particles - block.array("zero_modes")[ok]).astype(
                    np.float64
                ),
                block.array("certified")[ok].astype(np.bool_),
                np.array(lowest, dtype=np.float64),
                block.array("complete_below")[ok].astype(np.float64),
            )
        )

    def finish(self) -> None:
        """Join the batches and find the complete window."""
        if not self._parts:
            return
        columns = [np.concatenate(parts) for parts in zip(*self._parts, strict=True)]
        self.index, self.vibrations, self.certified, self.lowest, complete = columns
        self.window = complete_window(complete)
        self._parts.clear()


def solve_rows(source: EnsembleSource, block: Block) -> Iterator[dict[str, Any]]:
    """Yield the rows of `mode_solves` of one batch."""
    frequencies, residuals = block.ragged("frequency"), block.ragged("residual")
    for k in np.flatnonzero(block.accepted):
        w, r = frequencies[k], residuals[k]
        yield {
            "ensemble": source.name,
            "sample": int(block.array("index")[k]),
            "modes": len(w),
            "zero_modes": block.array("zero_modes")[k],
            "rattlers": block.optional("rattlers", k),
            "certified": block.array("certified")[k],
            "certificate": block.array("certificate")[k],
            "modes_counted": block.array("modes_counted")[k],
            "modes_counted_error": block.array("modes_counted_error")[k],
            "complete_below": block.array("complete_below")[k],
            "lowest_frequency": w.min() if len(w) else None,
            "largest_residual": r.max() if len(r) else None,
            "products": block.optional("products", k),
        }


def mode_columns(source: EnsembleSource, scan: ModeScan) -> Iterator[dict[str, Any]]:
    """Yield the columns of `modes`, one block per batch."""
    for block in source.blocks("modes"):
        ok = np.flatnonzero(block.accepted)
        if ok.size == 0:
            continue
        frequencies = [block.ragged("frequency")[k] for k in ok]
        sizes = [len(w) for w in frequencies]
        frequency = np.concatenate(frequencies)
        participation = np.concatenate([block.ragged("participation_ratio")[k] for k in ok])
        yield {
            "ensemble": [source.name] * frequency.size,
            "sample": np.repeat(block.array("index")[ok].astype(np.int64), sizes),
            "mode": np.concatenate([np.arange(n) for n in sizes]),
            "frequency": frequency,
            "participation_ratio": participation,
            "participation_number": participation * source.particles,
            "residual": np.concatenate([block.ragged("residual")[k] for k in ok]),
            "complete": frequency < scan.window,
        }


class SpectrumCounts:
    """Counts per sample and bin, filled batch by batch from `mode_columns`."""

    def __init__(self, scan: ModeScan, bins_per_decade: int) -> None:
        self.scan = scan
        self._row = {int(i): k for k, i in enumerate(scan.index)}
        lowest = float(np.min(scan.lowest, where=np.isfinite(scan.lowest), initial=np.inf))
        if not lowest < scan.window:
            self.edges = self.grid = np.empty(0)
        else:
            whole = logarithmic_edges(lowest, scan.window, bins_per_decade)
            self.edges = complete_bins(whole, scan.window)
            fine = logarithmic_edges(
                lowest, scan.window, CUMULATIVE_POINTS_PER_BIN * bins_per_decade
            )
            self.grid = complete_bins(fine, scan.window)[1:]
        bins = max(self.edges.size - 1, 0)
        self.counts = np.zeros((scan.samples, bins), dtype=np.int64)
        self.below = np.zeros((scan.samples, self.grid.size), dtype=np.int64)
        self.participation = np.zeros((scan.samples, bins, 2))

    def add(self, columns: dict[str, Any]) -> None:
        """Count the modes of one batch."""
        row = np.array([self._row[int(i)] for i in columns["sample"]], dtype=np.int64)
        present, local = np.unique(row, return_inverse=True)
        n, w = present.size, columns["frequency"]
        if self.edges.size > 1:
            self.counts[present] += counts_by_sample(w, local, n, self.edges)
            self.participation[present] += participation_sums(
                w, columns["participation_ratio"], local, n, self.edges
            )
        if self.grid.size:
            ends = np.concatenate([[0.0], self.grid])
            self.below[present] += counts_by_sample(w, local, n, ends).cumsum(axis=1)

    def density_rows(
        self, source: EnsembleSource, debye_frequency: float, options: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows of `density_of_states`."""
        if self.edges.size < 2:
            return
        d = source.dimension
        density = density_of_states(self.counts, self.scan.vibrations, self.edges, **options)
        centres = geometric_centres(self.edges)
        reduced = density.scaled(centres ** (1.0 - d))
        modes = self.counts.sum(axis=0)
        for k, centre in enumerate(centres):
            yield {
                **self._bin(source, k, centre, modes[k]),
                **estimate_cells("density_of_states", density, k),
                **estimate_cells("reduced_density", reduced, k),
                "debye_level": debye_level(debye_frequency, d),
            }

    def cumulative_rows(
        self, source: EnsembleSource, options: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows of `cumulative`."""
        if self.grid.size == 0:
            return
        below = cumulative(self.below, self.scan.vibrations, **options)
        reduced = below.scaled(self.grid**-5.0)
        modes = self.below.sum(axis=0)
        for k, frequency in enumerate(self.grid):
            yield {
                "ensemble": source.name,
                "frequency": frequency,
                "modes": modes[k],
                "samples": self.scan.samples,
                **estimate_cells("cumulative", below, k),
                **estimate_cells("reduced_cumulative", reduced, k),
            }

    def participation_rows(
        self, source: EnsembleSource, options: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows of `participation`, empty bins left out."""
        if self.edges.size < 2:
            return
        average: Estimate = running_average(self.participation, **options)
        number = average.scaled(source.particles)
        modes = self.participation[..., 0].sum(axis=0)
        for k, centre in enumerate(geometric_centres(self.edges)):
            if modes[k] == 0:
                continue
            yield {
                **self._bin(source, k, centre, modes[k]),
                **estimate_cells("participation_ratio", average, k),
                **estimate_cells("participation_number", number, k),
            }

    def _bin(self, source: EnsembleSource, k: int, centre: float, modes: float) -> dict[str, Any]:
        return {
            "ensemble": source.name,
            "frequency_low": self.edges[k],
            "frequency_high": self.edges[k + 1],
            "frequency": centre,
            "modes": modes,
            "samples": self.scan.samples,
        }
