"""The comparison with the paper on viscoelastic lattices, claim by claim.

Every state point of the paper (system and coordination) is judged by its largest samples;
what other sizes give stands in the explanation.  Exponents are read from the true spectral
function in the windows of `spectral_curves`, and from the paper's cubic form.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from glassmodes.campaign import paper_values_viscoelastic_lattices as paper
from glassmodes.campaign.collapse_fits import PAPER_FACTOR
from glassmodes.campaign.compare_claims import (
    Row,
    Tables,
    claim_row,
    find_row,
    in_words,
    judged,
    largest_of_each_state,
    window_words,
)
from glassmodes.campaign.compare_predictions import closed_form_rows, glass_rows
from glassmodes.campaign.compare_verdicts import (
    AGREE,
    CONTRADICTION,
    DISAGREE,
    NOT_RESOLVED,
)
from glassmodes.campaign.paper_values_viscoelastic_lattices import Claim
from glassmodes.campaign.spectral_curves import near_isostatic, state_label

TABLES = (
    "ensembles",
    "networks",
    "spectral_ensembles",
    "cubic_forms",
    "response_exponents",
    "collapse",
    "oscillatory_moduli",
    "relaxation",
)
"""Tables that the rows are made of."""

NEEDED = ("response_exponents",)
"""Without one of them there is nothing to compare."""

PAPER_DIMENSION = 3


def comparison_rows(tables: Tables) -> Iterator[Row]:
    """Yield the rows of `comparison`: state points, collapse, closed forms, glasses."""
    ensembles = tables["spectral_ensembles"]
    for ensemble in largest_of_each_state(ensembles):
        if ensemble["dimension"] == PAPER_DIMENSION:
            yield from _state_rows(ensemble, tables)
    if any(e["dimension"] == PAPER_DIMENSION for e in ensembles):
        for row in tables["collapse"]:
            yield from _collapse_row(row, tables)
    for network in largest_of_each_state(tables["networks"]):
        yield from closed_form_rows(network, tables)
    for ensemble in ensembles:
        if not state_label(ensemble):
            yield from glass_rows(ensemble, tables)


def _state_rows(ensemble: Row, tables: Tables) -> Iterator[Row]:
    near = near_isostatic(ensemble)
    yield from _cubic_form_rows(ensemble, tables)
    yield _exponent_row(paper.CORRELATOR, "correlator", ensemble, tables)
    if near:
        yield _exponent_row(paper.PLATEAU, "density", ensemble, tables)
    yield _exponent_row(
        paper.LOSS_NEAR if near else paper.LOSS_STABLE, "loss_low", ensemble, tables
    )
    yield from _cubic_loss_row(ensemble, tables, near)
    if not near:
        yield from _linear_row(ensemble, tables)
    yield _exponent_row(paper.LOSS_HIGH, "loss_high", ensemble, tables)
    if near:
        yield _exponent_row(paper.CREEP, "modulus", ensemble, tables)
        yield _exponent_row(paper.CREEP_DECAY, "decay", ensemble, tables)
        yield _exponent_row(paper.CREEP_LIMIT, "decay", ensemble, tables)
        yield from _cubic_creep_row(ensemble, tables)
        yield from _decades_row(paper.CREEP_DECADES, "modulus", ensemble, tables)
        yield from _decades_row(paper.DECAY_DECADES, "decay", ensemble, tables)
    else:
        yield from _breakdown_row(ensemble, tables)
    yield from _bond_order_row(ensemble, tables)


def _cubic_form_rows(ensemble: Row, tables: Tables) -> Iterator[Row]:
    fit = find_row(tables["cubic_forms"], ensemble["ensemble"])
    if fit is None:
        return
    words = (
        f"rms deviation {in_words(fit, 'deviation')} without a free parameter (w_D the band edge "
        f"{fit['edge']:.3g}), {in_words(fit, 'deviation_fitted')} with w_D fitted to "
        f"{in_words(fit, 'fitted_edge')}"
    )
    yield judged(
        claim_row(paper.CUBIC_FORM, ensemble, tables),
        fit["deviation_fitted"],
        fit["deviation_fitted_error"],
        fit["samples"],
        words,
    )
    for claim, name, power in (
        (paper.EDGE_STATIC, "drop_ratio", -0.5),
        (paper.EDGE_STIFF, "moment_one_ratio", 0.5),
    ):
        moment, error = fit[name], fit[f"{name}_error"]
        edge = moment**power
        error = None if error is None else abs(power) * edge / moment * error
        words = f"moment over that of the cubic form {in_words(fit, name)}"
        yield judged(claim_row(claim, ensemble, tables), edge, error, fit["samples"], words)


def _exponent_row(claim: Claim, quantity: str, ensemble: Row, tables: Tables) -> Row:
    """Row of an exponent in its window, with the sizes and the cubic form as evidence."""
    row = claim_row(claim, ensemble, tables)
    fit = find_row(tables["response_exponents"], ensemble["ensemble"], quantity)
    if fit is None:
        return row
    words = "; ".join([window_words(fit), *_size_words(fit, quantity, ensemble, tables)])
    if fit["exponent"] is None:
        return {**row, "samples_needed": fit["samples_needed"], "explanation": words}
    filled = judged(row, fit["exponent"], fit["exponent_error"], fit["samples"], words)
    if claim is paper.LOSS_NEAR and filled["verdict"] == DISAGREE:
        filled["explanation"] += f"; {paper.HALF_IS_A_LIMIT}"
    return filled


def _size_words(fit: Row, quantity: str, ensemble: Row, tables: Tables) -> list[str]:
    """Say what other sizes of the same state point give."""
    others = [
        r
        for r in tables["response_exponents"]
        if r["quantity"] == quantity
        and (r["system"], state_label(r)) == (ensemble["system"], state_label(ensemble))
        and r["particles"] != fit["particles"]
        and r["exponent"] is not None
    ]
    return [f"{in_words(r, 'exponent')} at N = {r['particles']:,}" for r in others]


def _cubic_loss_row(ensemble: Row, tables: Tables, near: bool) -> Iterator[Row]:
    """Row of the exponent that the paper's own form gives at the lowest frequency."""
    curve = [r for r in tables["oscillatory_moduli"] if r["ensemble"] == ensemble["ensemble"]]
    limit = next((r for r in curve if r["cubic_loss_exponent"] is not None), None)
    if limit is None:
        return
    claim = paper.LOSS_NEAR if near else paper.LOSS_STABLE
    row = claim_row(replace(claim, quantity=f"{claim.quantity}, cubic form"), ensemble, tables)
    filled = judged(row, limit["cubic_loss_exponent"], 0.0, 1, "")
    words = f"at W = {limit['frequency']:.0e}, where the form has no gap"
    if filled["verdict"] != AGREE:
        filled["verdict"] = CONTRADICTION
        words += f"; {paper.CUBIC_FORM_ONLY}"
    yield {**filled, "measured_error": None, "explanation": words}


