"""Checks of networks against closed forms, and of glasses against the law of soft modes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from glassmodes.campaign import paper_values_viscoelastic_lattices as paper
from glassmodes.campaign.compare_claims import (
    Row,
    Tables,
    claim_row,
    find_row,
    judged,
    window_words,
)


def closed_form_rows(network: Row, tables: Tables) -> Iterator[Row]:
    """Yield the checks against closed forms: non-affine force, affine and static modulus."""
    for claim, name, expected in (
        (paper.FORCES, "non_affine_force_squared_mean", "expected_force_squared"),
        (paper.AFFINE, "affine_modulus", "expected_affine_modulus"),
        (paper.STATIC, "static_modulus", "effective_medium_modulus"),
    ):
        value = network[expected]
        if value is None or not value > 0 or network[name] is None:
            continue
        unit = claim.unit or f"energy/length^{network['dimension']}"
        number = replace(
            claim, value=value, tolerance=claim.tolerance * value, unit=unit, says=f"{value:.4g}"
        )
        percent = 100.0 * (network[name] / value - 1.0)
        words = f"{percent:+.2f} % from {claim.says}, {100 * claim.tolerance:g} % granted"
        row = claim_row(number, network, tables, paper.CLOSED_FORM)
        error = network[f"{name}_error"]
        yield judged(row, network[name], error, network["samples"], words)


def glass_rows(ensemble: Row, tables: Tables) -> Iterator[Row]:
    """Yield what the relaxation of a glass shows, among phonons and beyond the first."""
    for quantity, where in (
        ("decay", "between the band edge and the first phonon"),
        ("decay_late", "beyond the first phonon"),
    ):
        fit = find_row(tables["response_exponents"], ensemble["ensemble"], quantity)
        if fit is None:
            continue
        row = claim_row(paper.QUASILOCALISED, ensemble, tables, paper.PREDICTION)
        phonons = -0.5 * ensemble["dimension"]
        words = f"{where}: {window_words(fit)}; phonons alone give {phonons:g}"
        row = {**row, "quantity": f"{row['quantity']}, {where}"}
        if fit["exponent"] is None:
            yield {**row, "samples_needed": fit["samples_needed"], "explanation": words}
        else:
            error = fit["exponent_error"]
            yield judged(row, fit["exponent"], error, fit["samples"], words)
