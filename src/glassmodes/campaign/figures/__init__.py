"""Figures of a campaign: one function per figure, from tables to a matplotlib figure.

`FIGURES` maps names to `FigureSpec`; `write_figure` draws one as PDF and PNG.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from glassmodes.campaign.figures import (
    glasses,
    mechanics,
    networks,
    preparation,
    vibrations,
    viscoelastic,
    windows,
)
from glassmodes.campaign.figures.style import paper_style
from glassmodes.campaign.products import figures_of
from glassmodes.campaign.table_files import replacing
from glassmodes.errors import InputError, nearest


@dataclass(frozen=True)
class FigureSpec:
    """How to draw a figure from a results folder, its title and its caption."""

    draw: Callable[[Path], Figure]
    title: str
    caption: str


FIGURES: dict[str, FigureSpec] = {
    "preparation": FigureSpec(
        preparation.draw_preparation,
        "The glasses",
        "Every accepted sample: drift of the liquid's energy before the quench in standard "
        "errors, inherent-structure energy and pressure (numbers are the means, bars the "
        "medians), largest net force over the typical contact force with the bound that the "
        "preparation must reach.",
    ),
    "density_of_states": FigureSpec(
        vibrations.draw_density_of_states,
        "Vibrational density of states",
        "Reduced density of states in windows that are complete in every sample; errors from "
        "resampled glasses. Dashed: Debye level of the measured moduli. Triangles at the top: "
        "lowest transverse phonon. Grey: slope of an omega^4 law.",
    ),
    "cumulative": FigureSpec(
        vibrations.draw_cumulative,
        "Cumulative spectrum",
        "A law D ~ omega^4 is a plateau here. Bands are confidence intervals over resampled "
        "glasses; dotted lines mark the upper end of the window in which the law may be fitted.",
    ),
    "participation": FigureSpec(
        vibrations.draw_participation,
        "Participation of modes",
        "Running average of the number of participating particles N e. Localised modes collapse "
        "onto one curve for all N, extended ones grow with N. Triangles at the top: lowest "
        "transverse phonon.",
    ),
    "windows": FigureSpec(
        windows.draw_windows,
        "Modes in a window",
        "Left: number of participating particles N e of every mode found between two frequencies "
        "inside the spectrum. Right: modes found in each slice against the number that the kernel "
        "polynomial density of states expects there, with its error over random vectors; open "
        "symbols are slices without an inertia certificate.",
    ),
    "exponent_scan": FigureSpec(
        vibrations.draw_exponent_scan,
        "What the window decides",
        "Maximum-likelihood exponent of D ~ omega^s against the upper end of the window. Filled "
        "symbols lie inside the window of the law, pale lines above the cutoff or among phonons: "
        "they measure another regime.",
    ),
    "shear_modulus": FigureSpec(
        mechanics.draw_shear_modulus,
        "Shear modulus",
        "Distribution of the shear modulus over glasses and single strain directions. Vertical "
        "line: the thesis' value for instantaneous quenches (Table 3.2).",
    ),
    "moduli_by_ensemble": FigureSpec(
        mechanics.draw_moduli_by_ensemble,
        "Moduli and Debye frequency by ensemble",
        "Mean shear modulus and Debye frequency with standard errors. Bars: the thesis' values "
        "with their tolerance; hatched where the thesis' glasses were made in another way.",
    ),
    "disorder_parameter": FigureSpec(
        mechanics.draw_disorder_parameter,
        "Disorder parameter",
        "gamma(N) = N (standard deviation / mean)^2 of the shear modulus of single strain "
        "directions. The tail of P(mu) makes these errors optimistic.",
    ),
    "dipole_stiffness": FigureSpec(
        mechanics.draw_dipole_stiffness,
        "Stiffness of responses to local dipoles",
        "Distribution of the dipole stiffness over random contacts; dotted lines are the means.",
    ),
    "networks": FigureSpec(
        networks.draw_networks,
        "The networks",
        "Structure, non-affine force and moduli of every ensemble of networks. Strokes: closed "
        "forms for bonds kept at random and the effective medium. Errors are standard errors over "
        "samples; the bar of the coordination is its standard deviation over particles.",
    ),
    "spectral_densities": FigureSpec(
        viscoelastic.draw_spectral_densities,
        "Density of states and non-affine correlator",
        "Milkus and Zaccone, Fig. 2, from the largest samples: D, Γ and their product divided "
        "by the paper's factor and by the sum rule. Dotted: cubic form of the first system, "
        "without a free parameter. Bands: confidence intervals over samples.",
    ),
    "oscillatory_moduli": FigureSpec(
        viscoelastic.draw_oscillatory_moduli,
        "Storage and loss modulus",
        "Milkus and Zaccone, Fig. 3, from the true spectral function: G', G'' as it is, divided by "
        "the paper's factor, and by the sum rule. Dotted: cubic form of the first system. Below "
        "ω_min²/ν every finite sample is linear in Ω.",
    ),
    "loss_exponents": FigureSpec(
        viscoelastic.draw_loss_exponents,
        "Local exponents of the loss modulus",
        "d ln G'' / d ln Ω for every size. Triangles: ω_min²/ν of each size, below which a "
        "finite sample is trivially linear. Grey: window of the largest size. Dotted: cubic form, "
        "which tends to 1/2 for every Z.",
    ),
    "relaxation": FigureSpec(
        viscoelastic.draw_relaxation,
        "Relaxation modulus",
        "Milkus and Zaccone, Fig. 4, from the true spectral function: G(t), its decay G(t) - G, "
        "and the local exponents of both. Grey: the paper's range from -1/2 to -3/4. Triangles: "
        "ν/ω_min², where the first phonon has relaxed. Dotted: cubic form of the first system.",
    ),
    "glass_relaxation": FigureSpec(
        glasses.draw_glass_relaxation,
        "Glasses beside the lattices",
        "Decay G(t) - G of glasses and of networks of the same dimension in units of G_A - G, "
        "against time in units of the shortest relaxation time, with its local exponents. "
        "Quasilocalised modes ask for -3/2, phonons for -d/2. Triangles: the first phonon.",
    ),
    "glass_spectra": FigureSpec(
        glasses.draw_glass_spectra,
        "Spectra of the glasses",
        "Density of states and D Γ of the glasses without eigenvectors. Phonons alone give "
        "D ~ ω^(d-1) and D Γ ~ ω^(d+1); quasilocalised modes D Γ ~ ω⁴.",
    ),
}


def draw_figure(results: str | Path, name: str) -> Figure:
    """Draw the figure `name` from the tables under `results`."""
    if name not in FIGURES:
        raise InputError(f"no figure is called {name!r}{nearest(name, FIGURES)}")
    with paper_style():
        return FIGURES[name].draw(Path(results))


def write_figure(config, name: str) -> list[Path]:
    """Write ``figures/<name>.pdf`` and ``.png`` and return their paths."""
    folder = Path(config.results) / "figures"
    figure = draw_figure(config.results, name)
    written = []
    with paper_style():
        for suffix, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
            path = folder / f"{name}.{suffix}"
            with replacing(path) as temporary:
                figure.savefig(temporary, format=suffix, metadata=metadata)
            written.append(path)
    return written


def write_figures(config) -> list[Path]:
    """Write every figure that the campaign has."""
    return [path for name in figures_of(config) for path in write_figure(config, name)]