def _cubic_creep_row(ensemble: Row, tables: Tables) -> Iterator[Row]:
    """Row of the steepest G(t) - G that the paper's own form can give."""
    curve = [
        r["cubic_exponent"]
        for r in tables["relaxation"]
        if r["ensemble"] == ensemble["ensemble"] and r["cubic_exponent"] is not None
    ]
    if not curve:
        return
    claim = replace(paper.CREEP, quantity="steepest exponent of G(t) - G, cubic form")
    yield {
        **claim_row(claim, ensemble, tables),
        "measured": min(curve),
        "verdict": CONTRADICTION,
        "explanation": paper.NEVER_STEEPER,
    }


def _linear_row(ensemble: Row, tables: Tables) -> Iterator[Row]:
    """Row of the viscosity of two sizes, which tells a bulk law from the end of a sample."""
    state = ensemble["system"], state_label(ensemble)
    smaller = [
        e
        for e in tables["spectral_ensembles"]
        if (e["system"], state_label(e)) == state and e["particles"] < ensemble["particles"]
    ]
    if not smaller:
        return
    other = max(smaller, key=lambda e: e["particles"])
    ends = [find_row(tables["oscillatory_moduli"], e["ensemble"]) for e in (ensemble, other)]
    if any(end is None or not end["loss_modulus"] for end in ends):
        return
    values = [end["loss_modulus"] for end in ends]
    ratio = values[0] / values[1]
    errors = [end["loss_modulus_error"] for end in ends]
    error = None
    if None not in errors:
        error = ratio * math.hypot(errors[0] / values[0], errors[1] / values[1])
    words = (
        f"N = {ensemble['particles']:,} over {other['particles']:,} at W = "
        f"{ends[0]['frequency']:.0e}; {paper.BULK_LINEAR}"
    )
    row = claim_row(paper.LINEAR, ensemble, tables)
    yield judged(row, ratio, error, ensemble["samples"], words)


def _decades_row(claim: Claim, quantity: str, ensemble: Row, tables: Tables) -> Iterator[Row]:
    """Row of the length of the power law of G(t) or G(t) - G."""
    fit = find_row(tables["response_exponents"], ensemble["ensemble"], quantity)
    if fit is None or fit["law_decades"] is None:
        return
    row = claim_row(claim, ensemble, tables)
    error = fit["law_decades_error"]
    yield judged(row, fit["law_decades"], error, fit["samples"], _decades_words(fit))


