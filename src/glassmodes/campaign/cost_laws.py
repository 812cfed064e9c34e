"""Laws of time and memory per sample: how they grow with N, d, the number of modes and the ranks.

The prefactors are rough, from one core with the binary inverse power law at N = 400 to 2,000 in
2D, 3D and 4D, with networks of coordination 6 to 7 at N = 50,000 and packings up to N = 500,000;
`campaign.cost_table` corrects them where jobs were measured.  What a factor takes comes from
`spectra.factor_costs`, which the jobs themselves ask.  Laws answer by part of the work, because
that is what timings tell apart.
"""

from __future__ import annotations

from typing import Any

from glassmodes.campaign.config import WINDOWS, CampaignConfig
from glassmodes.campaign.config_protocols import (
    Cooling,
    Liquid,
    Network,
    RandomNetwork,
    RandomStart,
)
from glassmodes.spectra.factor_costs import FactorCost, estimate

STAGES = ("prepare", "analyse", WINDOWS)

PARTS = {
    "prepare": ("liquid", "random start", "lattice", "random network"),
    "analyse": ("modes", "responses", "spectral", "reading"),
    WINDOWS: ("slice",),
}
"""Parts of the work on one sample, by stage."""

_NEIGHBOURS = {2: 6.3, 3: 17.3, 4: 37.3}
"""Particles inside the cutoff of the inverse power laws."""

_CONTACTS = 2.9  # of a sphere well above jamming, for each dimension
_SPRINGS = 7.0  # of a particle of a network
_SECONDS_PER_STEP = 1.0e-7  # molecular dynamics, per particle and step
_MINIMISATION_STEPS = 3000  # what a minimisation costs, in steps of molecular dynamics
_RANDOM_START = (1000, 0.45)  # from random positions: N up to which this holds, then its power
_LATTICE_SECONDS = 2.5e-5  # building, cutting and measuring a network, per particle
_PRODUCT_SECONDS = 5.8e-10  # Hessian with a vector, per particle and neighbour
_BAND_EDGE = {"glass": 60.0, "network": 2.7, "packing": 2.7}  # highest frequency, in model units
_LANCZOS_STEPS = {"glass": 600.0, "network": 5000.0, "packing": 2000.0}  # moduli, at N = 50,000
_CG_SECONDS = 2.0e-3  # one column by conjugate gradients, per neighbour, at N = 8,000
_PATIENCE = 600.0  # seconds of a factorisation beyond which jobs do without
_INERTIA_ROWS = 200_000  # beyond, zero modes are estimated (`observables.zero_modes`)
_RANKS_EXPONENT = 0.85  # of the speed-up over ranks
_PAIR_BYTES = 400  # while pairs are found and operators made
_PARTICLE_BYTES = 100  # of a sample in a domain
_GHOSTS = 1.2  # particles that a rank holds, over those that it owns
_FACTOR_PEAK = 1.3  # bytes while a factor is made, over those it keeps
_DEBYE = 17.0  # frequency of the Debye spectrum that stands for a glass's
_SLICE_COLUMNS = 4.0  # of basis and answer, for each mode of a slice
_SLICE_FACTORS = 3  # of a slice: two counts, and a shift that may be needed


def law_seconds(config: CampaignConfig, ensemble: str, stage: str) -> dict[str, float]:
    """Return the seconds that the ranks of an ensemble need for one sample, by part.

    Parameters
    ----------
    stage
        One of `STAGES`; for windows one slice of a sample.
    """
    if stage == "prepare":
        return _preparation(config, ensemble)
    return _analysis(config, ensemble) if stage == "analyse" else _slice(config, ensemble)


def law_megabytes(config: CampaignConfig, ensemble: str, stage: str) -> float:
    """Return the MB that a sample takes on each rank, beyond the interpreter and its libraries."""
    settings = config.ensembles[ensemble]
    n, d = settings.particles, dimension_of(config, ensemble)
    together = not (stage == "prepare" and isinstance(settings.protocol, Network))
    owned = n / settings.ranks if together else n
    held = owned * (_GHOSTS if settings.ranks > 1 else 1.0)
    needed = held * (_PARTICLE_BYTES + _PAIR_BYTES * _neighbours(config, ensemble) / 2)
    needed += settings.batch_size * n * d * 8 * 6  # files are composed on rank 0
    if stage == "analyse":
        wanted = config.analyses_of(ensemble)
        columns = 64 + (4 * mode_count(config, ensemble) if "modes" in wanted else 0)
        needed += 8 * d * held * columns + _factor_bytes(config, ensemble)
    if stage == WINDOWS:
        held = n / settings.ranks
        width = 64 + 100 + _SLICE_COLUMNS * slice_modes(config, ensemble)
        factor = estimate(d * n, d, "ldlt", ranks=settings.ranks)
        needed += 8 * d * held * width + factor.bytes
    return needed / 1e6


