"""Tables of spectral functions and of the viscoelasticity that follows from them."""

from __future__ import annotations

from glassmodes.campaign.record_schema import WEIGHT
from glassmodes.campaign.table_columns import (
    DENSITY_OF_STATES,
    DIMENSION,
    ENSEMBLE,
    FORCE_SQUARED,
    FREQUENCY,
    GROUP,
    MODULUS,
    NEEDED,
    PARTICLES,
    SAMPLE,
    SAMPLES,
    TIME,
    TITLE,
    VERDICT,
    TableSchema,
    all_of,
    estimate,
    flag,
    integer,
    number,
    one_of,
    text,
)

WEIGHT_DENSITY = f"{WEIGHT}/frequency"

_SYSTEM = text("system", "name of the protocol: which network or glass")
_ASKED = number("coordination_asked", "1", "mean bonds per particle Z asked for; empty for glasses")
_AFFINE = "affine modulus G_A, mean over the strains"
_STATIC = "static modulus G, mean over the strains"
_FORCES = "<|Xi|^2>, mean over particles and strains"

_ENSEMBLES = (
    TableSchema(
        "networks",
        "tables/networks.csv",
        "one row per ensemble of networks: its structure, and what closed forms expect of it",
        (
            ENSEMBLE,
            TITLE,
            GROUP,
            _SYSTEM,
            _ASKED,
            DIMENSION,
            PARTICLES,
            number("density", "1/length^d", "particles per volume"),
            SAMPLES,
            *estimate("coordination", "1", "mean bonds per particle Z, all particles counted"),
            number(
                "coordination_deviation",
                "1",
                "standard deviation of the bonds over the particles of a sample, mean over samples",
            ),
            *estimate(
                "bond_order",
                "1",
                "F6: mean normalised l = 6 (2D: hexagonal) bond correlation of geometric "
                "neighbours, pairs closer than 1.3 springs",
            ),
            number("largest_cluster", "1", "part of the particles in the largest connected part"),
            number("crystal_order", "1", "order parameter of the parent glass; empty for lattices"),
            *estimate("zero_mode_fraction", "1", "zero modes / (d N), the translations included"),
            *estimate("max_frequency", FREQUENCY, "band edge w_D, square root of the top of D"),
            *estimate("non_affine_force_squared_mean", FORCE_SQUARED, _FORCES),
            number(
                "expected_force_squared",
                FORCE_SQUARED,
                "<|Xi|^2> = k^2 R0^2 <(n_x n_y)^2> (Z (Z0 - Z) - s^2) / (Z0 - 1) for bonds kept at "
                "random, Z0 of the full lattice, s the standard deviation of the bonds per "
                "particle; empty where there is no such form",
            ),
            *estimate("affine_modulus", MODULUS, _AFFINE),
            number(
                "expected_affine_modulus",
                MODULUS,
                "k R0^2 rho Z <(n_x n_y)^2> / 2 of the lattice; empty where there is none",
            ),
            *estimate("static_modulus", MODULUS, _STATIC),
            number(
                "effective_medium_modulus",
                MODULUS,
                "G of the full lattice times (p - p_c) / (1 - p_c), p = Z / Z0, p_c = 2 d / Z0, "
                "for lattices with bonds removed",
            ),
        ),
        all_of("networks"),
    ),
    TableSchema(
        "spectral_ensembles",
        "tables/spectral_ensembles.csv",
        "one row per ensemble with spectra or viscoelasticity: means of the table spectral_samples",
        (
            ENSEMBLE,
            TITLE,
            GROUP,
            _SYSTEM,
            _ASKED,
            DIMENSION,
            PARTICLES,
            number("density", "1/length^d", "particles per volume"),
            SAMPLES,
            number("resolution", FREQUENCY, "full width at half maximum of the spectra"),
            number("damping", "1/time", "damping nu, a rate per unit mass"),
            *estimate("coordination", "1", "mean bonds per particle Z; empty for glasses"),
            *estimate("vibrations", "1", "n = d N - zero modes"),
            *estimate("zero_mode_fraction", "1", "zero modes / (d N), the translations included"),
            *estimate("max_frequency", FREQUENCY, "band edge w_D, square root of the top of D"),
            *estimate("non_affine_force_squared_mean", FORCE_SQUARED, _FORCES),
            *estimate("affine_modulus", MODULUS, _AFFINE),
            *estimate("static_modulus", MODULUS, _STATIC),
            *estimate("moment_minus_one", "energy", "Xi.H^+.Xi / N"),
            *estimate("moment_zero", WEIGHT, "Xi.Xi / N"),
            *estimate("moment_one", f"{WEIGHT} frequency^2", "Xi.H.Xi / N"),
        ),
        one_of("spectra", "viscoelasticity"),
    ),
    TableSchema(
        "spectral_samples",
        "tables/spectral_samples.csv",
        "one row per sample with spectra or viscoelasticity; means over the strains",
        (
            ENSEMBLE,
            SAMPLE,
            number("coordination", "1", "mean bonds per particle Z; empty for glasses"),
            number("coordination_deviation", "1", "its standard deviation over particles"),
            number("bond_order", "1", "F6; empty for glasses"),
            number("largest_cluster", "1", "part of the particles in the largest connected part"),
            number(
                "zero_modes",
                "1",
                "null vectors, the translations included; a whole number if counted exactly",
            ),
            number("zero_modes_error", "1", "standard error of an estimated number, else 0"),
            text("zero_modes_method", "`translations`, `inertia` or `kernel polynomial`"),
            number("vibrations", "1", "n = d N - zero_modes"),
            number("max_frequency", FREQUENCY, "band edge w_D"),
            number("number_density", "1/length^d", "particles per volume"),
            number("non_affine_force_squared_mean", FORCE_SQUARED, _FORCES),
            number("affine_modulus", MODULUS, _AFFINE),
            number("static_modulus", MODULUS, _STATIC),
            number("moment_minus_one", "energy", "Xi.H^+.Xi, extensive"),
            number("moment_zero", WEIGHT, "Xi.Xi, extensive"),
            number("moment_one", f"{WEIGHT} frequency^2", "Xi.H.Xi, extensive"),
            integer("products", "products of the moments of the spectra"),
            integer("steps", "Lanczos steps of the moduli, the largest of the strains"),
            number("error", MODULUS, "estimated numerical error of the moduli, the largest"),
        ),
        one_of("spectra", "viscoelasticity"),
    ),
)

