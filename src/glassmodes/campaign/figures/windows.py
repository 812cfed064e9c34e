"""Figure of the windows: their modes, and what was found beside what was expected."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from glassmodes.campaign.figures.series import rows_by_ensemble
from glassmodes.campaign.figures.style import (
    COLOURS,
    GUIDE,
    MARKERS,
    label_logarithmic,
    legend_above,
    letter,
    looks,
    panels,
    say_empty,
)
from glassmodes.campaign.figures.vibrations import FREQUENCY_LABEL
from glassmodes.campaign.long_tables import read_window_modes
from glassmodes.campaign.table_files import column, read_table

_MOST_POINTS = 20_000  # of an ensemble; more are thinned out evenly


def draw_windows(results: Path) -> Figure:
    """Participation against frequency, and modes found against modes expected."""
    ensembles = read_table(results, "ensembles")
    slices = rows_by_ensemble(read_table(results, "windows"))
    style = looks(ensembles)
    figure, (left, right) = panels(2)
    shown = [e for e in ensembles if slices[e["ensemble"]]]
    for k, e in enumerate(shown):
        rows, colour = slices[e["ensemble"]], COLOURS[k % len(COLOURS)]
        marker = MARKERS[k % len(MARKERS)]
        modes = read_window_modes(results, e["ensemble"])
        thin = slice(None, None, 1 + len(modes["frequency"]) // _MOST_POINTS)
        left.plot(
            modes["frequency"][thin],
            modes["participation_number"][thin],
            ".",
            ms=2,
            alpha=0.5,
            color=colour,
            label=style[e["ensemble"]].name,
            rasterized=True,
        )
        for certified in (True, False):
            chosen = [r for r in rows if r["certified"] == certified]
            if not chosen:
                continue
            expected = column(chosen, "modes_expected")
            excess = column(chosen, "modes") - expected
            right.errorbar(
                expected,
                excess,
                column(chosen, "modes_expected_error"),
                fmt=marker,
                color=colour,
                markerfacecolor=colour if certified else "white",
            )
    left.set(xlabel=FREQUENCY_LABEL, ylabel="participating particles $N e$", yscale="log")
    right.set(xlabel="modes expected in a slice", ylabel="modes found $-$ expected")
    if shown:
        right.axhline(0.0, color=GUIDE, lw=0.9)
        label_logarithmic(left.yaxis)
    else:
        for ax in (left, right):
            say_empty(ax, "no windows")
    legend_above(left, letter(0))
    legend_above(right, letter(1), entries={})
    return figure