def sizes_of(config: CampaignConfig, ensemble: str, part: str) -> dict[str, float]:
    """Return the sizes on which the correction of a part's law may depend."""
    settings = config.ensembles[ensemble]
    sizes = {"particles": float(settings.particles), "ranks": float(settings.ranks)}
    if part in ("modes", "analyse", "analyse, factor") and "modes" in config.analyses_of(ensemble):
        sizes["modes"] = float(max(1, mode_count(config, ensemble)))
    return sizes


def memory_part(config: CampaignConfig, ensemble: str, stage: str) -> str:
    """Return under which name the memory of a stage is measured.

    Samples go by how they are made, analyses by whether they make a factor, which then decides.
    """
    if stage == "prepare":
        return next(iter(_preparation(config, ensemble)))
    factor = stage == "analyse" and _factor_bytes(config, ensemble) > 0
    return "analyse, factor" if factor else stage


def kind_of(config: CampaignConfig, ensemble: str) -> str:
    """Return the kind of sample with its dimension: ``glass_3d``, ``packing_3d``, ..."""
    return f"{_kind(config, ensemble)}_{dimension_of(config, ensemble)}d"


def _preparation(config: CampaignConfig, ensemble: str) -> dict[str, float]:
    settings = config.ensembles[ensemble]
    protocol = settings.protocol
    if isinstance(protocol, RandomNetwork):  # on one rank, as all networks
        steps = protocol.equilibration_time / protocol.time_step + 0.1 * _MINIMISATION_STEPS
        each = _LATTICE_SECONDS + 10 * _SECONDS_PER_STEP * steps
        return {"random network": settings.particles * each}
    if isinstance(protocol, Network):
        return {"lattice": settings.particles * _LATTICE_SECONDS}
    steps = float(_MINIMISATION_STEPS)
    if isinstance(protocol, RandomStart):
        size, exponent = _RANDOM_START
        steps *= max(1.0, settings.particles / size) ** exponent
    if isinstance(protocol, Liquid):
        steps += protocol.equilibration_time / protocol.step_at(protocol.temperature)
    if isinstance(protocol, Cooling):
        time = (protocol.temperature - protocol.final_temperature) / protocol.rate
        steps += time / protocol.step_at(protocol.final_temperature)
    density = _NEIGHBOURS[dimension_of(config, ensemble)] / _NEIGHBOURS[3]
    serial = steps * settings.particles * _SECONDS_PER_STEP * density
    part = "random start" if isinstance(protocol, RandomStart) else "liquid"
    return {part: serial / settings.ranks**_RANKS_EXPONENT}


def _analysis(config: CampaignConfig, ensemble: str) -> dict[str, float]:
    """Return the seconds of the analyses; each is charged for the factor that it makes first."""
    wanted = config.analyses_of(ensemble)
    if not wanted:
        return {}
    settings, d = config.ensembles[ensemble], dimension_of(config, ensemble)
    n, neighbours = settings.particles, _neighbours(config, ensemble)
    speed = settings.ranks**_RANKS_EXPONENT
    parts = {"reading": 0.05 + 1e-5 * n / speed}
    if "modes" in wanted:
        count = mode_count(config, ensemble)
        relative = neighbours / _NEIGHBOURS[3]
        seconds = 0.35 * relative * (count / 100) * (n / 2000) ** 1.3 / speed
        if _is_certified(config, ensemble):
            seconds += _factor(config, ensemble, "ldlt").seconds
        parts["modes"] = seconds
    columns = _response_columns(config, ensemble)
    if columns:
        by_cg = columns * _CG_SECONDS * neighbours * (n / 8000) ** (1 + 1 / d) / speed
        factor = _factor(config, ensemble, "cholesky")
        parts["responses"] = min(by_cg, factor.seconds + columns * factor.solve_seconds)
    if {"spectra", "viscoelasticity"} & set(wanted):
        parts["spectral"] = _spectral_seconds(config, ensemble) / speed
        if _counts_zero_modes(config, ensemble):
            parts["spectral"] += _factor(config, ensemble, "ldlt").seconds
    return parts


def _slice(config: CampaignConfig, ensemble: str) -> dict[str, float]:
    if not config.slices_of(ensemble):
        return {}
    settings, d = config.ensembles[ensemble], dimension_of(config, ensemble)
    rows, columns = d * settings.particles, _SLICE_COLUMNS * slice_modes(config, ensemble)
    factor = estimate(rows, d, "ldlt", ranks=settings.ranks)
    work = 2e-10 * rows * columns**2 / settings.ranks
    return {"slice": _SLICE_FACTORS * factor.seconds + columns * factor.solve_seconds + work}


def slice_modes(config: CampaignConfig, ensemble: str) -> float:
    """Return about how many modes a slice of a window holds: those of a Debye spectrum."""
    settings: Any = config.settings_of(ensemble, WINDOWS)
    n, d = config.ensembles[ensemble].particles, dimension_of(config, ensemble)
    low, high = (min(1.0, w / _DEBYE) ** d for w in settings.between)
    return max(1.0, 1.5 * d * n * (high - low) / settings.slices)


