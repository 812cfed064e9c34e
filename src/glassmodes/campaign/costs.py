"""Estimates of time and memory per sample, for resources of jobs and for progress.

Simple laws in N, d and the number of modes; the prefactors were measured on one core with
the binary inverse power law at N = 400 to 2,000 in 2D, 3D and 4D, and with networks of
coordination 6 to 7 at N = 50,000.
"""

from __future__ import annotations

import math
from typing import Any

from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.config_protocols import Cooling, Liquid, Network, RandomNetwork
from glassmodes.campaign.manifest import Batch

_NEIGHBOURS = {2: 0.4, 3: 1.0, 4: 2.1}
"""Pairs inside the cutoff per particle, relative to 3D."""

_SECONDS_PER_STEP = 1.0e-7  # molecular dynamics, per particle and step
_MINIMISATION_STEPS = 3000  # what a minimisation costs, in steps of molecular dynamics
_LATTICE_SECONDS = 2.5e-5  # building, cutting and measuring a network, per particle
_PRODUCT_SECONDS = {"glass": 1.0e-8, "network": 4.0e-9}  # Hessian with a vector, per particle
_BAND_EDGE = {"glass": 60.0, "network": 2.7}  # highest frequency, in units of the models
_LANCZOS_STEPS = {"glass": 600.0, "network": 5000.0}  # of the moduli, at N = 50,000
_INERTIA_SECONDS = 30.0  # count of the zero modes of a network, at N = 50,000
_INERTIA_MB = 2000.0
_INERTIA_ROWS = 200_000  # beyond, the number is estimated (`observables.zero_modes`)
_BASE_MB = 400.0  # the interpreter with its libraries
_MARGIN = 3.0  # slow nodes, shared memory bandwidth, hard samples
_START_S = 120.0  # queue scripts, file systems and imports of a job


def preparation_seconds(config: CampaignConfig, ensemble: str) -> float:
    """Estimate the seconds that one core needs to prepare one sample."""
    settings = config.ensembles[ensemble]
    protocol = settings.protocol
    if isinstance(protocol, Network):
        return settings.particles * (_LATTICE_SECONDS + _parent_seconds(protocol))
    steps = float(_MINIMISATION_STEPS)
    if isinstance(protocol, Liquid):
        steps += protocol.equilibration_time / protocol.step_at(protocol.temperature)
    if isinstance(protocol, Cooling):
        time = (protocol.temperature - protocol.final_temperature) / protocol.rate
        steps += time / protocol.step_at(protocol.final_temperature)
    return steps * settings.particles * _SECONDS_PER_STEP * _neighbours(config, ensemble)


def _parent_seconds(protocol: Network) -> float:
    """Return the seconds per particle that the glass before a random network takes."""
    if not isinstance(protocol, RandomNetwork):
        return 0.0
    steps = protocol.equilibration_time / protocol.time_step
    return (steps + 0.1 * _MINIMISATION_STEPS) * 10 * _SECONDS_PER_STEP


def analysis_seconds(config: CampaignConfig, ensemble: str) -> float:
    """Estimate the seconds that one core needs to analyse one sample."""
    n, d = config.ensembles[ensemble].particles, _dimension(config, ensemble)
    factor = 4.0 * _NEIGHBOURS[d] ** 2 * (n / 8000) ** (3 * (d - 1) / d)
    seconds = 0.05
    wanted = config.analyses_of(ensemble)
    if "modes" in wanted:
        count = mode_count(config, ensemble)
        seconds += 0.35 * _NEIGHBOURS[d] * (count / 100) * (n / 2000) ** 1.3 + factor
    if "moduli" in wanted or "dipoles" in wanted:
        columns = 6 + (_count_of_dipoles(config, ensemble) if "dipoles" in wanted else 0)
        seconds += factor + columns * 8e-3 * (n / 8000) ** (2 * (d - 1) / d)
    return seconds + _spectral_seconds(config, ensemble)


def _spectral_seconds(config: CampaignConfig, ensemble: str) -> float:
    """Estimate the seconds of spectra and viscoelasticity: products, and a count of zero modes."""
    settings, wanted = config.ensembles[ensemble], config.analyses_of(ensemble)
    n, d = settings.particles, _dimension(config, ensemble)
    kind = "network" if isinstance(settings.protocol, Network) else "glass"
    product = _PRODUCT_SECONDS[kind] * n * (1.0 if kind == "network" else _NEIGHBOURS[d])
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
    if _counts_zero_modes(config, ensemble):
        seconds += _INERTIA_SECONDS * (n / 50_000) ** (3 * (d - 1) / d)
    return seconds


def _counts_zero_modes(config: CampaignConfig, ensemble: str) -> bool:
    """Tell whether the floppy modes of a network are counted by a factor."""
    settings = config.ensembles[ensemble]
    rows = settings.particles * _dimension(config, ensemble)
    is_network = isinstance(settings.protocol, Network)
    return is_network and "spectra" in config.analyses_of(ensemble) and rows <= _INERTIA_ROWS


def job_minutes(config: CampaignConfig, batch_size: int, ensemble: str, stage: str) -> int:
    """Return the wall time to ask for, in minutes, for a batch of one stage."""
    seconds = preparation_seconds if stage == "prepare" else analysis_seconds
    total = _START_S + _MARGIN * batch_size * seconds(config, ensemble)
    return max(5, math.ceil(total / 60))


def job_megabytes(config: CampaignConfig, ensemble: str, stage: str) -> int:
    """Return the memory to ask for, in MB, for one rank that has a whole sample to itself."""
    settings = config.ensembles[ensemble]
    n, d = settings.particles, _dimension(config, ensemble)
    pairs = n * (6 if isinstance(settings.protocol, Network) else 60 * _NEIGHBOURS[d])
    needed = pairs * 8 * 40 + settings.batch_size * n * d * 8 * 6
    if stage == "analyse":
        rows, wanted = d * n, config.analyses_of(ensemble)
        if {"modes", "moduli", "dipoles"} & set(wanted):
            factor = 33e6 * _NEIGHBOURS[d] ** 2 * (n / 8000) ** (2 * (d - 1) / d)
            needed += 2 * 8 * min(factor, rows * (rows + 1) / 2)
        elif _counts_zero_modes(config, ensemble):
            needed += 1e6 * _INERTIA_MB * (n / 50_000) ** (2 * (d - 1) / d)
        columns = 4 * mode_count(config, ensemble) if "modes" in wanted else 0
        needed += 8 * rows * (columns + 64)
    return math.ceil((_BASE_MB + 1.5 * needed / 1e6) / 50) * 50


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
    """Estimate the seconds of a batch on one core."""
    seconds = preparation_seconds if stage == "prepare" else analysis_seconds
    return len(batch.indices) * seconds(config, batch.ensemble)


def _dimension(config: CampaignConfig, ensemble: str) -> int:
    dimension = config.ensembles[ensemble].dimension
    assert dimension is not None
    return dimension


def _neighbours(config: CampaignConfig, ensemble: str) -> float:
    return _NEIGHBOURS[_dimension(config, ensemble)]


def _count_of_dipoles(config: CampaignConfig, ensemble: str) -> int:
    dipoles: Any = config.settings_of(ensemble, "dipoles")
    return dipoles.count
