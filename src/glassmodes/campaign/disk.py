"""How much a campaign writes, from the shapes of its arrays and records, before it runs.

Arrays and records follow from the schemas; what HDF5 adds to each dataset and group, and the
width of rows of the tables, were measured.  Files are counted by their length: a file system that
gives whole blocks takes a few kB more for each.
"""

from __future__ import annotations

from typing import Any

from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.config_protocols import Network
from glassmodes.campaign.cost_laws import STAGES, dimension_of, mode_count, slice_modes
from glassmodes.campaign.manifest import batches_of
from glassmodes.campaign.record_schema import COMMON, SCHEMAS

_SAMPLE_EXTRA = 3200  # of the group of a sample: model, provenance, digest, HDF5's own
_COLUMN_EXTRA = 700  # of a column of records: attributes, HDF5's own
_TEXT = 12
_JOB_EXTRA = 3500  # log, benchmark, timings of a job
_LOG_LINE = 130  # of a sample
_MODE_ROW, _DIPOLE_ROW = 38, 24  # of the Parquet tables
_SAMPLE_ROWS = {"modes": 90, "moduli": 130, "dipoles": 0, "spectra": 250, "viscoelasticity": 150}
_DIRECTION_ROW = 70
_CAMPAIGN_EXTRA = 5e6  # figures, report, tables of ensembles
_SPRINGS_MOST = 12.0  # of a network whose coordination is not given


def samples_bytes(config: CampaignConfig, ensemble: str) -> float:
    """Return the bytes of the samples of an ensemble with their records."""
    settings = config.ensembles[ensemble]
    n, d = settings.particles, dimension_of(config, ensemble)
    each: float = n * (8 * d + 8 + 4)  # positions, masses, species
    if isinstance(settings.protocol, Network):
        springs = getattr(settings.protocol, "coordination", None) or _SPRINGS_MOST
        each += n * springs / 2 * 8
    elif "poly" in settings.model:
        each += n * 8  # diameters
    return settings.samples * (each + _SAMPLE_EXTRA) + _records_bytes(config, ensemble, "samples")


def analysis_bytes(config: CampaignConfig, ensemble: str, kind: str) -> float:
    """Return the bytes of the records of one analysis of an ensemble, of all slices of windows."""
    slices = max(1, config.slices_of(ensemble)) if kind == "windows" else 1
    return slices * _records_bytes(config, ensemble, kind)


def tables_bytes(config: CampaignConfig) -> float:
    """Return the bytes of tables, fits, figures and report."""
    total = _CAMPAIGN_EXTRA
    for name, settings in config.ensembles.items():
        d, wanted = dimension_of(config, name), config.analyses_of(name)
        each = 200.0 + sum(_SAMPLE_ROWS[kind] for kind in wanted)
        if "moduli" in wanted:
            each += _DIRECTION_ROW * d * (d - 1) / 2
        if "modes" in wanted:
            each += _MODE_ROW * mode_count(config, name)
        if "dipoles" in wanted:
            each += _DIPOLE_ROW * _points(config, name, "dipoles", "")
        if slices := config.slices_of(name):
            each += _MODE_ROW * slices * slice_modes(config, name)
        total += settings.samples * each
    return total


def estimate_disk(config: CampaignConfig) -> dict[str, float]:
    """Return the bytes that a finished campaign has written, by folder."""
    samples = sum(samples_bytes(config, name) for name in config.ensembles)
    analyses = sum(
        analysis_bytes(config, name, kind)
        for name in config.ensembles
        for kind in _kinds(config, name)
    )
    logs = 0.0
    for name, settings in config.ensembles.items():
        stages = sum((1, bool(config.analyses_of(name)), config.slices_of(name)))
        logs += stages * (len(batches_of(config, name)) * _JOB_EXTRA + settings.samples * _LOG_LINE)
    return {
        "samples": samples,
        "analyses": analyses,
        "tables_figures_report": tables_bytes(config),
        "logs_benchmarks_timings": logs,
    }


def ensemble_bytes(config: CampaignConfig, ensemble: str) -> float:
    """Return the bytes of samples and analyses of an ensemble."""
    kinds = _kinds(config, ensemble)
    found = sum(analysis_bytes(config, ensemble, kind) for kind in kinds)
    return samples_bytes(config, ensemble) + found


def _kinds(config: CampaignConfig, ensemble: str) -> tuple[str, ...]:
    windows = STAGES[2:] if config.slices_of(ensemble) else ()
    return (*config.analyses_of(ensemble), *windows)


def _records_bytes(config: CampaignConfig, ensemble: str, kind: str) -> float:
    settings, d = config.ensembles[ensemble], dimension_of(config, ensemble)
    files = len(batches_of(config, ensemble))
    each = columns = 0.0
    for column in SCHEMAS[kind]:
        if column.optional and not _is_kept(config, ensemble, kind, column.name):
            continue
        size = 1.0 if column.kind == "flag" else 8.0
        for axis in column.sizes(d, settings.particles):
            size *= axis
        if column.ragged:
            size = size * _points(config, ensemble, kind, column.name) + 8
        each += _TEXT if column.kind == "text" and column not in COMMON[2:] else size
        columns += 1 + column.ragged
    return settings.samples * each + files * (columns * _COLUMN_EXTRA + 2000)


def _is_kept(config: CampaignConfig, ensemble: str, kind: str, name: str) -> bool:
    if kind == "samples":
        return isinstance(config.ensembles[ensemble].protocol, Network)
    settings: Any = config.settings_of(ensemble, kind)
    return name == "vectors" and settings.keep_vectors


def _points(config: CampaignConfig, ensemble: str, kind: str, name: str) -> float:
    """Return the entries of a ragged column of one sample."""
    if kind == "windows":
        return slice_modes(config, ensemble)
    if kind == "modes":
        return mode_count(config, ensemble)
    settings: Any = config.settings_of(ensemble, kind)
    if kind == "dipoles":
        return settings.count
    if kind == "viscoelasticity":
        of_times = name in ("time", "relaxation_modulus", "decay", "overdamped_decay")
        return (settings.times if of_times else settings.frequencies).points
    return settings.points
