"""The configuration of a campaign: every key with its type, unit, default and meaning.

This is the one place that knows the keys.  The validation that Snakemake and the
command line use, ``config/README.md`` and the JSON schema for editors
(``workflow/schemas``) all come from the models below and in ``config_protocols`` and
``config_analyses``.  Importing it is cheap; named models are looked up only when a
configuration is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from glassmodes.campaign.config_analyses import Analyses, Modes, Windows
from glassmodes.campaign.config_problems import describe_problems, unknown_keys
from glassmodes.campaign.config_protocols import Network, Protocol
from glassmodes.campaign.config_section import PrintableText, Section, key
from glassmodes.errors import GlassmodesError, InputError
from glassmodes.yaml_files import read_yaml

AnalysisName = Literal["modes", "moduli", "dipoles", "spectra", "viscoelasticity", "windows"]
WINDOWS = "windows"
"""The analysis that has jobs of its own, one for each slice."""
ANALYSES: tuple[AnalysisName, ...] = (
    "modes",
    "moduli",
    "dipoles",
    "spectra",
    "viscoelasticity",
    "windows",
)
DEFAULT_ANALYSES: tuple[AnalysisName, ...] = ("modes", "moduli", "dipoles")
NETWORK_MODEL = "harmonic_network"
ENSEMBLE_NAME = r"^[a-z][a-z0-9_]*$"


class Campaign(Section):
    """The campaign as a whole."""

    title: PrintableText = key("glassmodes campaign", "heading of the report")
    seed: int = key(..., "from which the seed of every sample follows", "1", ge=0, lt=2**63)
    results: PrintableText = key(
        "results", "folder for everything that is written, relative to the working folder"
    )

    @field_validator("results")
    @classmethod
    def _a_folder(cls, results: str) -> str:
        found = [letter for letter in "{}*?[]" if letter in results]
        if found:  # patterns to Snakemake
            raise ValueError(f"the name of the folder holds {found[0]}; use letters and digits")
        if not results.strip() or results.startswith("-") or len(results) > 1000:
            raise ValueError("give the name of a folder")
        return results


class Statistics(Section):
    """How tables, fits and comparison treat the samples."""

    bootstrap_resamples: int = key(1000, "bootstrap resamples over samples", "1", ge=10, le=100_000)
    bootstrap_seed: int = key(0, "seed of the resampling", "1", ge=0)
    confidence: float = key(0.95, "of the confidence intervals", "1", gt=0, lt=1)
    bins_per_decade: int = key(
        20, "logarithmic bins of the density of states", "1/decade", ge=1, le=1000
    )
    phonon_fraction: float = key(
        0.8, "fits of the non-phononic modes end at this part of the first phonon", "1", gt=0
    )
    exponent_precision: float = key(
        0.5, "largest standard error at which an exponent counts as resolved", "1", gt=0
    )
    tail_precision: float = key(
        0.3, "largest relative error at which the exponent of a tail counts as resolved", "1", gt=0
    )
    scaling_precision: float = key(
        0.15, "largest standard error at which a power of N counts as resolved", "1", gt=0
    )


class Ensemble(Section):
    """Samples that differ in their seed only."""

    title: PrintableText = key("", "label in figures and tables; empty: the ensemble's own name")
    model: PrintableText = key(
        ..., "named model (`ipl_2d`, ...), or the path of a model file (.yaml)"
    )
    particles: int = key(..., "particles per sample N", "1", ge=2, le=10**9)
    dimension: int | None = key(
        None, "dimension of space; null: that of the model", "1", ge=2, le=4
    )
    density: float | None = key(
        None, "particles per volume; null: that of the model", "1/length^d", gt=0
    )
    packing_fraction: float | None = key(
        None,
        "volume of the spheres per volume, instead of `density`; harmonic and Hertzian spheres",
        "1",
        gt=0,
        lt=5,
    )
    protocol: Protocol = key(..., "how the glasses are made")
    samples: int = key(..., "samples to make; may be raised later", "1", ge=1, le=10_000_000)
    batch_size: int = key(
        50,
        "samples that one job prepares or analyses; choose it so that jobs last a few "
        "minutes here and 15 to 60 minutes on a cluster; another size later computes nothing again",
        "1",
        ge=1,
        le=10_000_000,
    )
    ranks: int = key(
        1,
        "MPI ranks that share one sample, from its preparation (glasses; networks are made on one "
        "rank each) to its analysis; 1: one rank takes the whole batch",
        "1",
        ge=1,
        le=1_000_000,
    )
    seed: int | None = key(
        None, "replaces the campaign's seed; null: that of the campaign", "1", ge=0, lt=2**63
    )
    analyses: tuple[AnalysisName, ...] = key(DEFAULT_ANALYSES, "what is measured in each sample")
    settings: Analyses | None = key(
        None, "replaces settings of the section `analyses` for this ensemble; same keys"
    )

    @model_validator(mode="after")
    def _each_analysis_once(self) -> Ensemble:
        if len(set(self.analyses)) < len(self.analyses):
            raise ValueError("analyses names one of them twice")
        return self


class CampaignConfig(Section):
    """A whole configuration file."""

    campaign: Campaign = key(..., "title, seed and results folder")
    ensembles: dict[Annotated[str, Field(pattern=ENSEMBLE_NAME)], Ensemble] = key(
        ..., "ensembles by name (small letters, digits and underscores)", min_length=1
    )
    analyses: Analyses = key(Analyses(), "settings of the analyses")
    statistics: Statistics = key(Statistics(), "bootstrap, bins and what counts as resolved")

    @property
    def results(self) -> Path:
        """Folder of all results."""
        return Path(self.campaign.results)

    def seed_of(self, ensemble: str) -> int:
        """Return the seed that the samples of `ensemble` derive from."""
        own = self.ensembles[ensemble].seed
        return self.campaign.seed if own is None else own

    def settings_of(self, ensemble: str, analysis: str) -> Section:
        """Return the settings of one analysis of one ensemble, replacements included."""
        common = getattr(self.analyses, analysis)
        own = self.ensembles[ensemble].settings
        if own is None or analysis not in own.model_fields_set:
            return common
        replaced = getattr(own, analysis)
        changes = {name: getattr(replaced, name) for name in replaced.model_fields_set}
        if analysis == "modes" and (changes.get("count") or changes.get("below")):
            changes = {"count": None, "below": None} | changes
        return common.model_copy(update=changes)

    def analyses_of(self, ensemble: str) -> tuple[str, ...]:
        """Return the analyses of `ensemble` in the order in which a job runs them.

        Those that share a job: windows have jobs of their own, see `slices_of`.
        """
        wanted = self.ensembles[ensemble].analyses
        return tuple(name for name in ANALYSES if name in wanted and name != WINDOWS)

    def slices_of(self, ensemble: str) -> int:
        """Return the slices of the window of `ensemble`, 0 if it asks for no window."""
        if WINDOWS not in self.ensembles[ensemble].analyses:
            return 0
        windows = self.settings_of(ensemble, WINDOWS)
        assert isinstance(windows, Windows)
        return windows.slices


def load_config(path: str | Path) -> CampaignConfig:
    """Read and check a configuration file.

    Raises
    ------
    InputError
        Missing file, broken YAML, unknown keys and wrong values, one line per problem
        that starts with the path of the key.
    """
    return check_config(read_yaml(path, "the configuration"), str(path))


def check_config(content: Any, origin: str = "configuration") -> CampaignConfig:
    """Check a configuration given as a mapping and fill in all defaults.

    Parameters
    ----------
    content
        As YAML or Snakemake hands it over.
    origin
        Where it comes from; starts every message.
    """
    if not isinstance(content, Mapping):
        raise InputError(f"{origin}: expected a mapping with the keys campaign and ensembles")
    problems = list(unknown_keys(CampaignConfig, content))
    config = None
    try:
        config = CampaignConfig.model_validate(content)
    except ValidationError as error:
        problems += describe_problems(error)
    if config is not None:
        config, more = _complete(config)
        problems += more
    if problems:
        raise InputError("\n".join(f"{origin}: {problem}" for problem in problems))
    assert config is not None
    return config


def _complete(config: CampaignConfig) -> tuple[CampaignConfig, list[str]]:
    """Fill in dimension and density from the models and check what several keys decide."""
    from glassmodes.models import resolve

    problems: list[str] = []
    ensembles = {}
    for name, ensemble in config.ensembles.items():
        at = f"ensembles.{name}"
        try:
            model = resolve(ensemble.model)
        except GlassmodesError as error:
            problems.append(f"{at}.model: {error}")
            continue
        defaults = model.defaults
        filled: dict[str, Any] = {}
        if isinstance(ensemble.protocol, Network):
            filled, found = _network_numbers(ensemble)
            problems += (f"{at}.{text}" for text in found)
        else:
            for field in ("dimension", "density"):
                if getattr(ensemble, field) is None:
                    if field == "density" and ensemble.packing_fraction is not None:
                        continue
                    if defaults is None:
                        problems.append(f"{at}.{field}: the model has no default; give the key")
                    else:
                        filled[field] = getattr(defaults, field)
        if ensemble.packing_fraction is not None:
            dimension = ensemble.dimension or filled.get("dimension", 3)
            try:
                filled["density"] = _packed_density(model, ensemble, dimension)
            except GlassmodesError as error:
                problems.append(f"{at}.packing_fraction: {error}")
        if ensemble.settings is not None:
            # Written and read again, the settings must not depend on which keys were given.
            merged = {a: config.settings_of(name, a) for a in ANALYSES}
            filled["settings"] = Analyses.model_validate(merged)
        ensembles[name] = ensemble.model_copy(update=filled)
        for check in (_mode_problems, _strain_problems, _window_problems):
            problems += (f"{at}.{text}" for text in check(config, name, ensembles[name]))
    return config.model_copy(update={"ensembles": ensembles}), problems


def _packed_density(model: Any, ensemble: Ensemble, dimension: int) -> float:
    """Return the density that the packing fraction of an ensemble asks for."""
    if not hasattr(model, "density_at"):
        raise InputError(f"{ensemble.model!r} has no spheres that fill a volume; give a density")
    density = model.density_at(ensemble.packing_fraction, dimension)
    given = ensemble.density
    if given is not None and abs(given / density - 1.0) > 1e-9:
        raise InputError(f"asks for the density {density:.6g}, but {given:.6g} is given beside it")
    return density


def _network_numbers(ensemble: Ensemble) -> tuple[dict[str, Any], list[str]]:
    """Return dimension, particles and density that a network will really have."""
    from glassmodes.preparation.networks import realised

    protocol = ensemble.protocol
    if ensemble.model != NETWORK_MODEL:
        return {}, [f"model: {ensemble.model!r} with {protocol.name}; expected {NETWORK_MODEL!r}"]
    lattice = getattr(protocol, "lattice", None)
    dimension = ensemble.dimension or (2 if lattice == "triangular" else 3)
    try:
        particles, density = realised(protocol.model_dump(), ensemble.particles, dimension)
    except GlassmodesError as error:
        return {}, [f"protocol: {error}"]
    if ensemble.density is not None and abs(ensemble.density / density - 1.0) > 1e-6:
        return {}, [f"density: {ensemble.density:g} given, but the network has {density:g}"]
    return {"dimension": dimension, "particles": particles, "density": density}, []


def _strain_problems(config: CampaignConfig, name: str, ensemble: Ensemble) -> list[str]:
    """Return what is wrong with the settings of spectra and viscoelasticity."""
    found = []
    letters = "xyzw"[: ensemble.dimension]
    for analysis in ("spectra", "viscoelasticity"):
        if analysis not in ensemble.analyses:
            continue
        settings: Any = config.settings_of(name, analysis)
        for strain in settings.strains or ():
            if strain[0] == strain[1] or not set(strain) <= set(letters):
                found.append(
                    f"settings.{analysis}.strains: {strain!r} is no shear in "
                    f"{ensemble.dimension}D; expected two different letters of {letters}"
                )
        if analysis == "spectra":
            found += (
                f"settings.spectra.{name}: not given (nor in analyses.spectra)"
                for name in ("resolution", "maximum")
                if getattr(settings, name) is None
            )
    return found


def _window_problems(config: CampaignConfig, name: str, ensemble: Ensemble) -> list[str]:
    windows = config.settings_of(name, WINDOWS)
    assert isinstance(windows, Windows)
    if WINDOWS in ensemble.analyses and windows.between is None:
        return ["settings.windows.between: not given (nor in analyses.windows)"]
    return []


def _mode_problems(config: CampaignConfig, name: str, ensemble: Ensemble) -> list[str]:
    if "modes" not in ensemble.analyses:
        return []
    modes = config.settings_of(name, "modes")
    assert isinstance(modes, Modes)
    if modes.count is None and modes.below is None:
        return ["settings.modes: neither count nor below is given (nor in analyses.modes)"]
    d = ensemble.dimension
    if d is not None and modes.count is not None and modes.count > d * (ensemble.particles - 1):
        return [
            f"settings.modes.count: {modes.count} modes asked for, but "
            f"{ensemble.particles} particles in {d}D have {d * (ensemble.particles - 1)}"
        ]
    return []
