"""What a campaign does not show, in sentences for the report."""

from __future__ import annotations

from collections import Counter
from typing import Any

from glassmodes.campaign.compare_verdicts import NOT_RESOLVED

_RESPONSES = {
    "loss_low": "G''(Ω) at low frequencies",
    "loss_high": "G''(Ω) at high frequencies",
    "decay": "G(t) − G before the first phonon",
    "decay_late": "G(t) − G beyond the first phonon",
    "modulus": "G(t)",
    "density": "D(ω)",
    "correlator": "Γ(ω)",
    "density_times_correlator": "D(ω) Γ(ω)",
}


def words(name: str) -> str:
    """Return an identifier as words, names of people with a capital; leave sentences alone."""
    return name if " " in name else name.replace("_", " ").replace("debye", "Debye")


def limits_in_words(tables: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return sentences on what the ensembles cannot resolve and what was refused."""
    sentences = []
    for r in tables["exponents"]:
        if r["verdict"] == NOT_RESOLVED:
            sentences.append(
                f"{r['ensemble']}: the exponent of D(ω) is not fitted. {r['modes']} modes lie "
                f"below ω* = {r['window_upper']:.3g} and {r['modes_needed']} are needed, "
                f"which takes {'about' if r['modes'] else 'at least'} "
                f"{r['samples_needed']:,} samples instead of {r['samples']:,}."
            )
        if r["window_set_by"] == "complete":
            sentences.append(
                f"{r['ensemble']}: modes are complete only up to ω = {r['window_upper']:.3g}, "
                "below both the phonons and the cutoff; more modes per sample would widen the "
                "window."
            )
    sentences += _unresolved_tails(tables["tails"])
    for r in tables["size_scaling"]:
        if r["verdict"] == NOT_RESOLVED:
            sentences.append(
                f"{r['group']}: how the {words(r['quantity'])} depends on N is not "
                f"resolved between N = {r['sizes'].replace(' ', ' and ')}."
            )
    sentences += _unresolved_responses(tables["response_exponents"])
    sentences += _estimated_zero_modes(tables["spectral_samples"])
    for e in tables["ensembles"]:
        missing = e["samples_with_modes"] - e["samples_certified"]
        if missing > 0:
            sentences.append(f"{e['ensemble']}: {missing} spectra are not certified as complete.")
    refused = Counter(
        (r["ensemble"], r["refused_by"], r["reason"])
        for r in tables["samples"]
        if r["status"] == "refused"
    )
    for (name, stage, reason), count in sorted(refused.items()):
        noun = "sample" if count == 1 else "samples"
        sentences.append(f"{name}: {count} {noun} refused by {stage} ({words(reason)}).")
    if tables["shear_modulus"]:
        sentences.append(
            "The shear modulus has a heavy tail towards negative values whose fourth moment does "
            "not exist: errors of its variance and of γ(N) are optimistic."
        )
    if any(r["system"] == "random_network" for r in tables["networks"]):
        sentences.append(
            "The paper leaves the parent glass of the random network and its starting "
            "coordination open; the choices made here are keys of the configuration."
        )
    return sentences


def _unresolved_responses(rows: list[dict[str, Any]]) -> list[str]:
    """Return one sentence per quantity on the ensembles that do not resolve its exponent."""
    names: dict[str, list[str]] = {}
    for r in rows:
        if r["verdict"] == NOT_RESOLVED:
            names.setdefault(r["quantity"], []).append(r["ensemble"])
    return [
        f"The exponent of {_RESPONSES.get(quantity, words(quantity))} is not resolved (window too "
        f"short or scatter too large): {', '.join(ensembles)}."
        for quantity, ensembles in names.items()
    ]


def _estimated_zero_modes(rows: list[dict[str, Any]]) -> list[str]:
    counts = Counter(r["ensemble"] for r in rows if r["zero_modes_method"] == "kernel polynomial")
    return [
        f"{name}: zero modes of {count} samples are estimated, not counted; D(ω) carries the "
        "error of that number."
        for name, count in counts.items()
    ]


def _unresolved_tails(rows: list[dict[str, Any]]) -> list[str]:
    """Return one sentence per quantity on the ensembles that do not resolve its tail."""
    parts: dict[str, list[str]] = {}
    for r in rows:
        if r["verdict"] == NOT_RESOLVED:
            entry = f"{r['ensemble']} ({r['values']} values, {r['samples_needed']:,} samples)"
            parts.setdefault(r["quantity"], []).append(entry)
    return [
        f"The exponent of the soft tail of the {words(quantity)} is not fitted (values in the "
        f"tail now, samples it would take at least): {', '.join(entries)}."
        for quantity, entries in parts.items()
    ]
