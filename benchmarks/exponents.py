"""Exponents of cost against the number of particles, with standard errors."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
from rows import Row

SUFFIX = ": exponent of N"


def exponents(rows: list[Row]) -> list[Row]:
    """Return ln(cost) against ln(N) by least squares for every method with three sizes or more.

    The error is that of the scatter about the line; it knows nothing of caches, which bend it.
    """
    series: dict[tuple, list[Row]] = defaultdict(list)
    for row in rows:
        if row.ranks == 1 and row.unit in ("s", "ms") and row.value == row.value:
            series[row.case, row.method, row.dimension].append(row)
    found = []
    for (case, method, dimension), points in series.items():
        if len({row.particles for row in points}) < 3:
            continue
        for quantity, values in (("", [p.value for p in points]), *_memory(points)):
            slope, error = fit([p.particles for p in points], values)
            sizes = sorted(p.particles for p in points)
            row = Row(case + quantity + SUFFIX, sizes[-1], method, slope, "", dimension=dimension)
            row.accuracy = f"± {error:.2f}, {len(points)} sizes from N = {sizes[0]:,}"
            row.details = {"error": error, "smallest": sizes[0]}
            found.append(row)
    return found


def fit(sizes: list[int], values: list[float]) -> tuple[float, float]:
    """Return the slope of ln(value) against ln(size) and its standard error."""
    x, y = np.log(np.asarray(sizes, float)), np.log(np.asarray(values, float))
    x = x - x.mean()
    slope = float(x @ y / (x @ x))
    scatter = y - y.mean() - slope * x
    return slope, math.sqrt(float(scatter @ scatter) / max(len(x) - 2, 1) / float(x @ x))


def _memory(points: list[Row]):
    memory = [row.memory for row in points]
    if all(value > 0 for value in memory):
        yield ", memory", memory
