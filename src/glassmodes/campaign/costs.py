"""Estimates of time and memory per sample, for resources of jobs and for progress.

Simple laws in N, d, the number of modes and the ranks; the prefactors were measured on one core
with the binary inverse power law at N = 400 to 2,000 in 2D, 3D and 4D, with networks of
coordination 6 to 7 at N = 50,000, and with packings up to N = 500,000.  What a factor takes comes
from `spectra.factor_costs`, which the jobs themselves ask.
"""

from __future__ import annotations

import math
from typing import Any

from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.config_protocols import (
    Cooling,
    Liquid,
    Network,
    RandomNetwork,
    RandomStart,
)
from glassmodes.campaign.manifest import Batch
from glassmodes.spectra.factor_costs import FactorCost, estimate

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
_BASE_MB = 400.0  # the interpreter with its libraries
_PAIR_BYTES = 400  # while pairs are found and operators made
_PARTICLE_BYTES = 100  # of a sample in a domain
_GHOSTS = 1.2  # particles that a rank holds, over those that it owns
_FACTOR_PEAK = 1.3  # bytes while a factor is made, over those it keeps
_MARGIN = 3.0  # slow nodes, shared memory bandwidth, hard samples
_START_S = 120.0  # queue scripts, file systems and imports of a job


def preparation_seconds(config: CampaignConfig, ensemble: str) -> float:
    """Estimate the seconds that the ranks of an ensemble need to prepare one sample."""
    settings = config.ensembles[ensemble]
    protocol = settings.protocol
    if isinstance(protocol, Network):  # on one rank
        return settings.particles * (_LATTICE_SECONDS + _parent_seconds(protocol))
    steps = float(_MINIMISATION_STEPS)
    if isinstance(protocol, RandomStart):
        size, exponent = _RANDOM_START
        steps *= max(1.0, settings.particles / size) ** exponent
    if isinstance(protocol, Liquid):
        steps += protocol.equilibration_time / protocol.step_at(protocol.temperature)
    if isinstance(protocol, Cooling):
        time = (protocol.temperature - protocol.final_temperature) / protocol.rate
        steps += time / protocol.step_at(protocol.final_temperature)
    density = _NEIGHBOURS[_dimension(config, ensemble)] / _NEIGHBOURS[3]
    serial = steps * settings.particles * _SECONDS_PER_STEP * density
    return serial / settings.ranks**_RANKS_EXPONENT


def _parent_seconds(protocol: Network) -> float:
    """Return the seconds per particle that the glass before a random network takes."""
    if not isinstance(protocol, RandomNetwork):
        return 0.0
    steps = protocol.equilibration_time / protocol.time_step
    return (steps + 0.1 * _MINIMISATION_STEPS) * 10 * _SECONDS_PER_STEP


def analysis_seconds(config: CampaignConfig, ensemble: str) -> float:
    """Estimate the seconds that the ranks of an ensemble need to analyse one sample."""
    settings, d = config.ensembles[ensemble], _dimension(config, ensemble)
    n, neighbours = settings.particles, _neighbours(config, ensemble)
    speed = settings.ranks**_RANKS_EXPONENT
    seconds = 0.05 + 1e-5 * n / speed
    wanted = config.analyses_of(ensemble)
    if "modes" in wanted:
        count = mode_count(config, ensemble)
        relative = neighbours / _NEIGHBOURS[3]
        seconds += 0.35 * relative * (count / 100) * (n / 2000) ** 1.3 / speed
    columns = _response_columns(config, ensemble)
    if columns:
        by_cg = columns * _CG_SECONDS * neighbours * (n / 8000) ** (1 + 1 / d) / speed
        factor = _factor(config, ensemble, "cholesky")
        seconds += min(by_cg, factor.seconds + columns * factor.solve_seconds)
    if _is_certified(config, ensemble) or _counts_zero_modes(config, ensemble):
        seconds += _factor(config, ensemble, "ldlt").seconds
    return seconds + _spectral_seconds(config, ensemble) / speed


def _spectral_seconds(config: CampaignConfig, ensemble: str) -> float:
    """Estimate the seconds of the products of spectra and viscoelasticity on one rank."""
    settings, wanted = config.ensembles[ensemble], config.analyses_of(ensemble)
    n, d = settings.particles, _dimension(config, ensemble)
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
    rows = settings.particles * _dimension(config, ensemble)
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
    settings, d = config.ensembles[ensemble], _dimension(config, ensemble)
    neighbours = _neighbours(config, ensemble)
    return estimate(settings.particles * d, d, kind, neighbours=neighbours, ranks=settings.ranks)


def job_minutes(config: CampaignConfig, batch_size: int, ensemble: str, stage: str) -> int:
    """Return the wall time to ask for, in minutes, for a batch of one stage."""
    seconds = preparation_seconds if stage == "prepare" else analysis_seconds
    total = _START_S + _MARGIN * batch_size * seconds(config, ensemble)
    return max(5, math.ceil(total / 60))


def job_megabytes(config: CampaignConfig, ensemble: str, stage: str) -> int:
    """Return the memory to ask for, in MB, for each rank of a job."""
    settings = config.ensembles[ensemble]
    n, d = settings.particles, _dimension(config, ensemble)
    together = not (stage == "prepare" and isinstance(settings.protocol, Network))
    owned = n / settings.ranks if together else n
    held = owned * (_GHOSTS if settings.ranks > 1 else 1.0)
    needed = held * (_PARTICLE_BYTES + _PAIR_BYTES * _neighbours(config, ensemble) / 2)
    needed += settings.batch_size * n * d * 8 * 6  # files are composed on rank 0
    if stage == "analyse":
        wanted = config.analyses_of(ensemble)
        columns = 64 + (4 * mode_count(config, ensemble) if "modes" in wanted else 0)
        needed += 8 * d * held * columns + _factor_bytes(config, ensemble)
    return math.ceil((_BASE_MB + 1.5 * needed / 1e6) / 10) * 10


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
    wanted, d = config.analyses_of(ensemble), _dimension(config, ensemble)
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
    n, d = config.ensembles[ensemble].particles, _dimension(config, ensemble)
    return max(1, round(1.5 * d * n * min(1.0, modes.below / 17.0) ** d))


def batch_seconds(config: CampaignConfig, batch: Batch, stage: str) -> float:
    """Estimate the seconds of a batch, those of all its ranks together."""
    seconds = preparation_seconds if stage == "prepare" else analysis_seconds
    ranks = config.ensembles[batch.ensemble].ranks
    return ranks * len(batch.indices) * seconds(config, batch.ensemble)


def _dimension(config: CampaignConfig, ensemble: str) -> int:
    dimension = config.ensembles[ensemble].dimension
    assert dimension is not None
    return dimension


def _neighbours(config: CampaignConfig, ensemble: str) -> float:
    """Return about how many particles interact with one."""
    d = _dimension(config, ensemble)
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
