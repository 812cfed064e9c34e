"""From table rows to what is drawn: rows of an ensemble, values with their intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from glassmodes.campaign.table_files import column

Rows = list[dict[str, Any]]


def rows_by_ensemble(rows: Rows) -> dict[str, Rows]:
    """Group table rows by their ensemble, order kept."""
    groups: dict[str, Rows] = defaultdict(list)
    for r in rows:
        groups[r["ensemble"]].append(r)
    return groups


def members(
    ensembles: Rows, data: dict[str, Rows], dimension: int
) -> Iterator[tuple[dict[str, Any], Rows]]:
    """Yield the ensembles of a dimension that have rows, with their rows."""
    for e in ensembles:
        if e["dimension"] == dimension and data[e["ensemble"]]:
            yield e, data[e["ensemble"]]


def by_protocol(ensembles: Rows) -> Rows:
    """Return the ensembles by dimension, then protocol, then size."""
    return sorted(ensembles, key=lambda e: (e["dimension"], e["protocol"], e["particles"]))


def error_bars(rows: Rows, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the values ``(n,)`` and the distances to the ends of their intervals ``(2, n)``."""
    value = column(rows, name)
    below = np.clip(value - column(rows, f"{name}_low"), 0, None)
    above = np.clip(column(rows, f"{name}_high") - value, 0, None)
    return value, np.nan_to_num(np.stack([below, above]))
