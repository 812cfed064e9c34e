"""What the paper on viscoelastic lattices says, with the place and its own doubts.

Paper: R. Milkus and A. Zaccone, on the viscoelastic response of a random network, the
bond-depleted fcc lattice and the fcc lattice with vacancies (N = 5 x 10^4, nu = 10^4).
The paper prints exponents and claims without errors.  The tolerances of exponents, plateau
and collapse were fixed before anything was measured.  The two rows that read w_D off the
moments were chosen, with the 10 % that independent small networks show, after runs at
N = 4,000 had been seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

PAPER = "Milkus and Zaccone"
CLOSED_FORM = "closed form"
PREDICTION = "prediction"

PAPER_PROTOCOL = "N = 50,000, nu = 10,000; Z = 7 and Z = 6.1 (vacancies: 6), shown as Z = 6"

CUBIC_FORM_ONLY = (
    "the paper computes G*(W) and G(t) from its cubic form, which has w^2 at low w and therefore "
    "W^(1/2) and t^(-1/2) for every Z; W^1 at Z = 7 needs the w^4 of phonons that the form leaves "
    "out"
)
"""Why Fig. 3 cannot show both exponents of its text."""

NEVER_STEEPER = (
    "with the cubic form the local exponent of G(t) - G runs from 0 to -1/2 and never to -3/4; "
    "that of G(t), which ends at G > 0, is flatter still"
)

HALF_IS_A_LIMIT = (
    "1/2 is the limit of the cubic form for W -> 0, which it reaches like w ln w; in a window of "
    "two decades below the band it is still flatter"
)

BULK_LINEAR = (
    "a viscosity that does not depend on N belongs to the bulk: the crossover to W^1 is that of "
    "the spectrum, not the end of a finite sample"
)

TWO_FACTORS = (
    "Eq. 2 multiplies D Gamma by 3 rho, so D Gamma and G'' cannot both collapse with the same "
    "factor when densities differ; the sum rules ask for N <|Xi|^2> / n and rho <|Xi|^2>"
)


@dataclass(frozen=True)
class Claim:
    """One claim: `value` and `tolerance` are empty where only a trend is stated."""

    quantity: str
    says: str
    value: float | None
    tolerance: float | None
    place: str
    unit: str = "1"


CUBIC_FORM = Claim(
    "deviation from the cubic form",
    "D Gamma is fitted by w^2 (w_D - w)",
    0.0,
    0.2,
    "Eq. 3, Fig. 2(e,f)",
)
EDGE_STATIC = Claim(
    "w_D of the cubic form from G_A - G, over the band edge",
    "1 if Eq. 3 holds with w_D the band edge",
    1.0,
    0.1,
    "sum rule of order -1 of Eq. 3",
)
EDGE_STIFF = Claim(
    "w_D of the cubic form from Xi.H.Xi, over the band edge",
    "1 if Eq. 3 holds with w_D the band edge",
    1.0,
    0.1,
    "sum rule of order 1 of Eq. 3",
)
CORRELATOR = Claim(
    "exponent of Gamma(w)", "Gamma ~ w^2 at low w", 2.0, 0.2, "section IV, Fig. 2(c,d)"
)
PLATEAU = Claim(
    "exponent of D(w)", "D(w) has a plateau as Z -> 6", 0.0, 0.1, "section IV, Fig. 2(a)"
)
LOSS_NEAR = Claim("exponent of G''(W), low W", "G'' ~ W^(1/2) for Z near 6", 0.5, 0.05, "Fig. 3(c)")
LOSS_STABLE = Claim("exponent of G''(W), low W", "G'' ~ W for Z = 7", 1.0, 0.05, "Fig. 3(d)")
LINEAR = Claim(
    "G''/W at the lowest W, larger N over smaller N",
    "G'' ~ W for Z = 7",
    1.0,
    0.1,
    "Fig. 3(d)",
)
LOSS_HIGH = Claim("exponent of G''(W), high W", "G'' ~ 1/W", -1.0, 0.05, "section IV, Fig. 3(c,d)")
CREEP = Claim(
    "exponent of G(t)",
    "a power law with an exponent between -1/2 and -3/4",
    -0.625,
    0.125,
    "section IV, Fig. 4",
)
CREEP_DECAY = replace(CREEP, quantity="exponent of G(t) - G")
CREEP_LIMIT = Claim(
    "exponent of G(t) - G",
    "t^(-1/2) from Eq. 7, which leaves G out",
    -0.5,
    0.05,
    "Eq. 8, abstract",
)
CREEP_DECADES = Claim(
    "decades of power-law G(t)", "3 to 4 orders of magnitude in time", 3.5, 0.5, "caption of Fig. 4"
)
DECAY_DECADES = replace(CREEP_DECADES, quantity="decades of power-law G(t) - G")
DECAY_BREAKS = Claim(
    "decades of power-law G(t) - G", "it breaks down for Z = 7", None, None, "caption of Fig. 4"
)

BOND_ORDER: dict[str, Claim] = {
    "bond_depleted_lattice": Claim(
        "F6", "practically 1 for any Z", 1.0, 0.1, "section II (from its ref. 18)"
    ),
    "random_network": Claim("F6", "about 0.3", 0.3, 0.1, "section II (from its ref. 18)"),
}

FORCES = Claim("<|Xi|^2>", "bonds kept at random", None, 0.02, "closed form", "(energy/length)^2")
AFFINE = Claim("affine modulus G_A", "rho Z <n_x^2 n_y^2> / 2", None, 0.01, "closed form", "")
STATIC = Claim("static modulus G", "effective medium", None, 0.1, "effective-medium theory", "")

COLLAPSE_TOLERANCE = 0.1
"""Curves that are 10 % apart (rms) lie on one another in a figure over many decades."""

COLLAPSE: dict[str, tuple[str, str]] = {
    "density_times_correlator": ("D Gamma falls onto one curve", "Eq. 3, Fig. 2(e,f)"),
    "storage_modulus": ("G' falls onto one curve", "section V"),
    "loss_modulus": ("G'' falls onto one curve", "Fig. 3(c,d), section V"),
}
"""By quantity: the claim, always after division by <|Xi|^2> / rho, and where it stands."""

QUASILOCALISED = Claim(
    "exponent of G(t) - G",
    "t^(-3/2) if quasilocalised modes give D Gamma ~ w^4; t^(-d/2) from phonons",
    -1.5,
    0.15,
    "D Gamma ~ w^4",
)
