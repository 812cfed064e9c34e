"""Every table of a campaign: its columns, their units and what they mean.

One place for the writers, ``units.csv`` and ``docs/tables.md``; the writers refuse
columns that are not listed here.  ``python -m glassmodes.campaign.table_schema`` prints
the documentation page.  The tables of spectral functions are in `spectral_table_schema`.
"""

from __future__ import annotations

from collections.abc import Iterable

from glassmodes.campaign.spectral_table_schema import SPECTRAL_TABLES
from glassmodes.campaign.table_columns import (
    DENSITY_OF_STATES,
    DIMENSION,
    ENSEMBLE,
    FREQUENCY,
    GROUP,
    MODULUS,
    NEEDED,
    PARTICLES,
    SAMPLE,
    SAMPLES,
    TITLE,
    VERDICT,
    Column,
    TableSchema,
    estimate,
    flag,
    integer,
    number,
    one_of,
    text,
)

_TABLES = (
    TableSchema(
        "ensembles",
        "tables/ensembles.csv",
        "one row per ensemble: what was prepared and what can be said from it",
        (
            ENSEMBLE,
            TITLE,
            GROUP,
            text("model", "named model or class of the potential"),
            DIMENSION,
            PARTICLES,
            number("density", "1/length^d", "particles per volume"),
            number("mass_density", "mass/length^d", "mass per volume"),
            text("protocol", "kind of protocol"),
            text("protocol_details", "how the glasses were made, in words"),
            number(
                "parent_temperature",
                "energy/k_B",
                "temperature of the liquid before the quench or the start of the cooling",
            ),
            number(
                "cooling_rate",
                "energy/k_B/time",
                "rate of a slow cooling; empty for an instantaneous quench",
            ),
            integer("samples_planned", "samples of the configuration"),
            integer("samples_prepared", "samples that reached an accepted minimum"),
            integer("samples_refused", "samples refused at any stage"),
            integer("samples_with_modes", "samples with solved modes"),
            integer("samples_certified", "samples whose modes an inertia count certified"),
            integer("samples_with_moduli", "samples with moduli"),
            integer("samples_with_dipoles", "samples with dipole responses"),
            number(
                "complete_below", FREQUENCY, "every sample has all its modes below this frequency"
            ),
            *estimate(
                "debye_frequency",
                FREQUENCY,
                "Debye frequency of the mean shear and bulk modulus",
            ),
            number(
                "first_phonon_frequency",
                FREQUENCY,
                "lowest transverse phonon 2 pi c_T / L of the mean shear modulus",
            ),
        ),
    ),
    TableSchema(
        "samples",
        "tables/samples.csv",
        "one row per sample, refused ones included; energy, forces and liquid of a random network "
        "are those of the glass it was made from",
        (
            ENSEMBLE,
            SAMPLE,
            text("batch", "batch the sample belongs to"),
            text("status", "`ok` or `refused`"),
            text("refused_by", "stage that refused it: prepare or an analysis"),
            text("reason", "why it was refused, in one word"),
            text("message", "why it was refused, in one line"),
            Column("seed", "text", "", "seed of the sample"),
            PARTICLES,
            DIMENSION,
            number("density", "1/length^d", "particles per volume"),
            number("energy_per_particle", "energy", "energy of the inherent structure / N"),
            number("pressure", MODULUS, "pressure of the inherent structure"),
            number("max_force", "energy/length", "largest component of a net force"),
            number("typical_contact_force", "energy/length", "mean |phi'| over contacts"),
            number("force_ratio", "1", "max_force / typical_contact_force"),
            number(
                "equilibration_drift",
                "1",
                "drift of the energy of the liquid over the last part of its run, in errors",
            ),
            number(
                "mean_squared_displacement",
                "a0^2",
                "mean squared displacement in the liquid run, a0 = (V/N)^(1/d)",
            ),
            number("temperature_mean", "energy/k_B", "mean temperature of the liquid run"),
            number("crystal_order", "1", "order parameter of the crystallisation check"),
            integer("force_evaluations", "force evaluations of the minimisation"),
            integer("newton_steps", "Newton steps of the minimisation"),
        ),
    ),
    TableSchema(
        "mode_solves",
        "tables/mode_solves.csv",
        "one row per sample with modes: what the solver did and what it proved",
        (
            ENSEMBLE,
            SAMPLE,
            integer("modes", "modes kept"),
            integer("zero_modes", "null vectors, the d translations included"),
            integer("rattlers", "particles without contacts that bear a load"),
            flag("certified", "an inertia count found no other mode below the edge"),
            text(
                "certificate",
                "inertia, or second start and count where no factor fits, or none",
            ),
            number("modes_counted", "1", "modes below `complete_below` by the count"),
            number("modes_counted_error", "1", "its standard error, 0 for an inertia count"),
            number("complete_below", FREQUENCY, "all modes below this frequency are known"),
            number("lowest_frequency", FREQUENCY, "lowest mode"),
            number("largest_residual", "1", "largest ||H psi - lambda psi|| / lambda"),
            integer("products", "products of the Hessian with a vector"),
        ),
        needs=one_of("modes"),
    ),
    TableSchema(
        "modes",
        "tables/modes.parquet",
        "one row per mode",
        (
            ENSEMBLE,
            SAMPLE,
            integer("mode", "index of the mode in its sample, from 0, lowest first"),
            number("frequency", FREQUENCY, "angular frequency sqrt(lambda)"),
            number("participation_ratio", "1", "e = (sum z_i^2)^2 / (N sum z_i^4)"),
            number("participation_number", "1", "N e"),
            number("residual", "1", "||H psi - lambda psi|| / lambda"),
            flag("complete", "the frequency lies in the window complete in every sample"),
        ),
        needs=one_of("modes"),
    ),
    TableSchema(
        "windows",
        "tables/windows.csv",
        "one row per sample and slice of the window: what was found and what vouches for it",
        (
            ENSEMBLE,
            SAMPLE,
            integer("slice", "slice of the window, from 0, lowest first"),
            number(
                "complete_above", FREQUENCY, "lower end of the slice; empty without a certificate"
            ),
            number(
                "complete_below", FREQUENCY, "upper end of the slice; empty without a certificate"
            ),
            flag("joined", "the slice begins where the one before it ends"),
            integer("modes", "modes found"),
            integer("modes_counted", "modes by inertia counts at both ends; empty without them"),
            number("modes_expected", "1", "modes by the kernel polynomial density of states"),
            number("modes_expected_error", "1", "its standard error over random vectors"),
            text("certificate", "`inertia`, `second start` or `none`"),
            flag("certified", "the inertia counts say that no mode is missing"),
            number("largest_residual", "1", "largest ||H psi - lambda psi|| / lambda"),
            integer("products", "products of the Hessian with a vector"),
        ),
        needs=one_of("windows"),
    ),
    TableSchema(
        "window_modes",
        "tables/window_modes.parquet",
        "one row per mode of a window",
        (
            ENSEMBLE,
            SAMPLE,
            integer("slice", "slice of the window, from 0, lowest first"),
            number("frequency", FREQUENCY, "angular frequency sqrt(lambda)"),
            number("participation_ratio", "1", "e = (sum z_i^2)^2 / (N sum z_i^4)"),
            number("participation_number", "1", "N e"),
            number("residual", "1", "||H psi - lambda psi|| / lambda"),
            flag("certified", "inertia counts say that no mode of its slice is missing"),
        ),
        needs=one_of("windows"),
    ),
    TableSchema(
        "density_of_states",
        "tables/density_of_states.csv",
        "one row per ensemble and logarithmic bin, complete windows only",
        (
            ENSEMBLE,
            number("frequency_low", FREQUENCY, "lower edge of the bin"),
            number("frequency_high", FREQUENCY, "upper edge of the bin"),
            number("frequency", FREQUENCY, "geometric centre of the bin"),
            integer("modes", "modes counted in the bin"),
            SAMPLES,
            *estimate(
                "density_of_states",
                DENSITY_OF_STATES,
                "D(w), normalised to 1 over the d N - zero_modes vibrations",
            ),
            *estimate("reduced_density", "1/frequency^d", "D(w) / w^(d-1)"),
            number(
                "debye_level",
                "1/frequency^d",
                "d / w_D^d from the measured moduli: D(w) / w^(d-1) of the elastic continuum",
            ),
        ),
        needs=one_of("modes"),
    ),
    TableSchema(
        "cumulative",
        "tables/cumulative.csv",
        "one row per ensemble and frequency of a logarithmic grid, complete windows only",
        (
            ENSEMBLE,
            number("frequency", FREQUENCY, "frequency w"),
            integer("modes", "modes below w, all samples together"),
            SAMPLES,
            *estimate("cumulative", "1", "F(w), fraction of the vibrations below w"),
            *estimate(
                "reduced_cumulative",
                "1/frequency^5",
                "F(w) / w^5: a plateau where D(w) ~ w^4",
            ),
        ),
        needs=one_of("modes"),
    ),
    TableSchema(
        "participation",
        "tables/participation.csv",
        "one row per ensemble and logarithmic bin, complete windows only",
        (
            ENSEMBLE,
            number("frequency_low", FREQUENCY, "lower edge of the bin"),
            number("frequency_high", FREQUENCY, "upper edge of the bin"),
            number("frequency", FREQUENCY, "geometric centre of the bin"),
            integer("modes", "modes in the bin"),
            SAMPLES,
            *estimate("participation_ratio", "1", "mean e of the modes in the bin"),
            *estimate("participation_number", "1", "mean N e of the modes in the bin"),
        ),
        needs=one_of("modes"),
    ),
    TableSchema(
        "moduli",
        "tables/moduli.csv",
        "one row per sample with moduli; shear moduli are means over ordered directions",
        (
            ENSEMBLE,
            SAMPLE,
            number("energy_per_particle", "energy", "energy of the inherent structure / N"),
            number("pressure", MODULUS, "pressure"),
            number("shear_modulus", MODULUS, "G, mean over ordered pairs of directions"),
            number("born_shear_modulus", MODULUS, "affine part of G, prestress included"),
            number(
                "non_affine_force_squared_mean",
                "(energy/length)^2",
                "<|Xi|^2>, mean over particles and ordered pairs of directions",
            ),
            number("bulk_modulus", MODULUS, "K"),
            number("mass_density", "mass/length^d", "mass per volume"),
            number(
                "debye_frequency", FREQUENCY, "from G and K of this sample; empty if G is negative"
            ),
            number("max_force", "energy/length", "largest component of a net force"),
        ),
        needs=one_of("moduli"),
    ),
    TableSchema(
        "moduli_by_direction",
        "tables/moduli_by_direction.csv",
        "one row per sample and ordered pair of strain directions x_a += gamma x_b",
        (
            ENSEMBLE,
            SAMPLE,
            text("direction", "ab, such as `xy`"),
            number("shear_modulus", MODULUS, "G_ab"),
            number("born_shear_modulus", MODULUS, "affine part of G_ab"),
        ),
        needs=one_of("moduli"),
    ),
    TableSchema(
        "moduli_means",
        "tables/moduli_means.csv",
        "one row per ensemble and quantity of the table moduli, averaged over samples",
        (
            ENSEMBLE,
            text("quantity", "column of the table moduli"),
            text("unit", "unit of the numbers of this row"),
            SAMPLES,
            number("mean", "see unit", "mean over samples"),
            number("standard_error", "see unit", "standard error of the mean over samples"),
            number("low", "see unit", "lower end of the confidence interval of the mean"),
            number("high", "see unit", "upper end of the confidence interval of the mean"),
            number("standard_deviation", "see unit", "sample-to-sample standard deviation (n - 1)"),
        ),
        needs=one_of("moduli"),
    ),
    TableSchema(
        "shear_modulus",
        "tables/shear_modulus.csv",
        "one row per ensemble: statistics of single strain directions pooled as separate draws",
        (
            ENSEMBLE,
            text("group", "model and protocol"),
            DIMENSION,
            PARTICLES,
            SAMPLES,
            integer("draws", "moduli pooled: samples times ordered directions"),
            *estimate("mean", MODULUS, "mean shear modulus"),
            *estimate("standard_deviation", MODULUS, "standard deviation (n - 1) of the draws"),
            *estimate("disorder_parameter", "1", "gamma(N) = N (standard deviation / mean)^2"),
            *estimate("skewness", "1", "third standardised moment"),
            number("negative_fraction", "1", "fraction of draws below zero"),
            number("smallest", MODULUS, "smallest draw"),
        ),
        needs=one_of("moduli"),
    ),
    TableSchema(
        "shear_modulus_distribution",
        "tables/shear_modulus_distribution.csv",
        "one row per ensemble and bin of P(mu), single directions pooled",
        (
            ENSEMBLE,
            number("shear_modulus_low", MODULUS, "lower edge of the bin"),
            number("shear_modulus_high", MODULUS, "upper edge of the bin"),
            number("shear_modulus", MODULUS, "centre of the bin"),
            number("relative_deficit", "1", "(<mu> - mu) / <mu> at the centre"),
            integer("draws", "moduli in the bin"),
            SAMPLES,
            *estimate("probability_density", "length^d/energy", "P(mu)"),
        ),
        needs=one_of("moduli"),
    ),
    TableSchema(
        "dipoles",
        "tables/dipoles.parquet",
        "one row per dipole response",
        (
            ENSEMBLE,
            SAMPLE,
            integer("i", "first particle of the contact, from 0"),
            integer("j", "second particle of the contact"),
            number("stiffness", "energy/length^2", "kappa_ij = (d.M^-1.d) / (d.M^-2.d)"),
            number("residual", "1", "relative residual of the solve"),
        ),
        needs=one_of("dipoles"),
    ),
    TableSchema(
        "dipole_stiffness",
        "tables/dipole_stiffness.csv",
        "one row per ensemble: stiffness of responses to dipoles on random contacts",
        (
            ENSEMBLE,
            text("group", "model and protocol"),
            DIMENSION,
            PARTICLES,
            SAMPLES,
            integer("dipoles", "contacts drawn, all samples together"),
            *estimate("mean", "energy/length^2", "mean stiffness kappa"),
            *estimate("standard_deviation", "energy/length^2", "standard deviation over contacts"),
            number("median", "energy/length^2", "median stiffness"),
            number("smallest", "energy/length^2", "softest response"),
            number("largest_residual", "1", "largest relative residual of a solve"),
        ),
        needs=one_of("dipoles"),
    ),
    TableSchema(
        "dipole_stiffness_distribution",
        "tables/dipole_stiffness_distribution.csv",
        "one row per ensemble and logarithmic bin of P(kappa)",
        (
            ENSEMBLE,
            number("stiffness_low", "energy/length^2", "lower edge of the bin"),
            number("stiffness_high", "energy/length^2", "upper edge of the bin"),
            number("stiffness", "energy/length^2", "geometric centre of the bin"),
            integer("dipoles", "contacts in the bin"),
            SAMPLES,
            *estimate("probability_density", "length^2/energy", "P(kappa)"),
        ),
        needs=one_of("dipoles"),
    ),
    TableSchema(
        "exponents",
        "fits/exponents.csv",
        "one row per ensemble: exponent s of D(w) ~ w^s below w*, s + 1 = n / sum ln(w*/w_i)",
        (
            ENSEMBLE,
            text("group", "model and protocol"),
            DIMENSION,
            PARTICLES,
            SAMPLES,
            number("window_upper", FREQUENCY, "upper end w* of the window"),
            text("window_set_by", "what limits it: `phonon`, `cutoff` or `complete`"),
            number("phonon_limit", FREQUENCY, "the stated fraction of the first phonon"),
            number("cutoff", FREQUENCY, "w_c, end of the F/w^5 plateau"),
            text(
                "cutoff_source", "`plateau` if read off our own data, else where it was taken from"
            ),
            text("plateau", "what the F/w^5 plateau of this ensemble shows"),
            integer("modes", "modes in the window, all samples together"),
            integer("samples_used", "samples with at least one of them"),
            *estimate("exponent", "1", "s; empty if not resolved"),
            number("inner_exponent", "1", "s in the lower 80 % of the window, as a check"),
            number("inner_exponent_error", "1", "standard error of inner_exponent"),
            number(
                "goodness",
                "1",
                "probability that a true power law looks worse (Kolmogorov-Smirnov)",
            ),
            VERDICT,
            integer("modes_needed", "modes in the window for the precision asked for"),
            NEEDED,
        ),
        needs=one_of("modes"),
    ),
    TableSchema(
        "exponent_scan",
        "fits/exponent_scan.csv",
        "one row per ensemble and upper end of the window: how the answer depends on w*",
        (
            ENSEMBLE,
            number("window_upper", FREQUENCY, "upper end w* of the window"),
            integer("modes", "modes in the window"),
            integer("samples_used", "samples with at least one of them"),
            *estimate("exponent", "1", "s by maximum likelihood in this window"),
            text(
                "regime",
                "`inside` the window of the w^4 law, `above cutoff`, or `phonons`; "
                "only `inside` tests the law",
            ),
        ),
        needs=one_of("modes"),
    ),
    TableSchema(
        "tails",
        "fits/tails.csv",
        "one row per ensemble and algebraic tail",
        (
            ENSEMBLE,
            text("quantity", "`shear_modulus` (upper tail of the deficit) or `dipole_stiffness`"),
            text("law", "the law tested"),
            SAMPLES,
            number("threshold", "see law", "where the tail begins"),
            integer("values", "values in the tail"),
            integer("samples_used", "samples with at least one of them"),
            *estimate("exponent", "1", "tail exponent; empty if not resolved"),
            number("expected", "1", "exponent that theory gives; empty if none"),
            VERDICT,
            NEEDED,
        ),
        needs=one_of("moduli", "dipoles"),
    ),
    TableSchema(
        "size_scaling",
        "fits/size_scaling.csv",
        "one row per group and quantity: slope of ln(quantity) against ln(N)",
        (
            text("group", "model and protocol"),
            DIMENSION,
            text("quantity", "`participation_number`, `shear_modulus` or `disorder_parameter`"),
            text("ensembles", "ensembles used, separated by spaces"),
            text("sizes", "their N, separated by spaces"),
            text("values", "the quantity at these N, separated by spaces"),
            text("errors", "its errors, separated by spaces"),
            text("counts", "modes or draws behind each value, separated by spaces"),
            number("window_upper", FREQUENCY, "modes below this frequency; empty for moduli"),
            number("slope", "1", "slope; empty if not resolved"),
            number("slope_error", "1", "its propagated error; also given if not resolved"),
            VERDICT,
            integer("samples_needed", "factor on the samples of every size, times the smallest"),
        ),
        needs=one_of("modes", "moduli"),
    ),
)