def _decades_words(fit: Row) -> str:
    words = (
        f"local exponent between {fit['law_low']:.2f} and {fit['law_high']:.2f} anywhere between "
        "band edge and first phonon"
    )
    if fit["cubic_law_decades"] is not None:
        words += f"; cubic form: {fit['cubic_law_decades']:.1f} decades"
    return words


def _breakdown_row(ensemble: Row, tables: Tables) -> Iterator[Row]:
    """Row that compares the length of the power law at Z = 7 with that near isostaticity."""
    fit = find_row(tables["response_exponents"], ensemble["ensemble"], "decay")
    if fit is None or fit["law_decades"] is None:
        return
    measured, error = fit["law_decades"], fit["law_decades_error"]
    near = [
        r
        for r in tables["response_exponents"]
        if r["quantity"] == "decay" and r["system"] == ensemble["system"] and near_isostatic(r)
    ]
    reference = max(near, key=lambda r: r["particles"], default=None)
    words, verdict = [_decades_words(fit)], NOT_RESOLVED
    if reference is None or reference["law_decades"] is None:
        words.append("no state point near Z = 6 to compare with")
    else:
        shorter = reference["law_decades"] - measured
        doubt = math.hypot(error or 0.0, reference["law_decades_error"] or 0.0)
        verdict = AGREE if shorter > 2.0 * doubt else DISAGREE
        words.append(f"near Z = 6 it lasts {in_words(reference, 'law_decades')} decades")
    yield {
        **claim_row(paper.DECAY_BREAKS, ensemble, tables),
        "measured": measured,
        "measured_error": error,
        "verdict": verdict,
        "explanation": "; ".join(words),
    }


def _bond_order_row(ensemble: Row, tables: Tables) -> Iterator[Row]:
    network = find_row(tables["networks"], ensemble["ensemble"])
    claim = paper.BOND_ORDER.get(ensemble["system"])
    if network is None or claim is None or network["bond_order"] is None:
        return
    words = (
        "mean l = 6 bond correlation of pairs closer than 1.3 springs; the part of them above 0.7, "
        "another reading of F6, is 1 with bonds cut and 0.1 in random networks"
    )
    if network["crystal_order"] is not None:
        words += f"; crystal order of the parent glass {network['crystal_order']:.2f}"
    error = network["bond_order_error"]
    row = claim_row(claim, ensemble, tables)
    yield judged(row, network["bond_order"], error, network["samples"], words)


def _collapse_row(fit: Row, tables: Tables) -> Iterator[Row]:
    """Row of one normalisation of one quantity that the paper speaks about."""
    if fit["quantity"] not in paper.COLLAPSE or fit["spread"] is None:
        return
    by_paper = fit["normalisation"] == PAPER_FACTOR
    if not (by_paper or fit["best"]):
        return
    says, place = paper.COLLAPSE[fit["quantity"]]
    names = fit["ensembles"].split()
    members = [e for e in tables["spectral_ensembles"] if e["ensemble"] in names]
    claim = Claim(
        f"spread of {fit['quantity']} / ({fit['normalisation']})",
        says if by_paper else f"{says} (our choice of the factor)",
        0.0,
        paper.COLLAPSE_TOLERANCE,
        place,
    )
    words = _collapse_words(fit, tables)
    row = judged(
        {
            **claim_row(claim, members[0], tables),
            "ensemble": fit["ensembles"],
            "particles": " ".join(str(m["particles"]) for m in members),
            "protocol": f"{fit['label']}: {', '.join(m['system'] for m in members)}",
        },
        fit["spread"],
        fit["spread_error"],
        min(m["samples"] for m in members),
        words,
    )
    if by_paper and row["verdict"] == DISAGREE:
        row = {**row, "explanation": f"{words}; {paper.TWO_FACTORS}"}
        if fit["quantity"] != "density_times_correlator":
            row["verdict"] = CONTRADICTION
    yield row


def _collapse_words(fit: Row, tables: Tables) -> str:
    """List the spreads of all normalisations of one quantity, best first."""
    alternatives = sorted(
        (
            r
            for r in tables["collapse"]
            if (r["label"], r["quantity"]) == (fit["label"], fit["quantity"])
            and r["spread"] is not None
        ),
        key=lambda r: r["spread"],
    )
    spreads = ", ".join(f"{r['normalisation']}: {in_words(r, 'spread')}" for r in alternatives)
    return (
        f"rms of ln over {fit['systems']} systems between {fit['window_low']:.2g} and "
        f"{fit['window_high']:.2g}; {spreads}"
    )
