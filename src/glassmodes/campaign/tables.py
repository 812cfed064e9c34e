"""The stage ``tables``: result files of all batches become the tables of the campaign.

Small tables hold one row per sample, bin or ensemble; modes and dipoles are streamed
batch by batch into Parquet, curves of spectra ensemble by ensemble.  Nothing is
recomputed: only counted, averaged, resampled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from glassmodes.campaign import mode_tables, modulus_tables, spectral_tables, window_tables
from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.ensemble_source import PREPARE, EnsembleSource, ensemble_sources
from glassmodes.campaign.long_tables import LongTableWriter
from glassmodes.campaign.products import tables_of
from glassmodes.campaign.settings import StatisticsSettings
from glassmodes.campaign.table_files import (
    TableWriter,
    estimate_cells,
    unknown_estimate,
    write_units,
)
from glassmodes.campaign.table_schema import TABLES

_EVIDENCE = [
    c.name
    for c in TABLES["samples"].columns
    if c.name
    not in {"ensemble", "sample", "batch", "status", "refused_by", "reason", "message", "seed"}
]


def write_tables(
    config: CampaignConfig,
    sources: Iterable[EnsembleSource] | None = None,
    results: Path | None = None,
    note: Mapping[str, str] | None = None,
) -> None:
    """Write every table that the campaign has, all or none of each.

    Parameters
    ----------
    config
    sources
        The ensembles with their files; None means all that the configuration plans.
    results
        Folder whose subfolder ``tables`` is written; None means the results of the campaign.
    note
        More words for the metadata of Parquet tables.

    Raises
    ------
    InputError
        If a batch of the manifest has no result file, or one of other settings.

    Notes
    -----
    Order and dates of files play no part: the manifest says what is read when.  Memory grows
    by what the bootstrap needs of each sample (a number for each bin and modulus), not by the
    sizes of files; these are read a batch at a time.
    """
    settings = StatisticsSettings.of(config)
    results = config.results if results is None else results
    names = [name for name in tables_of(config, "tables/") if name != "comparison"]
    with ExitStack() as stack:
        writers: dict[str, Any] = {}
        for name in names:
            is_long = TABLES[name].path.endswith(".parquet")
            writer: Any = (
                LongTableWriter(results, name, note) if is_long else TableWriter(results, name)
            )
            writers[name] = stack.enter_context(writer)
        for source in ensemble_sources(config) if sources is None else sources:
            _write_ensemble(source, settings, writers)
    write_units(results, tables_of(config))


def _write_ensemble(
    source: EnsembleSource, settings: StatisticsSettings, writers: dict[str, Any]
) -> None:
    options = settings.options
    moduli = modulus_tables.read_moduli(source)
    debye, phonon = modulus_tables.ensemble_debye(source, moduli, options)
    if "moduli" in source.analyses:
        _write_moduli(source, moduli, options, writers)
    scan = mode_tables.ModeScan()
    for block in source.blocks("modes"):
        scan.add(source, block)
        _write_all(writers["mode_solves"], mode_tables.solve_rows(source, block))
    scan.finish()
    if scan.samples:
        _write_modes(
            source, scan, np.nan if debye is None else float(debye.value), settings, writers
        )
    dipoles = modulus_tables.Dipoles()
    for block in source.blocks("dipoles"):
        dipoles.add(block)
        _write_all(writers["dipoles"], modulus_tables.dipole_columns(source, block))
    dipoles.finish()
    if "dipoles" in source.analyses:
        _write_dipoles(source, dipoles, options, writers)
    _write_spectral(source, options, writers)
    if source.slices:
        _write_all(writers["windows"], window_tables.slice_rows(source))
        _write_all(writers["window_modes"], window_tables.window_mode_columns(source))
    # After all other stages were read, which say who refused a sample.
    status = _write_samples(source, writers["samples"])
    density = moduli.scalars["mass_density"]
    writers["ensembles"].write(
        {
            "ensemble": source.name,
            "title": source.title,
            "group": source.group,
            "model": source.model,
            "dimension": source.dimension,
            "particles": source.particles,
            "density": source.density,
            "mass_density": density.mean() if density.size else None,
            "protocol": source.protocol,
            "protocol_details": source.protocol_details,
            "parent_temperature": source.parent_temperature,
            "cooling_rate": source.cooling_rate,
            "samples_planned": source.samples,
            "samples_prepared": status["prepared"],
            "samples_refused": status["refused"],
            "samples_with_modes": scan.samples,
            "samples_certified": int(scan.certified.sum()),
            "samples_with_moduli": moduli.samples,
            "samples_with_dipoles": dipoles.samples,
            "complete_below": scan.window,
            **(
                unknown_estimate("debye_frequency")
                if debye is None
                else estimate_cells("debye_frequency", debye)
            ),
            "first_phonon_frequency": phonon,
        }
    )


def _write_moduli(
    source: EnsembleSource,
    moduli: modulus_tables.Moduli,
    options: dict[str, Any],
    writers: dict[str, Any],
) -> None:
    _write_all(writers["moduli"], modulus_tables.moduli_rows(source, moduli))
    _write_all(writers["moduli_by_direction"], modulus_tables.direction_rows(source, moduli))
    _write_all(writers["moduli_means"], modulus_tables.mean_rows(source, moduli, options))
    _write_one(writers["shear_modulus"], modulus_tables.shear_row(source, moduli, options))
    _write_all(
        writers["shear_modulus_distribution"],
        modulus_tables.shear_distribution_rows(source, moduli, options),
    )


def _write_dipoles(
    source: EnsembleSource,
    dipoles: modulus_tables.Dipoles,
    options: dict[str, Any],
    writers: dict[str, Any],
) -> None:
    _write_one(writers["dipole_stiffness"], modulus_tables.dipole_row(source, dipoles, options))
    _write_all(
        writers["dipole_stiffness_distribution"],
        modulus_tables.dipole_distribution_rows(source, dipoles, options),
    )


def _write_spectral(
    source: EnsembleSource, options: dict[str, Any], writers: dict[str, Any]
) -> None:
    """Write the tables of spectra and viscoelasticity, and of networks with or without them."""
    network = source.stiffness is not None
    measured = {"spectra", "viscoelasticity"} & set(source.analyses)
    if not (network or measured):
        return
    gathered = spectral_tables.read_spectral(source)
    if network:
        writers["networks"].write(spectral_tables.network_row(gathered, options))
    if not gathered.samples:
        return
    _write_all(writers["spectral_samples"], spectral_tables.sample_rows(gathered))
    writers["spectral_ensembles"].write(spectral_tables.ensemble_row(gathered, options))
    if gathered.spectra.samples:
        _write_all(writers["spectral_densities"], spectral_tables.density_rows(gathered, options))
        writers["sample_spectra"].write(spectral_tables.spectrum_columns(gathered))
    if gathered.viscoelasticity.samples:
        _write_all(
            writers["oscillatory_moduli"], spectral_tables.oscillation_rows(gathered, options)
        )
        _write_all(writers["relaxation"], spectral_tables.relaxation_rows(gathered, options))
        writers["sample_oscillations"].write(spectral_tables.oscillation_columns(gathered))
        writers["sample_relaxations"].write(spectral_tables.relaxation_columns(gathered))


def _write_modes(
    source: EnsembleSource,
    scan: mode_tables.ModeScan,
    debye_frequency: float,
    settings: StatisticsSettings,
    writers: dict[str, Any],
) -> None:
    counts = mode_tables.SpectrumCounts(scan, settings.bins_per_decade)
    for columns in mode_tables.mode_columns(source, scan):
        writers["modes"].write(columns)
        counts.add(columns)
    options = settings.options
    _write_all(writers["density_of_states"], counts.density_rows(source, debye_frequency, options))
    _write_all(writers["cumulative"], counts.cumulative_rows(source, options))
    _write_all(writers["participation"], counts.participation_rows(source, options))


def _write_all(writer, rows: Iterator[dict[str, Any]]) -> None:
    for row in rows:
        writer.write(row)


def _write_one(writer, row: dict[str, Any] | None) -> None:
    if row is not None:
        writer.write(row)


def _write_samples(source: EnsembleSource, writer: TableWriter) -> Counter:
    """Write the rows of `samples`, batch by batch; count prepared and refused samples."""
    status: Counter = Counter()
    refusals = source.first_refusals()
    for block in source.blocks(PREPARE):
        index, accepted = block.array("index"), block.accepted
        reason, message = block.array("reason"), block.array("message")
        for k, sample in enumerate(index):
            refusal = refusals.get(int(sample), ("", "", ""))
            if not accepted[k]:
                refusal = ("prepare", str(reason[k]), str(message[k]))
            stage = refusal[0]
            status["refused"] += bool(stage)
            status["prepared"] += stage != "prepare"
            writer.write(
                {
                    "ensemble": source.name,
                    "sample": sample,
                    "batch": block.batch.id,
                    "status": "refused" if stage else "ok",
                    "refused_by": stage,
                    "reason": refusal[1],
                    "message": refusal[2],
                    "seed": block.optional("seed", k),
                    **{name: block.optional(name, k) for name in _EVIDENCE},
                }
            )
    return status
