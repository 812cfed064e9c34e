"""Estimates of time and memory for the slices of windows, for the resources of their jobs."""

from __future__ import annotations

import math
from typing import Any

from glassmodes.campaign import costs
from glassmodes.campaign.config import WINDOWS, CampaignConfig
from glassmodes.spectra.factor_costs import estimate

_DEBYE = 17.0  # frequency of the Debye spectrum that stands for a glass's
_COLUMNS = 4.0  # of basis and answer, for each mode
_START_S, _MARGIN = 120.0, 3.0
_FACTORS = 3  # of a slice: two counts, and a shift that may be needed


def slice_modes(config: CampaignConfig, ensemble: str) -> float:
    """Return about how many modes a slice holds: those of a Debye spectrum."""
    settings: Any = config.settings_of(ensemble, WINDOWS)
    n, d = config.ensembles[ensemble].particles, config.ensembles[ensemble].dimension or 3
    low, high = (min(1.0, w / _DEBYE) ** d for w in settings.between)
    return max(1.0, 1.5 * d * n * (high - low) / settings.slices)


def slice_seconds(config: CampaignConfig, ensemble: str) -> float:
    """Estimate the seconds that the ranks of an ensemble need for a slice of one sample."""
    settings = config.ensembles[ensemble]
    d = settings.dimension or 3
    rows, columns = d * settings.particles, _COLUMNS * slice_modes(config, ensemble)
    factor = estimate(rows, d, "ldlt", ranks=settings.ranks)
    work = 2e-10 * rows * columns**2 / settings.ranks
    return _FACTORS * factor.seconds + columns * factor.solve_seconds + work


def slice_minutes(config: CampaignConfig, ensemble: str, samples: int) -> int:
    """Return the wall time to ask for, in minutes, for a slice of a batch."""
    total = _START_S + _MARGIN * samples * slice_seconds(config, ensemble)
    return max(5, math.ceil(total / 60))


def slice_megabytes(config: CampaignConfig, ensemble: str) -> int:
    """Return the memory to ask for, in MB, for each rank of the job of a slice."""
    settings = config.ensembles[ensemble]
    d = settings.dimension or 3
    rows = d * settings.particles
    vectors = 8 * rows / settings.ranks * (_COLUMNS * slice_modes(config, ensemble) + 100)
    factor = estimate(rows, d, "ldlt", ranks=settings.ranks)
    return costs.job_megabytes(config, ensemble, "analyse") + math.ceil(
        1.5 * (vectors + factor.bytes) / 1e6
    )
