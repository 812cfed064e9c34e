"""The comparison with the paper on anharmonic modes: the packing that it quenches.

Paper: H. Mizuno, M. Shimada and A. Ikeda, Phys. Rev. Research 2, 013215 (2020), section II A.
Of the packing itself it prints the packing fraction and the pressure; what it says of modes
concerns their anharmonicity.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from glassmodes.campaign.compare_verdicts import NOT_RESOLVED, judge
from glassmodes.statistics.bootstrap import samples_needed

PAPER = "Mizuno, Shimada and Ikeda"

TABLES = ("ensembles", "samples")
"""Tables that the rows are made of."""

NEEDED = ("samples",)
"""Without one of them there is nothing to compare."""

_MODEL, _PROTOCOL, _DIMENSION = "harmonic_spheres", "random_start", 3
_DENSITY = 0.73 * 6 / math.pi  # packing fraction 0.73
_PRESSURE, _TOLERANCE = 5e-2, 5e-3  # half of the only digit printed

Row = dict[str, Any]


def comparison_rows(tables: Mapping[str, list[Row]]) -> Iterator[Row]:
    """Yield a row of `comparison` for every ensemble of the paper's packing."""
    ensembles = [e for e in tables["ensembles"] if _is_the_packing(e)]
    pressures = {e["ensemble"]: _pressures(tables["samples"], e["ensemble"]) for e in ensembles}
    spread = _spread(ensembles, pressures)
    for ensemble in ensembles:
        yield _pressure_row(ensemble, pressures[ensemble["ensemble"]], spread)


def _is_the_packing(ensemble: Row) -> bool:
    return (
        (ensemble["model"], ensemble["protocol"]) == (_MODEL, _PROTOCOL)
        and ensemble["dimension"] == _DIMENSION
        and abs(ensemble["density"] / _DENSITY - 1) < 5e-3
    )


def _pressures(samples: list[Row], ensemble: str) -> np.ndarray:
    found = [
        row["pressure"] for row in samples if row["ensemble"] == ensemble and row["status"] == "ok"
    ]
    return np.array(found, dtype=np.float64)


def _spread(ensembles: list[Row], pressures: Mapping[str, np.ndarray]) -> float:
    """Return the standard deviation of p between samples times sqrt(N), NaN if nobody knows.

    Pressure is a mean over the volume: its fluctuations fall as N^(-1/2).
    """
    squares = freedom = 0.0
    for ensemble in ensembles:
        p = pressures[ensemble["ensemble"]]
        if len(p) > 1:
            squares += ensemble["particles"] * float(np.square(p - p.mean()).sum())
            freedom += len(p) - 1
    return math.sqrt(squares / freedom) if freedom else math.nan


def _pressure_row(ensemble: Row, pressures: np.ndarray, spread: float) -> Row:
    samples = len(pressures)
    row = {
        "paper": PAPER,
        "quantity": "pressure",
        "dimension": ensemble["dimension"],
        "ensemble": ensemble["ensemble"],
        "particles": ensemble["particles"],
        "protocol": ensemble["protocol_details"],
        "paper_says": "p = 5 x 10^-2",
        "paper_value": _PRESSURE,
        "tolerance": _TOLERANCE,
        "paper_protocol": "random positions, FIRE, packing fraction 0.73, N = 16,000 to 512,000",
        "place": "section II A 1",
        "measured": None,
        "measured_error": None,
        "unit": "energy/length^3",
        "verdict": NOT_RESOLVED,
        "samples_needed": None,
        "explanation": "no sample was accepted",
    }
    if not samples:
        return row
    measured = float(pressures.mean())
    error = spread / math.sqrt(ensemble["particles"] * samples)
    verdict = judge(measured, error, _PRESSURE, _TOLERANCE)
    known = math.isfinite(error)
    words = (
        "error from the spread of all samples at this state, which falls as N^(-1/2)"
        if known
        else "one sample alone tells no error"
    )
    needed = samples_needed(samples, error, _TOLERANCE) if verdict == NOT_RESOLVED else None
    return row | {
        "measured": measured,
        "measured_error": error if known else None,
        "verdict": verdict,
        "samples_needed": needed,
        "explanation": words,
    }