def _spectral_seconds(config: CampaignConfig, ensemble: str) -> float:
    """Estimate the seconds of the products of spectra and viscoelasticity on one rank."""
    settings, wanted = config.ensembles[ensemble], config.analyses_of(ensemble)
    n, d = settings.particles, dimension_of(config, ensemble)
    kind = _kind(config, ensemble)
    product = _PRODUCT_SECONDS * n * _neighbours(config, ensemble)
    steps = _LANCZOS_STEPS[kind] * (n / 50_000) ** (1 / d)
    seconds = 0.0
    for name in {"spectra", "viscoelasticity"} & set(wanted):
        chosen: Any = config.settings_of(ensemble, name)
        columns = len(chosen.strains or range(d * (d - 1) // 2))
        # One Lanczos run serves both.
        seconds = max(seconds, steps * columns * product)
    if "spectra" in wanted:
        chosen = config.settings_of(ensemble, "spectra")
        products = 1.9 * _BAND_EDGE[kind] / chosen.resolution
        seconds += products * (chosen.vectors + d * (d - 1) / 2) * product
    return seconds


def _counts_zero_modes(config: CampaignConfig, ensemble: str) -> bool:
    """Tell whether the floppy modes of a network are counted by a factor."""
    settings = config.ensembles[ensemble]
    rows = settings.particles * dimension_of(config, ensemble)
    is_network = isinstance(settings.protocol, Network)
    return is_network and "spectra" in config.analyses_of(ensemble) and rows <= _INERTIA_ROWS


def _is_certified(config: CampaignConfig, ensemble: str) -> bool:
    """Tell whether the modes of an ensemble are counted by a factor (`spectra.completeness`)."""
    if "modes" not in config.analyses_of(ensemble):
        return False
    modes: Any = config.settings_of(ensemble, "modes")
    if modes.certificate in (False, "none", "count"):
        return False
    return _factor(config, ensemble, "ldlt").seconds < _PATIENCE


def _factor(config: CampaignConfig, ensemble: str, kind: str) -> FactorCost:
    """Return what a factor of the Hessian takes on the ranks of an ensemble."""
    settings, d = config.ensembles[ensemble], dimension_of(config, ensemble)
    neighbours = _neighbours(config, ensemble)
    return estimate(settings.particles * d, d, kind, neighbours=neighbours, ranks=settings.ranks)


def _factor_bytes(config: CampaignConfig, ensemble: str) -> float:
    """Return the bytes on a rank of the largest factor that an analysis makes, 0 without one."""
    kinds = []
    if _is_certified(config, ensemble) or _counts_zero_modes(config, ensemble):
        kinds.append("ldlt")
    if _response_columns(config, ensemble):
        kinds.append("cholesky")
    factors = [_factor(config, ensemble, kind) for kind in kinds]
    return _FACTOR_PEAK * max((f.bytes for f in factors if f.seconds < _PATIENCE), default=0)


def _response_columns(config: CampaignConfig, ensemble: str) -> int:
    """Return how many right-hand sides moduli and dipoles solve in one sample."""
    wanted, d = config.analyses_of(ensemble), dimension_of(config, ensemble)
    columns = d * (d + 1) // 2 if {"moduli", "dipoles"} & set(wanted) else 0
    return columns + (_count_of_dipoles(config, ensemble) if "dipoles" in wanted else 0)


def mode_count(config: CampaignConfig, ensemble: str) -> int:
    """Return the number of modes of one sample, estimated where a frequency is given."""
    modes: Any = config.settings_of(ensemble, "modes")
    if modes.count is not None:
        return modes.count
    if modes.below is None:
        return 0
    # A Debye spectrum with a Debye frequency of about 17 times the unit of frequency.
    n, d = config.ensembles[ensemble].particles, dimension_of(config, ensemble)
    return max(1, round(1.5 * d * n * min(1.0, modes.below / _DEBYE) ** d))


def dimension_of(config: CampaignConfig, ensemble: str) -> int:
    """Return the dimension of space of an ensemble."""
    dimension = config.ensembles[ensemble].dimension
    assert dimension is not None
    return dimension


def _neighbours(config: CampaignConfig, ensemble: str) -> float:
    """Return about how many particles interact with one."""
    d = dimension_of(config, ensemble)
    by_kind = {"network": _SPRINGS, "packing": _CONTACTS * d, "glass": _NEIGHBOURS[d]}
    return by_kind[_kind(config, ensemble)]


def _kind(config: CampaignConfig, ensemble: str) -> str:
    """Return "network", "packing" (spheres in contact) or "glass"."""
    from glassmodes.models import resolve

    settings = config.ensembles[ensemble]
    if isinstance(settings.protocol, Network):
        return "network"
    return "packing" if getattr(resolve(settings.model), "contact", False) else "glass"


def _count_of_dipoles(config: CampaignConfig, ensemble: str) -> int:
    dipoles: Any = config.settings_of(ensemble, "dipoles")
    return dipoles.count
