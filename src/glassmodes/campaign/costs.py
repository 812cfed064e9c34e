"""What jobs ask for, and what a campaign takes: laws corrected by what was measured.

A law of `campaign.cost_laws` says how time or memory grows, an entry of `campaign.cost_table` how
far it is off for one kind of sample; where nothing was measured the law stands alone, with a wider
margin.  Every estimate says on which of the two it rests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from glassmodes.campaign.config import WINDOWS, CampaignConfig
from glassmodes.campaign.cost_laws import (
    kind_of,
    law_megabytes,
    law_seconds,
    memory_part,
    sizes_of,
)
from glassmodes.campaign.cost_table import (
    EXTRAPOLATED,
    LAW,
    MEASURED,
    MEGABYTES,
    SECONDS,
    Correction,
    CostTable,
    load_costs,
)
from glassmodes.campaign.manifest import Batch

START_S = 120.0
"""Queue scripts, file systems and imports of a job, in what it asks for."""
_START_SECONDS = 2.0
SHORTEST_MINUTES = 5
_LAW_MARGINS = {SECONDS: 3.0, MEGABYTES: 2.0}
_MEASURED_MARGINS = {SECONDS: 2.0, MEGABYTES: 1.25}
"""Other nodes, shared memory bandwidth, hard samples."""
_SPREADS = {SECONDS: 3, MEGABYTES: 2}
"""A measured margin is at least this power of the spread: so many standard deviations."""
_WIDEST_MARGINS = {SECONDS: 5.0, MEGABYTES: 3.0}
"""Beyond, a second attempt is cheaper than asking for so much."""
_LAW_BASE_MB = 400.0
_BASE_MARGIN = 2.0
"""Other versions of the libraries, MPI buffers, page cache of files."""
_SMALL = 0.5
"""Below this part of the measured base, what a sample takes does not matter."""
_RANKING = (MEASURED, EXTRAPOLATED, LAW)


@dataclass(frozen=True)
class Cost:
    """An estimate.

    Attributes
    ----------
    value : float
        Seconds of one sample on all its ranks together, or MB of one rank.
    asked : float
        The same with its margin: what a job asks for.
    basis : str
        `measured`, `extrapolated` or `law`, the weakest of its parts.
    """

    value: float
    asked: float
    basis: str


def time_of_sample(
    config: CampaignConfig, ensemble: str, stage: str, table: CostTable | None = None
) -> Cost:
    """Estimate the seconds that the ranks of an ensemble need for one sample.

    Parameters
    ----------
    stage
        One of `STAGES`; for windows one slice of a sample.
    table
        Corrections; those of the site or of the package by default.
    """
    table = load_costs() if table is None else table
    kind = kind_of(config, ensemble)
    value = asked = 0.0
    found = {}
    for part, seconds in law_seconds(config, ensemble, stage).items():
        sizes = sizes_of(config, ensemble, part)
        correction = table.correction(part, kind, SECONDS, sizes)
        value += seconds * correction.factor
        asked += seconds * correction.factor * _margin(correction, SECONDS)
        found[part] = correction.basis
    # What is read and written beside the analyses is in no timing.
    bases = {basis for part, basis in found.items() if part != "reading"} or {MEASURED}
    return Cost(value, asked, max(bases, key=_RANKING.index))


def memory(
    config: CampaignConfig, ensemble: str, stage: str, table: CostTable | None = None
) -> Cost:
    """Estimate the MB that each rank of a job needs; see `time_of_sample`."""
    table = load_costs() if table is None else table
    part = memory_part(config, ensemble, stage)
    sizes = sizes_of(config, ensemble, part)
    correction = table.correction(part, kind_of(config, ensemble), MEGABYTES, sizes)
    needed = law_megabytes(config, ensemble, stage) * correction.factor
    base = table.base_megabytes.get(stage)
    known, wanted = (_LAW_BASE_MB / _BASE_MARGIN, _LAW_BASE_MB) if base is None else (base, 0.0)
    asked = max(_BASE_MARGIN * known, wanted) + needed * _margin(correction, MEGABYTES)
    small = base is not None and needed < _SMALL * base
    return Cost(known + needed, asked, MEASURED if small else correction.basis)


def job_minutes(config: CampaignConfig, batch_size: int, ensemble: str, stage: str) -> int:
    """Return the wall time to ask for, in minutes, for a batch of one stage."""
    return minutes_of(batch_size * time_of_sample(config, ensemble, stage).asked)


def minutes_of(seconds: float) -> int:
    """Return the wall time to ask for, in minutes, for samples that take `seconds` with margin."""
    return max(SHORTEST_MINUTES, math.ceil((START_S + seconds) / 60))


def job_megabytes(config: CampaignConfig, ensemble: str, stage: str) -> int:
    """Return the memory to ask for, in MB, for each rank of a job."""
    return math.ceil(memory(config, ensemble, stage).asked / 10) * 10


def scaled(first: int, attempt: int, most: int | None = None) -> int:
    """Return what an attempt asks for: more with each, never more than the site gives."""
    wanted = first * attempt
    return wanted if most is None else min(wanted, most)


def start_seconds() -> float:
    """Return the seconds of a job beside its samples: its start, reading and writing."""
    measured = load_costs().start_seconds
    return _START_SECONDS if measured is None else measured


def sample_core_seconds(config: CampaignConfig, ensemble: str, stage: str) -> float:
    """Return the core-seconds of one sample in a stage, those of all its slices together."""
    slices = config.slices_of(ensemble) if stage == WINDOWS else 1
    ranks = config.ensembles[ensemble].ranks
    return ranks * slices * time_of_sample(config, ensemble, stage).value


def batch_seconds(config: CampaignConfig, batch: Batch, stage: str) -> float:
    """Estimate the core-seconds of a batch, of all slices for windows."""
    return len(batch.indices) * sample_core_seconds(config, batch.ensemble, stage)


def _margin(correction: Correction, quantity: str) -> float:
    if correction.basis != MEASURED:
        return _LAW_MARGINS[quantity]
    wide = min(correction.spread ** _SPREADS[quantity], _WIDEST_MARGINS[quantity])
    return max(_MEASURED_MARGINS[quantity], wide)
