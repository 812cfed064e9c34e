"""What the thesis on soft excitations says, with the place, the protocol and its own doubts.

Paper: G. Kapteijns' thesis, chapters 2 (vibrational density of states in two, three and
four dimensions; slow cooling) and 3 (units of the instantaneous quenches).  `tolerance`
is what must be granted to the printed number: its rounding and the spread that
independent reproductions showed.  `contradiction` is set where the thesis disagrees with
itself or with elasticity theory.
"""

from __future__ import annotations

from dataclasses import dataclass

SLOW_COOLING = "slow_cooling"
QUENCH = "instantaneous_quench"

PAPER = "Kapteijns thesis"
SLOW_COOLING_WORDS = "cooling from T = 1.0 to 0.1 at rate 1e-3, then minimisation (section 2.2)"
QUENCH_WORDS = "instantaneous quench from high parent temperature"

PAPER_COOLING_RATE = 1e-3
"""Cooling rate of chapter 2."""

CUTOFF_RATIO = 0.05
"""``w_c / w_D``, end of the w^4 law (section 2.4, Fig. 2.4; three and four dimensions)."""

CUTOFF_PLACE = "section 2.4, Fig. 2.4"


@dataclass(frozen=True)
class PaperValue:
    """One printed number: `model` and `protocol` say which ensembles it speaks about."""

    quantity: str
    model: str
    dimension: int
    value: float
    tolerance: float
    unit: str
    protocol: str
    protocol_words: str
    place: str
    particles: str
    contradiction: str = ""


def _shear(dimension: int, value: float, tolerance: float, contradiction: str = "") -> PaperValue:
    return PaperValue(
        "shear_modulus",
        f"ipl_{dimension}d",
        dimension,
        value,
        tolerance * value,
        "energy/length^d",
        QUENCH,
        QUENCH_WORDS,
        "Table 3.2",
        {2: "400 to 25600", 3: "2048 to 32768", 4: "10000"}[dimension],
        contradiction,
    )


def _debye(dimension: int, value: float, contradiction: str = "") -> PaperValue:
    return PaperValue(
        "debye_frequency",
        f"ipl_{dimension}d",
        dimension,
        value,
        0.03 * value,
        "sqrt(energy/mass)/length",
        SLOW_COOLING,
        SLOW_COOLING_WORDS,
        "section 2.2",
        {2: "196 to 1600", 3: "1000 to 4000", 4: "5000 to 20000"}[dimension],
        contradiction,
    )


def _exponent(dimension: int) -> PaperValue:
    return PaperValue(
        "exponent",
        f"ipl_{dimension}d",
        dimension,
        4.0,
        0.2,
        "1",
        SLOW_COOLING,
        SLOW_COOLING_WORDS,
        "Eq. 2.1, Fig. 2.2, Table 2.1",
        {2: "196 to 1600", 3: "1000 to 4000", 4: "5000 to 20000"}[dimension],
    )


_SLOW_IN_TABLE = (
    "the heading of Table 3.2 says T_p = infinity, but section 3.2 made these glasses by slow "
    "cooling; the number is that of instantaneous quenches"
)
_SLOW_OR_NOT = (
    "the heading of Table 3.2 says T_p = infinity, but section 3.2 made these glasses by slow "
    "cooling, which stiffens them; the thesis does not say which of the two the number is"
)
_DEBYE_4D = (
    "23.3 would need G = 23.7, above the Born modulus and twice the 10.9 of Table 3.2, which "
    "gives 15.8; 23.3 is close to sqrt(2) times 16.5, the value to expect after slow cooling"
)

PAPER_VALUES: tuple[PaperValue, ...] = (
    _shear(2, 15.8, 0.05, _SLOW_IN_TABLE),
    _shear(3, 12.4, 0.03),
    _shear(4, 10.9, 0.05, _SLOW_OR_NOT),
    _debye(2, 20.2),
    _debye(3, 17.3),
    _debye(4, 23.3, _DEBYE_4D),
    _exponent(2),
    _exponent(3),
    _exponent(4),
)

PAPER_ENSEMBLE_SIZES: dict[int, str] = {
    2: "122,500 to 1,000,000 samples (Table 2.1)",
    3: "50,000 to 100,000 samples (Table 2.1)",
    4: "1,000 to 4,000 samples (Table 2.1)",
}


def participation_claim(dimension: int) -> str:
    """Return what section 2.3 (Fig. 2.3) says about the participation of soft modes."""
    if dimension == 2:
        return "e >> 1/N, consistent with (log N)^2 / N: N e grows with N"
    return "e ~ 1/N: N e does not depend on N"


PARTICIPATION_PLACE = "section 2.3, Fig. 2.3"
"""Running averages of N e against frequency for several N."""

PARTICIPATION_TOLERANCE = 0.15
"""Slope of ln(N e) against ln(N) within which `N e` counts as independent of `N`."""

SHEAR_TAIL_EXPONENT = 3.5
"""``P(mu) ~ (<mu> - mu)**(-7/2)`` (Eq. 5.5)."""