_CURVES = (
    TableSchema(
        "spectral_densities",
        "tables/spectral_densities.csv",
        "one row per ensemble and frequency: spectra averaged over samples and strains",
        (
            ENSEMBLE,
            number("frequency", FREQUENCY, "frequency w"),
            SAMPLES,
            *estimate("density", DENSITY_OF_STATES, "D(w), normalised to 1 over n vibrations"),
            *estimate("correlator", WEIGHT, "Gamma(w), mean over samples of D Gamma / mean of D"),
            *estimate(
                "density_times_correlator",
                WEIGHT_DENSITY,
                "D Gamma = (1/n) sum_p (Xi.psi_p)^2 delta(w - w_p)",
            ),
            *estimate(
                "reduced_product",
                "1/(frequency length^d)",
                "D Gamma / (<|Xi|^2> / rho), the normalisation of paper 000",
            ),
            number(
                "cubic_form",
                WEIGHT_DENSITY,
                "C w^2 (w_D - w), C = 12 (Xi.Xi/n) / w_D^4, without a free parameter",
            ),
        ),
        one_of("spectra"),
    ),
    TableSchema(
        "oscillatory_moduli",
        "tables/oscillatory_moduli.csv",
        "one row per ensemble and frequency: G*(W), averaged over samples and strains",
        (
            ENSEMBLE,
            number("frequency", FREQUENCY, "frequency of the strain W"),
            SAMPLES,
            *estimate("storage_modulus", MODULUS, "G'(W)"),
            *estimate("loss_modulus", MODULUS, "G''(W)"),
            *estimate("loss_exponent", "1", "d ln G'' / d ln W of the mean, centred differences"),
            number("cubic_storage_modulus", MODULUS, "G' of the cubic form, no free parameter"),
            number("cubic_loss_modulus", MODULUS, "G'' of the cubic form, no free parameter"),
            number("cubic_loss_exponent", "1", "d ln G'' / d ln W of the cubic form"),
            flag(
                "inside_window",
                "between w_min^2/nu and w_D^2/nu: below, every finite sample is trivially linear; "
                "w_min = 2 pi sqrt(G/rho) / L, the first transverse phonon of the mean G",
            ),
        ),
        one_of("viscoelasticity"),
    ),
    TableSchema(
        "relaxation",
        "tables/relaxation.csv",
        "one row per ensemble and time: G(t), averaged over samples and strains",
        (
            ENSEMBLE,
            number("time", TIME, "time t after a step of strain"),
            SAMPLES,
            *estimate("relaxation_modulus", MODULUS, "G(t), from G_A down to G"),
            *estimate("decay", MODULUS, "G(t) - G"),
            *estimate("decay_exponent", "1", "d ln (G(t) - G) / d ln t of the mean"),
            *estimate("modulus_exponent", "1", "d ln G(t) / d ln t of the mean"),
            *estimate("overdamped_decay", MODULUS, "G(t) - G in the limit without inertia"),
            number("cubic_decay", MODULUS, "G(t) - G of the cubic form, no free parameter"),
            number("cubic_exponent", "1", "d ln (G(t) - G) / d ln t of the cubic form"),
            flag("inside_window", "between nu/w_D^2 and nu/w_min^2"),
        ),
        one_of("viscoelasticity"),
    ),
    TableSchema(
        "sample_spectra",
        "tables/sample_spectra.parquet",
        "one row per sample and frequency",
        (
            ENSEMBLE,
            SAMPLE,
            number("frequency", FREQUENCY, "frequency w"),
            number("density", DENSITY_OF_STATES, "D(w)"),
            number("density_error", DENSITY_OF_STATES, "its standard error over random vectors"),
            number("density_times_correlator", WEIGHT_DENSITY, "D Gamma, mean over the strains"),
            number("correlator", WEIGHT, "Gamma, mean over the strains"),
        ),
        one_of("spectra"),
    ),
    TableSchema(
        "sample_oscillations",
        "tables/sample_oscillations.parquet",
        "one row per sample and frequency",
        (
            ENSEMBLE,
            SAMPLE,
            number("frequency", FREQUENCY, "frequency of the strain W"),
            number("storage_modulus", MODULUS, "G'(W), mean over the strains"),
            number("loss_modulus", MODULUS, "G''(W), mean over the strains"),
        ),
        one_of("viscoelasticity"),
    ),
    TableSchema(
        "sample_relaxations",
        "tables/sample_relaxations.parquet",
        "one row per sample and time",
        (
            ENSEMBLE,
            SAMPLE,
            number("time", TIME, "time t after a step of strain"),
            number("relaxation_modulus", MODULUS, "G(t), mean over the strains"),
            number("decay", MODULUS, "G(t) - G, mean over the strains"),
            number("overdamped_decay", MODULUS, "the same without inertia"),
        ),
        one_of("viscoelasticity"),
    ),
)

