"""The comparison with the thesis on soft excitations, chapters 2, 3 and 5."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from glassmodes.campaign.compare_verdicts import (
    AGREE,
    CONTRADICTION,
    DIFFERENT_PROTOCOL,
    DISAGREE,
    NOT_RESOLVED,
    is_consistent,
    judge,
)
from glassmodes.campaign.paper_values_soft_excitations import (
    CUTOFF_PLACE,
    CUTOFF_RATIO,
    PAPER,
    PAPER_COOLING_RATE,
    PAPER_ENSEMBLE_SIZES,
    PAPER_VALUES,
    PARTICIPATION_PLACE,
    PARTICIPATION_TOLERANCE,
    QUENCH,
    SHEAR_TAIL_EXPONENT,
    SLOW_COOLING,
    SLOW_COOLING_WORDS,
    PaperValue,
    participation_claim,
)
from glassmodes.statistics.bootstrap import samples_needed

TABLES = ("ensembles", "moduli_means", "exponents", "tails", "size_scaling")
"""Tables that the rows are made of."""

NEEDED = ("moduli_means", "exponents")
"""Without one of them there is nothing to compare."""


def comparison_rows(tables: dict[str, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Yield the rows of `comparison`, by dimension, then quantity."""
    ensembles = tables["ensembles"]
    for paper in sorted(PAPER_VALUES, key=lambda p: p.dimension):
        for ensemble in ensembles:
            if ensemble["model"] == paper.model:
                yield _COMPARE[paper.quantity](paper, ensemble, tables)
    for ensemble in ensembles:
        if ensemble["model"] in ("ipl_3d", "ipl_4d"):
            yield from _cutoff_row(ensemble, tables)
    models = {paper.model for paper in PAPER_VALUES}
    foreign = {e["ensemble"] for e in ensembles if e["model"] not in models}
    for row in tables["size_scaling"]:
        ours = not foreign.intersection(row["ensembles"].split())
        if row["quantity"] == "participation_number" and ours:
            yield _participation_row(row, ensembles)
    for ensemble in ensembles:
        if ensemble["model"] == "ipl_2d" and ensemble["protocol"] == QUENCH:
            yield from _shear_tail_row(ensemble, tables)


def _base(paper: PaperValue, ensemble: dict[str, Any]) -> dict[str, Any]:
    return {
        "paper": PAPER,
        "quantity": paper.quantity,
        "dimension": paper.dimension,
        "ensemble": ensemble["ensemble"],
        "particles": ensemble["particles"],
        "protocol": ensemble["protocol_details"],
        "paper_says": f"{paper.value:g}",
        "paper_value": paper.value,
        "tolerance": paper.tolerance,
        "paper_protocol": paper.protocol_words,
        "place": paper.place,
        "unit": paper.unit,
    }


def _number_row(
    paper: PaperValue,
    ensemble: dict[str, Any],
    measured: float | None,
    error: float | None,
    samples: int,
    notes: list[str],
) -> dict[str, Any]:
    """Row for a printed number that other protocols or a contradiction may overrule."""
    m = math.nan if measured is None else measured
    e = math.nan if error is None else error
    verdict = judge(m, e, paper.value, paper.tolerance)
    reasons = [_distance(m, e, paper)] if math.isfinite(m) else ["not measured"]
    needed = None
    if paper.contradiction and (
        paper.quantity == "debye_frequency" or ensemble["protocol"] != paper.protocol
    ):
        verdict = CONTRADICTION
        reasons.append(paper.contradiction)
    elif ensemble["protocol"] != paper.protocol:
        verdict = DIFFERENT_PROTOCOL
        reasons.append(f"the thesis' number belongs to {paper.protocol_words}")
    else:
        if verdict == NOT_RESOLVED:
            needed = samples_needed(samples, e, paper.tolerance)
        if paper.contradiction:
            reasons.append(paper.contradiction)
        reasons.extend(notes)
        verdict = _slower_cooling_verdict(verdict, paper, ensemble, reasons)
    return {
        **_base(paper, ensemble),
        "measured": measured,
        "measured_error": error,
        "verdict": verdict,
        "samples_needed": needed,
        "explanation": "; ".join(reasons),
    }


def _distance(measured: float, error: float, paper: PaperValue) -> str:
    percent = 100.0 * (measured / paper.value - 1.0)
    percent = 0.0 if abs(percent) < 0.05 else percent
    words = f"{percent:+.1f} % from the thesis"
    if math.isfinite(error) and error > 0:
        words += f" with our error at {100 * error / abs(paper.value):.1f} %"
    return f"{words} (tolerance {100 * paper.tolerance / paper.value:.0f} %)"


def _slower_cooling_verdict(
    verdict: str, paper: PaperValue, ensemble: dict[str, Any], reasons: list[str]
) -> str:
    """Say how our cooling rate relates to the thesis'; a disagreement may come from it."""
    rate = ensemble["cooling_rate"]
    if paper.protocol != SLOW_COOLING or rate is None:
        return verdict
    factor = rate / PAPER_COOLING_RATE
    if abs(factor - 1.0) < 0.05:
        return verdict
    relation = "faster" if factor > 1 else "slower"
    reasons.append(
        f"cooled at {rate:g}, {max(factor, 1 / factor):.3g} times {relation} than the thesis"
    )
    return DIFFERENT_PROTOCOL if verdict == DISAGREE else verdict


