"""Keys of the analyses: what is measured in each sample, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from glassmodes.campaign.config_section import Section, key

StrainNames = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[xyzw]{2}$")], ...], Field(min_length=1)
]
Edge = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Modes(Section):
    """Lowest vibrational modes."""

    count: int | None = key(
        None, "lowest modes of each sample; null: as many as `below` says", "1", ge=1, le=10**9
    )
    below: float | None = key(
        None,
        "all modes below this frequency; null: as many as `count` says; one of the two is needed",
        "sqrt(energy/mass)/length",
        gt=0,
    )
    certificate: bool = key(True, "prove by an inertia count that no mode is missing")
    method: Literal["filtered", "slepc", "dense"] = key(
        "filtered",
        "eigensolver: Chebyshev-filtered block Lanczos, SLEPc shift-invert, or LAPACK",
    )
    keep_vectors: bool = key(False, "keep the eigenvectors (count x N x d numbers a sample)")

    @model_validator(mode="after")
    def _one_of_two(self) -> Modes:
        if self.count is not None and self.below is not None:
            raise ValueError("count and below are both given; give one of them")
        return self


class Moduli(Section):
    """Elastic moduli; has no settings."""


class Dipoles(Section):
    """Stiffness of the response to dipoles of forces on random contacts."""

    count: int = key(50, "contacts drawn in each sample", "1", ge=1, le=10**9)


class Grid(Section):
    """A logarithmic grid, both ends included."""

    minimum: float
    maximum: float
    points: int = key(111, "points, both ends included", "1", ge=2, le=10_000)

    @model_validator(mode="after")
    def _rises(self) -> Grid:
        low, high = self.minimum, self.maximum
        if high <= low:
            raise ValueError(f"maximum {high:g} is not above minimum {low:g}")
        return self


class FrequencyGrid(Grid):
    """Frequencies of the strain: a logarithmic grid, both ends included."""

    minimum: float = key(1e-9, "lowest frequency", "sqrt(energy/mass)/length", gt=0)
    maximum: float = key(1e3, "highest frequency", "sqrt(energy/mass)/length", gt=0)


class TimeGrid(Grid):
    """Times after a step of strain: a logarithmic grid, both ends included."""

    minimum: float = key(1.0, "shortest time", "length sqrt(mass/energy)", gt=0)
    maximum: float = key(1e11, "longest time", "length sqrt(mass/energy)", gt=0)


class Spectra(Section):
    """Density of states D(w) and non-affine correlator, without eigenvectors."""

    resolution: float | None = key(
        None,
        "full width at half maximum of every mode; compulsory for ensembles that measure spectra",
        "sqrt(energy/mass)/length",
        gt=0,
    )
    maximum: float | None = key(
        None,
        "end of the frequency grid, which starts at 0; compulsory like `resolution`",
        "sqrt(energy/mass)/length",
        gt=0,
    )
    points: int = key(200, "points of the linear frequency grid", "1", ge=2, le=100_000)
    vectors: int = key(
        16, "random vectors behind D(w); its error falls with their root", "1", ge=2, le=100_000
    )
    strains: StrainNames | None = key(
        None, "strains of the correlator, such as xy; null: xy, xz, yz, ... of the dimension"
    )


class Viscoelasticity(Section):
    """Moduli G*(W) and G(t) under damped motion, without eigenvectors."""

    damping: float = key(1e4, "damping nu, a rate per unit mass", "1/time", gt=0)
    frequencies: FrequencyGrid = key(FrequencyGrid(), "frequencies of the strain")
    times: TimeGrid = key(TimeGrid(), "times after a step of strain")
    strains: StrainNames | None = key(
        None, "strains, such as xy; null: xy, xz, yz, ... of the dimension"
    )
    tolerance: float = key(
        1e-6, "largest error of a modulus, relative to the affine modulus", "1", ge=1e-12, le=0.1
    )


class Windows(Section):
    """All modes between two frequencies inside the spectrum, one job for each slice."""

    between: tuple[Edge, Edge] | None = key(
        None,
        "lower and upper frequency; compulsory for ensembles that measure windows",
        "sqrt(energy/mass)/length",
    )
    slices: int = key(
        1, "slices of about as many modes each; 200 to 300 modes are a good size", "1", ge=1, le=999
    )
    method: Literal["auto", "filtered", "shift-invert", "lowest", "slepc", "dense"] = key(
        "auto",
        "eigensolver of a slice: band-pass filter, shift-invert, low-pass filter from below, "
        "SLEPc, LAPACK, or the estimated fastest",
    )
    certificate: Literal["auto", "inertia", "count", "none"] = key(
        "auto",
        "proof that no mode is missing: inertia counts at both ends, or a second start that must "
        "find nothing; auto: the first where its factor fits",
    )

    @model_validator(mode="after")
    def _rises(self) -> Windows:
        if self.between is not None and not self.between[0] < self.between[1]:
            raise ValueError(f"between: {self.between[0]:g} is not below {self.between[1]:g}")
        return self


class Analyses(Section):
    """Settings of the analyses, for all ensembles."""

    modes: Modes = key(Modes(), "lowest vibrational modes")
    moduli: Moduli = key(Moduli(), "shear moduli of all directions, bulk modulus, elastic tensor")
    dipoles: Dipoles = key(Dipoles(), "responses to dipoles of forces")
    spectra: Spectra = key(Spectra(), "density of states and non-affine correlator")
    viscoelasticity: Viscoelasticity = key(Viscoelasticity(), "moduli against frequency and time")
    windows: Windows = key(Windows(), "all modes between two frequencies")