_FITS = (
    TableSchema(
        "cubic_forms",
        "fits/cubic_forms.csv",
        "one row per ensemble: how well D Gamma = C w^2 (w_D - w) holds",
        (
            ENSEMBLE,
            GROUP,
            _SYSTEM,
            _ASKED,
            DIMENSION,
            PARTICLES,
            SAMPLES,
            number("window_low", FREQUENCY, "lower end of the window of the deviations"),
            number("window_high", FREQUENCY, "upper end of the window of the deviations"),
            *estimate("edge", FREQUENCY, "w_D, the band edge: no free parameter"),
            *estimate(
                "deviation",
                "1",
                "rms over the window of D Gamma minus the form with w_D, over the rms of the form",
            ),
            *estimate("fitted_edge", FREQUENCY, "w_D by least squares, C fixed by the sum rule"),
            *estimate("deviation_fitted", "1", "deviation with the fitted edge"),
            *estimate(
                "drop_ratio",
                "1",
                "(G_A - G) / (6 Xi.Xi / (V w_D^2)): moment -1 against the form",
            ),
            *estimate(
                "moment_one_ratio",
                "1",
                "Xi.H.Xi / (0.4 w_D^2 Xi.Xi): moment 1 against the form",
            ),
        ),
        one_of("spectra"),
    ),
    TableSchema(
        "response_exponents",
        "fits/response_exponents.csv",
        "one row per ensemble and quantity: exponent over the window of its regime",
        (
            ENSEMBLE,
            GROUP,
            _SYSTEM,
            _ASKED,
            DIMENSION,
            PARTICLES,
            SAMPLES,
            text(
                "quantity",
                "`loss_low` and `loss_high` (G'' against W); `decay` (G(t) - G), `decay_late` (the "
                "same beyond the first phonon) and `modulus` (G(t)) against t; `density`, "
                "`correlator` and `density_times_correlator` against w",
            ),
            number("window_low", "see quantity", "lower end of the window"),
            number("window_high", "see quantity", "upper end of the window"),
            number("decades", "1", "decades between them"),
            *estimate("exponent", "1", "slope of the logarithms; empty if not resolved"),
            number(
                "smallest_local",
                "1",
                "smallest local exponent in the window; empty for spectra, whose points are close",
            ),
            number("largest_local", "1", "largest local exponent in the window; empty for spectra"),
            number("cubic_exponent", "1", "slope of the cubic form in the same window"),
            number("expected", "1", "exponent that theory or the paper gives; empty if none"),
            number("law_low", "1", "smallest local exponent that counts as the law"),
            number("law_high", "1", "largest local exponent that counts as the law"),
            *estimate(
                "law_decades",
                "1",
                "decades over which the local exponent stays between them without a break, "
                "anywhere between w_min and w_D",
            ),
            number("cubic_law_decades", "1", "the same for the cubic form"),
            VERDICT,
            NEEDED,
        ),
        one_of("spectra", "viscoelasticity"),
    ),
    TableSchema(
        "collapse",
        "fits/collapse.csv",
        "one row per state point, quantity and normalisation: which one collapses the systems",
        (
            text("label", "coordination of the state point, such as `Z = 7`"),
            text(
                "quantity",
                "`density_times_correlator`, `storage_modulus`, `loss_modulus` or `decay`",
            ),
            text(
                "normalisation",
                "what the curves are divided by: `none`, `<|Xi|^2>`, `<|Xi|^2> / rho` (the paper), "
                "`rho <|Xi|^2>` (sum rule of G*), `N <|Xi|^2> / n` (sum rule of D Gamma)",
            ),
            text("ensembles", "ensembles compared, separated by spaces"),
            integer("systems", "number of systems compared"),
            number("window_low", "see quantity", "lower end of the window"),
            number("window_high", "see quantity", "upper end of the window"),
            *estimate("spread", "1", "rms over systems and window of ln(curve / mean curve)"),
            flag("best", "the smallest spread of this state point and quantity"),
        ),
        (*all_of("networks", "viscoelasticity"), *all_of("networks", "spectra")),
    ),
)

SPECTRAL_TABLES: tuple[TableSchema, ...] = (*_ENSEMBLES, *_CURVES, *_FITS)
