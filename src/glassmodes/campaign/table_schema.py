"""Every table of a campaign: its columns, their units and what they mean.

One place for the writers, ``units.csv`` and ``docs/tables.md``; the writers refuse
columns that are not listed here.  ``python -m glassmodes.campaign.table_schema`` prints
the documentation page.

Units are those of the model: length, energy and mass are the model's own (for the
binary inverse power law the diameter of the small particle, the interaction strength
and the mass of a particle), time is ``length * sqrt(mass / energy)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "integer", "number", "flag"]


@dataclass(frozen=True)
class Column:
    """One column: its unit is ``"1"`` for pure numbers and ``""`` for text and flags."""

    name: str
    kind: Kind
    unit: str
    description: str


@dataclass(frozen=True)
class TableSchema:
    """One table: where it lies under the results folder and what its rows are."""

    name: str
    path: str
    rows: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        return [c.name for c in self.columns]


FREQUENCY = "sqrt(energy/mass)/length"
MODULUS = "energy/length^d"
DENSITY_OF_STATES = "1/frequency"


def _text(name: str, description: str) -> Column:
    return Column(name, "text", "", description)


def _integer(name: str, description: str, unit: str = "1") -> Column:
    return Column(name, "integer", unit, description)


def _number(name: str, unit: str, description: str) -> Column:
    return Column(name, "number", unit, description)


def _flag(name: str, description: str) -> Column:
    return Column(name, "flag", "", description)


def _estimate(name: str, unit: str, description: str) -> tuple[Column, ...]:
    """A value with its bootstrap error and confidence interval."""
    return (
        _number(name, unit, description),
        _number(f"{name}_error", unit, f"standard error of {name}, bootstrap over samples"),
        _number(f"{name}_low", unit, f"lower end of the confidence interval of {name}"),
        _number(f"{name}_high", unit, f"upper end of the confidence interval of {name}"),
    )


ENSEMBLE = _text("ensemble", "name of the ensemble in the configuration")
SAMPLE = _integer("sample", "index of the sample in its ensemble, from 0")
DIMENSION = _integer("dimension", "dimension of space d")
PARTICLES = _integer("particles", "particles per sample N")
SAMPLES = _integer("samples", "samples that entered")
VERDICT = _text("verdict", "`resolved` or `not resolved`; without resolution no number is given")
NEEDED = _integer(
    "samples_needed", "samples that would reach the precision asked for; empty if unknown"
)

_TABLES = (
    TableSchema(
        "ensembles",
        "tables/ensembles.csv",
        "one row per ensemble: what was prepared and what can be said from it",
        (
            ENSEMBLE,
            _text("title", "label of the ensemble in figures; empty if none was given"),
            _text("group", "model and protocol: ensembles of one group differ in size only"),
            _text("model", "named model or class of the potential"),
            DIMENSION,
            PARTICLES,
            _number("density", "1/length^d", "particles per volume"),
            _number("mass_density", "mass/length^d", "mass per volume"),
            _text("protocol", "kind of protocol"),
            _text("protocol_details", "how the glasses were made, in words"),
            _number(
                "parent_temperature",
                "energy/k_B",
                "temperature of the liquid before the quench or the start of the cooling",
            ),
            _number(
                "cooling_rate",
                "energy/k_B/time",
                "rate of a slow cooling; empty for an instantaneous quench",
            ),
            _integer("samples_planned", "samples of the configuration"),
            _integer("samples_prepared", "samples that reached an accepted minimum"),
            _integer("samples_refused", "samples refused at any stage"),
            _integer("samples_with_modes", "samples with solved modes"),
            _integer("samples_certified", "samples whose modes an inertia count certified"),
            _integer("samples_with_moduli", "samples with moduli"),
            _integer("samples_with_dipoles", "samples with dipole responses"),
            _number(
                "complete_below", FREQUENCY, "every sample has all its modes below this frequency"
            ),
            *_estimate(
                "debye_frequency",
                FREQUENCY,
                "Debye frequency of the mean shear and bulk modulus",
            ),
            _number(
                "first_phonon_frequency",
                FREQUENCY,
                "lowest transverse phonon 2 pi c_T / L of the mean shear modulus",
            ),
        ),
    ),
    TableSchema(
        "samples",
        "tables/samples.csv",
        "one row per sample, refused ones included",
        (
            ENSEMBLE,
            SAMPLE,
            _text("batch", "batch the sample belongs to"),
            _text("status", "`ok` or `refused`"),
            _text("refused_by", "stage that refused it: prepare, modes, moduli or dipoles"),
            _text("reason", "why it was refused, in one word"),
            _text("message", "why it was refused, in one line"),
            Column("seed", "text", "", "seed of the sample"),
            PARTICLES,
            DIMENSION,
            _number("density", "1/length^d", "particles per volume"),
            _number("energy_per_particle", "energy", "energy of the inherent structure / N"),
            _number("pressure", MODULUS, "pressure of the inherent structure"),
            _number("max_force", "energy/length", "largest component of a net force"),
            _number("typical_contact_force", "energy/length", "mean |phi'| over contacts"),
            _number("force_ratio", "1", "max_force / typical_contact_force"),
            _number(
                "equilibration_drift",
                "1",
                "drift of the energy of the liquid over the last part of its run, in errors",
            ),
            _number(
                "mean_squared_displacement",
                "a0^2",
                "mean squared displacement in the liquid run, a0 = (V/N)^(1/d)",
            ),
            _number("temperature_mean", "energy/k_B", "mean temperature of the liquid run"),
            _number("crystal_order", "1", "order parameter of the crystallisation check"),
            _integer("force_evaluations", "force evaluations of the minimisation"),
            _integer("newton_steps", "Newton steps of the minimisation"),
        ),
    ),
    TableSchema(
        "mode_solves",
        "tables/mode_solves.csv",
        "one row per sample with modes: what the solver did and what it proved",
        (
            ENSEMBLE,
            SAMPLE,
            _integer("modes", "modes kept"),
            _integer("zero_modes", "null vectors, the d translations included"),
            _flag("certified", "an inertia count found no other mode below the edge"),
            _number("complete_below", FREQUENCY, "all modes below this frequency are known"),
            _number("lowest_frequency", FREQUENCY, "lowest mode"),
            _number("largest_residual", "1", "largest ||H psi - lambda psi|| / lambda"),
            _integer("products", "products of the Hessian with a vector"),
        ),
    ),
    TableSchema(
        "modes",
        "tables/modes.parquet",
        "one row per mode",
        (
            ENSEMBLE,
            SAMPLE,
            _integer("mode", "index of the mode in its sample, from 0, lowest first"),
            _number("frequency", FREQUENCY, "angular frequency sqrt(lambda)"),
            _number("participation_ratio", "1", "e = (sum z_i^2)^2 / (N sum z_i^4)"),
            _number("participation_number", "1", "N e"),
            _number("residual", "1", "||H psi - lambda psi|| / lambda"),
            _flag("complete", "the frequency lies in the window complete in every sample"),
        ),
    ),
    TableSchema(
        "density_of_states",
        "tables/density_of_states.csv",
        "one row per ensemble and logarithmic bin, complete windows only",
        (
            ENSEMBLE,
            _number("frequency_low", FREQUENCY, "lower edge of the bin"),
            _number("frequency_high", FREQUENCY, "upper edge of the bin"),
            _number("frequency", FREQUENCY, "geometric centre of the bin"),
            _integer("modes", "modes counted in the bin"),
            SAMPLES,
            *_estimate(
                "density_of_states",
                DENSITY_OF_STATES,
                "D(w), normalised to 1 over the d N - zero_modes vibrations",
            ),
            *_estimate("reduced_density", "1/frequency^d", "D(w) / w^(d-1)"),
            _number(
                "debye_level",
                "1/frequency^d",
                "d / w_D^d from the measured moduli: D(w) / w^(d-1) of the elastic continuum",
            ),
        ),
    ),
    TableSchema(
        "cumulative",
        "tables/cumulative.csv",
        "one row per ensemble and frequency of a logarithmic grid, complete windows only",
        (
            ENSEMBLE,
            _number("frequency", FREQUENCY, "frequency w"),
            _integer("modes", "modes below w, all samples together"),
            SAMPLES,
            *_estimate("cumulative", "1", "F(w), fraction of the vibrations below w"),
            *_estimate(
                "reduced_cumulative",
                "1/frequency^5",
                "F(w) / w^5: a plateau where D(w) ~ w^4",
            ),
        ),
    ),
    TableSchema(
        "participation",
        "tables/participation.csv",
        "one row per ensemble and logarithmic bin, complete windows only",
        (
            ENSEMBLE,
            _number("frequency_low", FREQUENCY, "lower edge of the bin"),
            _number("frequency_high", FREQUENCY, "upper edge of the bin"),
            _number("frequency", FREQUENCY, "geometric centre of the bin"),
            _integer("modes", "modes in the bin"),
            SAMPLES,
            *_estimate("participation_ratio", "1", "mean e of the modes in the bin"),
            *_estimate("participation_number", "1", "mean N e of the modes in the bin"),
        ),
    ),
    TableSchema(
        "moduli",
        "tables/moduli.csv",
        "one row per sample with moduli; shear moduli are means over ordered directions",
        (
            ENSEMBLE,
            SAMPLE,
            _number("energy_per_particle", "energy", "energy of the inherent structure / N"),
            _number("pressure", MODULUS, "pressure"),
            _number("shear_modulus", MODULUS, "G, mean over ordered pairs of directions"),
            _number("born_shear_modulus", MODULUS, "affine part of G, prestress included"),
            _number(
                "non_affine_force_squared_mean",
                "(energy/length)^2",
                "<|Xi|^2>, mean over particles and ordered pairs of directions",
            ),
            _number("bulk_modulus", MODULUS, "K"),
            _number("mass_density", "mass/length^d", "mass per volume"),
            _number(
                "debye_frequency", FREQUENCY, "from G and K of this sample; empty if G is negative"
            ),
            _number("max_force", "energy/length", "largest component of a net force"),
        ),
    ),
    TableSchema(
        "moduli_by_direction",
        "tables/moduli_by_direction.csv",
        "one row per sample and ordered pair of strain directions x_a += gamma x_b",
        (
            ENSEMBLE,
            SAMPLE,
            _text("direction", "ab, such as `xy`"),
            _number("shear_modulus", MODULUS, "G_ab"),
            _number("born_shear_modulus", MODULUS, "affine part of G_ab"),
        ),
    ),
    TableSchema(
        "moduli_means",
        "tables/moduli_means.csv",
        "one row per ensemble and quantity of the table moduli, averaged over samples",
        (
            ENSEMBLE,
            _text("quantity", "column of the table moduli"),
            _text("unit", "unit of the numbers of this row"),
            SAMPLES,
            _number("mean", "see unit", "mean over samples"),
            _number("standard_error", "see unit", "standard error of the mean over samples"),
            _number("low", "see unit", "lower end of the confidence interval of the mean"),
            _number("high", "see unit", "upper end of the confidence interval of the mean"),
            _number(
                "standard_deviation", "see unit", "sample-to-sample standard deviation (n - 1)"
            ),
        ),
    ),
    TableSchema(
        "shear_modulus",
        "tables/shear_modulus.csv",
        "one row per ensemble: statistics of single strain directions pooled as separate draws",
        (
            ENSEMBLE,
            _text("group", "model and protocol"),
            DIMENSION,
            PARTICLES,
            SAMPLES,
            _integer("draws", "moduli pooled: samples times ordered directions"),
            *_estimate("mean", MODULUS, "mean shear modulus"),
            *_estimate("standard_deviation", MODULUS, "standard deviation (n - 1) of the draws"),
            *_estimate("disorder_parameter", "1", "gamma(N) = N (standard deviation / mean)^2"),
            *_estimate("skewness", "1", "third standardised moment"),
            _number("negative_fraction", "1", "fraction of draws below zero"),
            _number("smallest", MODULUS, "smallest draw"),
        ),
    ),
    TableSchema(
        "shear_modulus_distribution",
        "tables/shear_modulus_distribution.csv",
        "one row per ensemble and bin of P(mu), single directions pooled",
        (
            ENSEMBLE,
            _number("shear_modulus_low", MODULUS, "lower edge of the bin"),
            _number("shear_modulus_high", MODULUS, "upper edge of the bin"),
            _number("shear_modulus", MODULUS, "centre of the bin"),
            _number("relative_deficit", "1", "(<mu> - mu) / <mu> at the centre"),
            _integer("draws", "moduli in the bin"),
            SAMPLES,
            *_estimate("probability_density", "length^d/energy", "P(mu)"),
        ),
    ),
    TableSchema(
        "dipoles",
        "tables/dipoles.parquet",
        "one row per dipole response",
        (
            ENSEMBLE,
            SAMPLE,
            _integer("i", "first particle of the contact, from 0"),
            _integer("j", "second particle of the contact"),
            _number("stiffness", "energy/length^2", "kappa_ij = (d.M^-1.d) / (d.M^-2.d)"),
            _number("residual", "1", "relative residual of the solve"),
        ),
    ),
    TableSchema(
        "dipole_stiffness",
        "tables/dipole_stiffness.csv",
        "one row per ensemble: stiffness of responses to dipoles on random contacts",
        (
            ENSEMBLE,
            _text("group", "model and protocol"),
            DIMENSION,
            PARTICLES,
            SAMPLES,
            _integer("dipoles", "contacts drawn, all samples together"),
            *_estimate("mean", "energy/length^2", "mean stiffness kappa"),
            *_estimate("standard_deviation", "energy/length^2", "standard deviation over contacts"),
            _number("median", "energy/length^2", "median stiffness"),
            _number("smallest", "energy/length^2", "softest response"),
            _number("largest_residual", "1", "largest relative residual of a solve"),
        ),
    ),
    TableSchema(
        "dipole_stiffness_distribution",
        "tables/dipole_stiffness_distribution.csv",
        "one row per ensemble and logarithmic bin of P(kappa)",
        (
            ENSEMBLE,
            _number("stiffness_low", "energy/length^2", "lower edge of the bin"),
            _number("stiffness_high", "energy/length^2", "upper edge of the bin"),
            _number("stiffness", "energy/length^2", "geometric centre of the bin"),
            _integer("dipoles", "contacts in the bin"),
            SAMPLES,
            *_estimate("probability_density", "length^2/energy", "P(kappa)"),
        ),
    ),
    TableSchema(
        "exponents",
        "fits/exponents.csv",
        "one row per ensemble: exponent s of D(w) ~ w^s below w*, s + 1 = n / sum ln(w*/w_i)",
        (
            ENSEMBLE,
            _text("group", "model and protocol"),
            DIMENSION,
            PARTICLES,
            SAMPLES,
            _number("window_upper", FREQUENCY, "upper end w* of the window"),
            _text("window_set_by", "what limits it: `phonon`, `cutoff` or `complete`"),
            _number("phonon_limit", FREQUENCY, "the stated fraction of the first phonon"),
            _number("cutoff", FREQUENCY, "w_c, end of the F/w^5 plateau"),
            _text(
                "cutoff_source", "`plateau` if read off our own data, else where it was taken from"
            ),
            _text("plateau", "what the F/w^5 plateau of this ensemble shows"),
            _integer("modes", "modes in the window, all samples together"),
            _integer("samples_used", "samples with at least one of them"),
            *_estimate("exponent", "1", "s; empty if not resolved"),
            _number("inner_exponent", "1", "s in the lower 80 % of the window, as a check"),
            _number("inner_exponent_error", "1", "standard error of inner_exponent"),
            _number(
                "goodness",
                "1",
                "probability that a true power law looks worse (Kolmogorov-Smirnov)",
            ),
            VERDICT,
            _integer("modes_needed", "modes in the window for the precision asked for"),
            NEEDED,
        ),
    ),
    TableSchema(
        "exponent_scan",
        "fits/exponent_scan.csv",
        "one row per ensemble and upper end of the window: how the answer depends on w*",
        (
            ENSEMBLE,
            _number("window_upper", FREQUENCY, "upper end w* of the window"),
            _integer("modes", "modes in the window"),
            _integer("samples_used", "samples with at least one of them"),
            *_estimate("exponent", "1", "s by maximum likelihood in this window"),
            _text(
                "regime",
                "`inside` the window of the w^4 law, `above cutoff`, or `phonons`; "
                "only `inside` tests the law",
            ),
        ),
    ),
    TableSchema(
        "tails",
        "fits/tails.csv",
        "one row per ensemble and algebraic tail",
        (
            ENSEMBLE,
            _text("quantity", "`shear_modulus` (upper tail of the deficit) or `dipole_stiffness`"),
            _text("law", "the law tested"),
            SAMPLES,
            _number("threshold", "see law", "where the tail begins"),
            _integer("values", "values in the tail"),
            _integer("samples_used", "samples with at least one of them"),
            *_estimate("exponent", "1", "tail exponent; empty if not resolved"),
            _number("expected", "1", "exponent that theory gives; empty if none"),
            VERDICT,
            NEEDED,
        ),
    ),
    TableSchema(
        "size_scaling",
        "fits/size_scaling.csv",
        "one row per group and quantity: slope of ln(quantity) against ln(N)",
        (
            _text("group", "model and protocol"),
            DIMENSION,
            _text("quantity", "`participation_number`, `shear_modulus` or `disorder_parameter`"),
            _text("ensembles", "ensembles used, separated by spaces"),
            _text("sizes", "their N, separated by spaces"),
            _text("values", "the quantity at these N, separated by spaces"),
            _text("errors", "its errors, separated by spaces"),
            _text("counts", "modes or draws behind each value, separated by spaces"),
            _number("window_upper", FREQUENCY, "modes below this frequency; empty for moduli"),
            _number("slope", "1", "slope; empty if not resolved"),
            _number("slope_error", "1", "its propagated error; also given if not resolved"),
            VERDICT,
            _integer("samples_needed", "factor on the samples of every size, times the smallest"),
        ),
    ),
    TableSchema(
        "comparison",
        "tables/comparison.csv",
        "one row per quantity of the paper and ensemble or group that can speak to it",
        (
            _text("paper", "short name of the paper"),
            _text("quantity", "what is compared"),
            DIMENSION,
            ENSEMBLE,
            _text("particles", "N of the ensemble, or the sizes compared"),
            _text("protocol", "how our glasses were made"),
            _text("paper_says", "the paper's value or claim"),
            _number("paper_value", "see unit", "the paper's number; empty for a claim"),
            _number("tolerance", "see unit", "uncertainty to be granted to the paper's number"),
            _text("paper_protocol", "how the paper's glasses were made"),
            _text("place", "where the paper says so"),
            _number("measured", "see unit", "our value; empty if not resolved"),
            _number("measured_error", "see unit", "its standard error over samples"),
            _text("unit", "unit of the numbers of this row"),
            _text(
                "verdict",
                "agree, disagree, not resolved, different protocol, or paper contradicts itself",
            ),
            _integer(
                "samples_needed", "samples that would resolve it, for `not resolved`; else empty"
            ),
            _text("explanation", "why this verdict"),
        ),
    ),
)

TABLES: dict[str, TableSchema] = {t.name: t for t in _TABLES}


def units_rows() -> list[dict[str, str]]:
    """Return the rows of ``units.csv``: table, column, unit, description."""
    return [
        {"table": t.name, "column": c.name, "unit": c.unit, "description": c.description}
        for t in _TABLES
        for c in t.columns
    ]


def documentation() -> str:
    """Return the page ``docs/tables.md``."""
    lines = [
        "# Tables",
        "",
        "Written by the stages `tables`, `fits` and `report` under the results folder. This page",
        "is generated from the code (`python -m glassmodes.campaign.table_schema`); a test keeps",
        "the two equal. `tables/units.csv` carries the same units beside the data.",
        "",
        "Units are those of the model: length, energy and mass are the model's own (for the",
        "binary inverse power law the diameter of the small particle, the interaction strength",
        "and the mass of a particle); time is length sqrt(mass/energy), k_B = 1, d is the",
        "dimension. Frequencies are angular, w = sqrt(lambda) of the mass-weighted Hessian.",
        "Empty cells mean: not measured, not defined or not resolved. Errors are standard errors",
        "from a bootstrap that resamples glasses, never modes, bonds or directions.",
    ]
    for t in _TABLES:
        lines += ["", f"## {t.name}", "", f"`{t.path}`: {t.rows}.", ""]
        lines += ["| column | unit | meaning |", "|---|---|---|"]
        lines += [f"| `{c.name}` | {c.unit} | {_escaped(c.description)} |" for c in t.columns]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(documentation(), end="")
