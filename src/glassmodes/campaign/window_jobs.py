"""Windows of the spectrum: one job, and one file, for each slice of each batch."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glassmodes.campaign.batches import AnalyseJob
from glassmodes.campaign.config import WINDOWS, CampaignConfig
from glassmodes.campaign.manifest import Batch, sample_seed
from glassmodes.campaign.provenance import slice_settings
from glassmodes.campaign.records import refusal_reason, refused
from glassmodes.domain import Domain
from glassmodes.errors import InputError, ResourceError, SampleError, SolverError
from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.observables.windows import vibrational_window

log = logging.getLogger(__name__)


class SliceJob(AnalyseJob):
    """Find the modes of one slice of the window in the samples of a batch.

    Parameters
    ----------
    config, batch
        As of every `BatchJob`.
    number
        The slice, from 0.

    Raises
    ------
    InputError
        If the ensemble has no such slice.
    """

    def __init__(self, config: CampaignConfig, batch: Batch, number: int) -> None:
        slices = config.slices_of(batch.ensemble)
        if not 0 <= number < slices:
            what = f"slices 0 to {slices - 1}" if slices else "no windows among its analyses"
            raise InputError(f"slice {number}: the ensemble {batch.ensemble} has {what}")
        self.number = number
        self.stage = f"{WINDOWS}-{number:03d}"
        super().__init__(config, batch)

    @property
    def kinds(self) -> tuple[str, ...]:
        return (WINDOWS,)

    def output(self, kind: str) -> Path:
        return self.batch.slice_path(self.config.results, self.number)

    def settings(self, kind: str) -> Mapping[str, Any]:
        return slice_settings(self.config, self.batch.ensemble, self.number)

    def measure(self, comm, domain: Domain, index: int) -> dict[str, dict[str, Any]]:
        settings: Any = self.config.settings_of(self.batch.ensemble, WINDOWS)
        seed = sample_seed(self.batch.seed, self.batch.ensemble, index)
        started = time.perf_counter()
        system = None
        try:
            system = HarmonicSystem(comm, domain)
            low, high = settings.between
            modes = vibrational_window(
                system,
                low,
                high,
                slices=settings.slices,
                only=self.number,
                method=settings.method,
                certificate=settings.certificate,
                seed=sample_seed(seed, WINDOWS, index),
            )
            record = {"index": index, "status": "ok", "slice": self.number, **modes.to_record()}
            record["seconds"] = time.perf_counter() - started
        except (SampleError, SolverError, ResourceError) as error:
            log.warning("sample %d refused by %s: %s", index, self.stage, error)
            record = refused(index, refusal_reason(error), str(error))
        finally:
            if system is not None:
                system.destroy()
        return {WINDOWS: record}


def search_slice(comm, config: CampaignConfig, batch: Batch, number: int) -> dict[str, Any]:
    """Do one slice of a batch and return its counts; see `BatchJob.run`.  Collective."""
    return SliceJob(config, batch, number).run(comm)
