"""Tables of windows: what every slice of every sample found, and its modes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from glassmodes.campaign.ensemble_source import UNKNOWN, EnsembleSource
from glassmodes.spectra.completeness import NONE

_JOIN = 1e-9
"""Relative distance at which the end of a slice and the start of the next one are the same."""


def slice_rows(source: EnsembleSource) -> Iterator[dict[str, Any]]:
    """Yield the rows of `windows`, slice by slice."""
    ends: dict[int, float] = {}
    for number in range(source.slices):
        for block in source.slice_blocks(number):
            frequencies, residuals = block.ragged("frequency"), block.ragged("residual")
            for k in np.flatnonzero(block.accepted):
                index, low = int(block.array("index")[k]), block.array("complete_above")[k]
                high = float(block.array("complete_below")[k])
                joined = number == 0 or abs(ends.get(index, np.nan) - low) <= _JOIN * low
                ends[index] = high
                vouched = block.array("certificate")[k] != NONE
                counted = block.array("modes_counted")[k]
                yield {
                    "ensemble": source.name,
                    "sample": index,
                    "slice": number,
                    "complete_above": low if vouched else None,
                    "complete_below": high if vouched else None,
                    "joined": bool(joined),
                    "modes": len(frequencies[k]),
                    "modes_counted": None if counted == UNKNOWN else counted,
                    "modes_expected": block.array("modes_expected")[k],
                    "modes_expected_error": block.array("modes_expected_error")[k],
                    "certificate": block.array("certificate")[k],
                    "certified": block.array("certified")[k],
                    "largest_residual": residuals[k].max() if len(residuals[k]) else None,
                    "products": block.optional("products", k),
                }


def window_mode_columns(source: EnsembleSource) -> Iterator[dict[str, Any]]:
    """Yield the columns of `window_modes`, one block for each slice of a batch."""
    for number in range(source.slices):
        for block in source.slice_blocks(number):
            ok = np.flatnonzero(block.accepted)
            if ok.size == 0:
                continue
            sizes = [len(block.ragged("frequency")[k]) for k in ok]
            participation = np.concatenate([block.ragged("participation_ratio")[k] for k in ok])
            yield {
                "ensemble": [source.name] * sum(sizes),
                "sample": np.repeat(block.array("index")[ok].astype(np.int64), sizes),
                "slice": np.full(sum(sizes), number, np.int64),
                "frequency": np.concatenate([block.ragged("frequency")[k] for k in ok]),
                "participation_ratio": participation,
                "participation_number": participation * source.particles,
                "residual": np.concatenate([block.ragged("residual")[k] for k in ok]),
                "certified": np.repeat(block.array("certified")[ok].astype(bool), sizes),
            }