_COMPARISON = TableSchema(
    "comparison",
    "tables/comparison.csv",
    "one row per quantity of the paper and ensemble or group that can speak to it",
    (
        text("paper", "short name of the paper"),
        text("quantity", "what is compared"),
        DIMENSION,
        ENSEMBLE,
        text("particles", "N of the ensemble, or the sizes compared"),
        text("protocol", "how our glasses were made"),
        text("paper_says", "the paper's value or claim"),
        number("paper_value", "see unit", "the paper's number; empty for a claim"),
        number("tolerance", "see unit", "uncertainty to be granted to the paper's number"),
        text("paper_protocol", "how the paper's glasses were made"),
        text("place", "where the paper says so"),
        number("measured", "see unit", "our value; empty if not resolved"),
        number("measured_error", "see unit", "its standard error over samples"),
        text("unit", "unit of the numbers of this row"),
        text(
            "verdict",
            "agree, disagree, not resolved, different protocol, or paper contradicts itself",
        ),
        integer("samples_needed", "samples that would resolve it, for `not resolved`; else empty"),
        text("explanation", "why this verdict"),
    ),
)

TABLES: dict[str, TableSchema] = {t.name: t for t in (*_TABLES, *SPECTRAL_TABLES, _COMPARISON)}


def units_rows(names: Iterable[str]) -> list[dict[str, str]]:
    """Return the rows of ``units.csv`` for some tables: table, column, unit, description."""
    return [
        {"table": t.name, "column": c.name, "unit": c.unit, "description": c.description}
        for t in (TABLES[name] for name in names)
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
    for t in TABLES.values():
        lines += ["", f"## {t.name}", "", f"`{t.path}`: {t.rows}.", ""]
        lines += ["| column | unit | meaning |", "|---|---|---|"]
        lines += [f"| `{c.name}` | {c.unit} | {_escaped(c.description)} |" for c in t.columns]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(documentation(), end="")
