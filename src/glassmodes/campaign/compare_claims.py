"""What the rows of the comparison with viscoelastic lattices have in common."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from glassmodes.campaign import paper_values_viscoelastic_lattices as paper
from glassmodes.campaign.compare_verdicts import NOT_RESOLVED, judge
from glassmodes.campaign.paper_values_viscoelastic_lattices import Claim
from glassmodes.campaign.spectral_curves import state_label
from glassmodes.statistics.bootstrap import samples_needed

Row = dict[str, Any]
Tables = Mapping[str, list[Row]]


def largest_of_each_state(ensembles: list[Row]) -> list[Row]:
    """Return the network ensembles with the most particles, one per system and label."""
    largest: dict[tuple[str, str], Row] = {}
    for e in ensembles:
        key = e["system"], state_label(e)
        if key[1] and (key not in largest or e["particles"] > largest[key]["particles"]):
            largest[key] = e
    return list(largest.values())


def claim_row(claim: Claim, ensemble: Row, tables: Tables, source: str = paper.PAPER) -> Row:
    """Return the row of a claim about one ensemble before anything is measured."""
    details = find_row(tables["ensembles"], ensemble["ensemble"])
    return {
        "paper": source,
        "quantity": claim.quantity,
        "dimension": ensemble["dimension"],
        "ensemble": ensemble["ensemble"],
        "particles": ensemble["particles"],
        "protocol": details["protocol_details"] if details else "",
        "paper_says": claim.says,
        "paper_value": claim.value,
        "tolerance": claim.tolerance,
        "paper_protocol": paper.PAPER_PROTOCOL if source == paper.PAPER else "",
        "place": claim.place,
        "measured": None,
        "measured_error": None,
        "unit": claim.unit,
        "verdict": NOT_RESOLVED,
        "samples_needed": None,
        "explanation": "not measured",
    }


def find_row(rows: list[Row], name: str, quantity: str | None = None) -> Row | None:
    """Return the first row of an ensemble, of one quantity if asked for."""
    return next(
        (
            r
            for r in rows
            if r["ensemble"] == name and (quantity is None or r["quantity"] == quantity)
        ),
        None,
    )


def judged(row: Row, measured: float, error: float | None, samples: int, words: str) -> Row:
    """Fill in a number and its verdict; a missing error (one sample) is not resolved."""
    uncertainty = math.nan if error is None else error
    verdict = judge(measured, uncertainty, row["paper_value"], row["tolerance"])
    needed = None
    if verdict == NOT_RESOLVED:
        needed = samples_needed(samples, uncertainty, row["tolerance"])
    return {
        **row,
        "measured": measured,
        "measured_error": error,
        "verdict": verdict,
        "samples_needed": needed,
        "explanation": words,
    }


def window_words(fit: Row) -> str:
    """Say how wide the window of an exponent is and what else is seen there."""
    if not (fit["decades"] or 0) > 0:
        return "no window: the regime is empty for this N"
    words = f"{fit['decades']:.1f} decades from {fit['window_low']:.2g} to {fit['window_high']:.2g}"
    if fit["smallest_local"] is not None:
        low, high = fit["smallest_local"], fit["largest_local"]
        words += f", local exponents from {low:.2f} to {high:.2f}"
    if fit["cubic_exponent"] is not None:
        words += f", the cubic form gives {fit['cubic_exponent']:.2f} there"
    if fit["law_decades"] is not None:
        bounds = f"{fit['law_low']:.2f} and {fit['law_high']:.2f}"
        words += f"; between {bounds} for {in_words(fit, 'law_decades')} decades"
    if fit["exponent"] is None and fit["samples_needed"] is None:
        words += "; too short for an exponent, larger N would widen it"
    return words


def in_words(row: Row, name: str) -> str:
    """Return ``value +- error`` of an estimate in a table row."""
    value, error = row[name], row[f"{name}_error"]
    if value is None:
        return "not resolved"
    return f"{value:.3g}" if error is None else f"{value:.3g} +- {error:.1g}"
