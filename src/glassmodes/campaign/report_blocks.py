"""Which columns of which tables the report shows, in order."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """One table of the report; a trailing ± joins a value with its error."""

    title: str
    table: str
    columns: tuple[str, ...]


BLOCKS = (
    Block(
        "Ensembles",
        "ensembles",
        (
            "ensemble",
            "model",
            "dimension",
            "particles",
            "protocol_details",
            "samples_planned",
            "samples_prepared",
            "samples_refused",
            "samples_certified",
            "complete_below",
            "debye_frequency±",
            "first_phonon_frequency",
        ),
    ),
    Block(
        "Networks",
        "networks",
        (
            "ensemble",
            "system",
            "coordination±",
            "coordination_deviation",
            "particles",
            "samples",
            "bond_order±",
            "largest_cluster",
            "crystal_order",
            "zero_mode_fraction±",
            "max_frequency±",
            "non_affine_force_squared_mean±",
            "expected_force_squared",
            "affine_modulus±",
            "expected_affine_modulus",
            "static_modulus±",
            "effective_medium_modulus",
        ),
    ),
    Block(
        "Spectra and moduli by ensemble",
        "spectral_ensembles",
        (
            "ensemble",
            "coordination_asked",
            "dimension",
            "particles",
            "samples",
            "resolution",
            "damping",
            "vibrations±",
            "max_frequency±",
            "non_affine_force_squared_mean±",
            "affine_modulus±",
            "static_modulus±",
        ),
    ),
    Block(
        "Shear modulus of single directions",
        "shear_modulus",
        (
            "ensemble",
            "samples",
            "draws",
            "mean±",
            "standard_deviation±",
            "disorder_parameter±",
            "skewness±",
            "negative_fraction",
        ),
    ),
    Block(
        "Dipole stiffness",
        "dipole_stiffness",
        (
            "ensemble",
            "samples",
            "dipoles",
            "mean±",
            "median",
            "smallest",
            "largest_residual",
        ),
    ),
    Block(
        "Exponents of the density of states",
        "exponents",
        (
            "ensemble",
            "samples",
            "window_upper",
            "window_set_by",
            "cutoff",
            "plateau",
            "modes",
            "exponent±",
            "goodness",
            "verdict",
            "modes_needed",
            "samples_needed",
        ),
    ),
    Block(
        "Tails",
        "tails",
        (
            "ensemble",
            "quantity",
            "law",
            "threshold",
            "values",
            "exponent±",
            "expected",
            "verdict",
            "samples_needed",
        ),
    ),
    Block(
        "Dependence on the number of particles",
        "size_scaling",
        (
            "group",
            "quantity",
            "sizes",
            "values",
            "errors",
            "counts",
            "window_upper",
            "slope±",
            "verdict",
        ),
    ),
    Block(
        "The cubic form",
        "cubic_forms",
        (
            "ensemble",
            "samples",
            "window_low",
            "window_high",
            "edge±",
            "deviation±",
            "fitted_edge±",
            "deviation_fitted±",
            "drop_ratio±",
            "moment_one_ratio±",
        ),
    ),
    Block(
        "Exponents of the response",
        "response_exponents",
        (
            "ensemble",
            "quantity",
            "samples",
            "window_low",
            "window_high",
            "decades",
            "exponent±",
            "expected",
            "verdict",
            "samples_needed",
        ),
    ),
    Block(
        "Collapse of the systems",
        "collapse",
        (
            "label",
            "quantity",
            "normalisation",
            "ensembles",
            "window_low",
            "window_high",
            "spread±",
            "best",
        ),
    ),
)