def _shear(paper: PaperValue, ensemble: dict[str, Any], tables) -> dict[str, Any]:
    rows = [r for r in tables["moduli_means"] if r["quantity"] == "shear_modulus"]
    by_name = {r["ensemble"]: r for r in rows}
    row = by_name.get(ensemble["ensemble"])
    notes = _size_notes(paper, ensemble, tables["ensembles"], by_name)
    if row is None:
        return _number_row(paper, ensemble, None, None, 0, notes)
    return _number_row(paper, ensemble, row["mean"], row["standard_error"], row["samples"], notes)


def _size_notes(paper, ensemble, ensembles, by_name) -> list[str]:
    """Say what is known about the size dependence of G in this campaign."""
    notes = []
    smallest = int(paper.particles.split()[0])
    if ensemble["particles"] < smallest:
        notes.append(f"N is below the thesis' sizes ({paper.particles})")
    siblings = [
        e
        for e in sorted(ensembles, key=lambda e: e["particles"])
        if e["group"] == ensemble["group"] and e["ensemble"] in by_name
    ]
    if len(siblings) > 1:
        values = ", ".join(
            f"{by_name[e['ensemble']]['mean']:.2f} at N = {e['particles']}" for e in siblings
        )
        notes.append(f"size dependence here: {values}")
    return notes


def _debye(paper: PaperValue, ensemble: dict[str, Any], tables) -> dict[str, Any]:
    return _number_row(
        paper,
        ensemble,
        ensemble["debye_frequency"],
        ensemble["debye_frequency_error"],
        ensemble["samples_with_moduli"],
        [],
    )


def _exponent(paper: PaperValue, ensemble: dict[str, Any], tables) -> dict[str, Any]:
    base = {**_base(paper, ensemble), "paper_says": "D(w) ~ w^4"}
    row = next((r for r in tables["exponents"] if r["ensemble"] == ensemble["ensemble"]), None)
    empty = {"measured": None, "measured_error": None, "samples_needed": None}
    if row is None:
        return {**base, **empty, "verdict": NOT_RESOLVED, "explanation": "no modes"}
    window = (
        f"{row['modes']} modes of {row['samples']} samples below w* = {row['window_upper']:.3g}"
        f" (set by the {row['window_set_by']})"
    )
    sizes = f"the thesis used {PAPER_ENSEMBLE_SIZES[paper.dimension]}"
    if row["verdict"] == NOT_RESOLVED:
        bound = "" if row["modes"] else " (the samples needed are a lower bound)"
        return {
            **base,
            **empty,
            "verdict": NOT_RESOLVED,
            "samples_needed": row["samples_needed"],
            "explanation": f"{window}, {row['modes_needed']} needed{bound}; {sizes}",
        }
    measured, error = row["exponent"], row["exponent_error"]
    inner = f"{row['inner_exponent']:.2f} +- {row['inner_exponent_error']:.2f}"
    reasons = [window, f"the lower 80 % of the window give {inner}"]
    if is_consistent(measured, error, paper.value, paper.tolerance):
        verdict = AGREE
    elif ensemble["protocol"] != paper.protocol:
        verdict = DIFFERENT_PROTOCOL
        reasons.append(
            "instantaneous quenches of small systems are expected below 4; "
            f"the thesis' number belongs to {paper.protocol_words}"
        )
    else:
        verdict = _slower_cooling_verdict(DISAGREE, paper, ensemble, reasons)
    return {
        **base,
        "measured": measured,
        "measured_error": error,
        "verdict": verdict,
        "samples_needed": None,
        "explanation": "; ".join([*reasons, sizes]),
    }


_COMPARE = {"shear_modulus": _shear, "debye_frequency": _debye, "exponent": _exponent}


def _cutoff_row(ensemble: dict[str, Any], tables) -> Iterator[dict[str, Any]]:
    """Compare the end of the F/w^5 plateau, in units of the Debye frequency."""
    row = next((r for r in tables["exponents"] if r["ensemble"] == ensemble["ensemble"]), None)
    if row is None:
        return
    debye = ensemble["debye_frequency"]
    found = row["cutoff_source"] == "plateau" and debye is not None
    tolerance = 0.2 * CUTOFF_RATIO
    measured = row["cutoff"] / debye if found else None
    reasons = [f"plateau: {row['plateau']}"]
    needed = None
    if not found:
        verdict, needed = NOT_RESOLVED, row["samples_needed"]
    elif ensemble["dimension"] == 4:
        verdict = CONTRADICTION
        reasons.append(
            "the thesis' ratio rests on its Debye frequency 23.3; with the one that follows "
            "from its own moduli it would be about 0.07"
        )
    elif abs(measured - CUTOFF_RATIO) <= 2.0 * tolerance:
        verdict = AGREE
    else:
        verdict = DISAGREE if ensemble["protocol"] == SLOW_COOLING else DIFFERENT_PROTOCOL
    yield {
        "paper": PAPER,
        "quantity": "cutoff_over_debye_frequency",
        "dimension": ensemble["dimension"],
        "ensemble": ensemble["ensemble"],
        "particles": ensemble["particles"],
        "protocol": ensemble["protocol_details"],
        "paper_says": f"w_c / w_D = {CUTOFF_RATIO:g}",
        "paper_value": CUTOFF_RATIO,
        "tolerance": tolerance,
        "paper_protocol": SLOW_COOLING_WORDS,
        "place": CUTOFF_PLACE,
        "measured": measured,
        "measured_error": None,
        "unit": "1",
        "verdict": verdict,
        "samples_needed": needed,
        "explanation": "; ".join(reasons),
    }


