"""Verdicts of the comparison with a paper, and the rule that judges a number.

agree
    The difference is within the tolerance of the printed number and two of our errors,
    added in quadrature, and our error does not exceed that tolerance.
disagree
    The difference is larger.
not resolved
    Our error is too large to tell, or there is too little data for a number.
different protocol
    The printed number belongs to samples made in another way.
paper contradicts itself
    The paper gives numbers or statements that exclude each other.
"""

from __future__ import annotations

import math

AGREE = "agree"
DISAGREE = "disagree"
NOT_RESOLVED = "not resolved"
DIFFERENT_PROTOCOL = "different protocol"
CONTRADICTION = "paper contradicts itself"
VERDICTS = (AGREE, DISAGREE, NOT_RESOLVED, DIFFERENT_PROTOCOL, CONTRADICTION)


def judge(measured: float, error: float, value: float, tolerance: float) -> str:
    """Compare a measurement with a printed number that has a tolerance."""
    if not (math.isfinite(measured) and math.isfinite(error)):
        return NOT_RESOLVED
    if not is_consistent(measured, error, value, tolerance):
        return DISAGREE
    return AGREE if error <= tolerance else NOT_RESOLVED


def is_consistent(measured: float, error: float, value: float, tolerance: float) -> bool:
    """Tell whether a number lies within the tolerance and two errors, added in quadrature."""
    return abs(measured - value) <= math.hypot(tolerance, 2.0 * error)