def _participation_row(row: dict[str, Any], ensembles: list[dict[str, Any]]) -> dict[str, Any]:
    """Compare how N e of soft modes changes with N."""
    members = [e for e in ensembles if e["ensemble"] in row["ensembles"].split()]
    d = row["dimension"]
    expected = _logarithmic_slope(row["sizes"]) if d == 2 else 0.0
    slope, error = row["slope"], row["slope_error"]
    window = _participation_words(row)
    if slope is None:
        verdict = NOT_RESOLVED
        spread = "unknown" if error is None else f"{error:.2f}"
        window += f"; error of the slope {spread}"
    elif is_consistent(slope, error, expected, PARTICIPATION_TOLERANCE):
        verdict = AGREE
    else:
        verdict = (
            DISAGREE if members and members[0]["protocol"] == SLOW_COOLING else DIFFERENT_PROTOCOL
        )
    if d == 2:
        window += f"; (log N)^2 gives a slope of {expected:.2f} between these sizes"
    if members and members[0]["protocol"] != SLOW_COOLING:
        window += "; the thesis' modes are those of slowly cooled glasses"
    return {
        "paper": PAPER,
        "quantity": "slope of ln(N e) against ln(N)",
        "dimension": d,
        "ensemble": row["ensembles"],
        "particles": row["sizes"],
        "protocol": members[0]["protocol_details"] if members else "",
        "paper_says": participation_claim(d),
        "paper_value": expected,
        "tolerance": PARTICIPATION_TOLERANCE,
        "paper_protocol": SLOW_COOLING_WORDS,
        "place": PARTICIPATION_PLACE,
        "measured": slope,
        "measured_error": error,
        "unit": "1",
        "verdict": verdict,
        "samples_needed": row["samples_needed"] if slope is None else None,
        "explanation": window,
    }


def _participation_words(row: dict[str, Any]) -> str:
    """Return mean N e, its error and the modes behind it for every size."""
    names = ("sizes", "values", "errors", "counts")
    columns = zip(*(row[name].split() for name in names), strict=True)
    parts = [
        f"N e = {value} +- {error} at N = {size} ({count} modes)"
        if value != "nan"
        else f"no mode at N = {size}"
        for size, value, error, count in columns
    ]
    return f"below w = {row['window_upper']:.3g}: " + ", ".join(parts)


def _logarithmic_slope(sizes: str) -> float:
    """Slope of ``2 ln ln N`` against ``ln N`` between the smallest and the largest size."""
    numbers = [int(n) for n in sizes.split()]
    low, high = math.log(min(numbers)), math.log(max(numbers))
    return 2.0 * math.log(high / low) / (high - low)


def _shear_tail_row(ensemble: dict[str, Any], tables) -> Iterator[dict[str, Any]]:
    """Compare the soft tail of the distribution of shear moduli (two dimensions)."""
    row = next(
        (
            r
            for r in tables["tails"]
            if r["ensemble"] == ensemble["ensemble"] and r["quantity"] == "shear_modulus"
        ),
        None,
    )
    if row is None:
        return
    resolved = row["exponent"] is not None
    verdict = NOT_RESOLVED
    if resolved:
        verdict = judge(row["exponent"], row["exponent_error"], SHEAR_TAIL_EXPONENT, 0.3)
    yield {
        "paper": PAPER,
        "quantity": "shear_modulus_tail",
        "dimension": ensemble["dimension"],
        "ensemble": ensemble["ensemble"],
        "particles": ensemble["particles"],
        "protocol": ensemble["protocol_details"],
        "paper_says": "P(mu) ~ (<mu> - mu)^(-7/2)",
        "paper_value": SHEAR_TAIL_EXPONENT,
        "tolerance": 0.3,
        "paper_protocol": "instantaneous quench from above the onset temperature",
        "place": "Eq. 5.5, Fig. 5.2",
        "measured": row["exponent"],
        "measured_error": row["exponent_error"],
        "unit": "1",
        "verdict": verdict,
        "samples_needed": None if resolved else row["samples_needed"],
        "explanation": f"{row['values']} moduli of {row['samples_used']} samples lie in the tail; "
        "the thesis used 10,000 glasses per size",
    }
