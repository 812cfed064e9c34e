"""The manifest: ensembles cut into batches, the same batches for the same configuration.

Batch k of an ensemble holds the samples from ``k * batch_size`` on, so raising the
number of samples adds batches and leaves full ones as they are; a last batch that was
not full grows, and its new job takes over the samples that its shorter file holds.
The seed of a sample follows from the campaign's seed, the ensemble's name and the
sample's index alone.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from glassmodes.campaign.config import CampaignConfig
from glassmodes.errors import InputError, nearest

BATCH_PATTERN = r"\d+-\d+"


@dataclass(frozen=True)
class Batch:
    """The samples ``first .. last - 1`` of one ensemble.

    Attributes
    ----------
    ensemble : str
        Name of the ensemble.
    first, last : int
        Half-open range of sample indices.
    seed : int
        Seed of the ensemble, see `sample_seed`.
    """

    ensemble: str
    first: int
    last: int
    seed: int

    @property
    def id(self) -> str:
        """First and last index of the batch, as in its file names: ``000050-000099``."""
        return batch_id(self.first, self.last)

    @property
    def name(self) -> str:
        """Ensemble and range, as the command line takes them: ``ipl_2d/000050-000099``."""
        return f"{self.ensemble}/{self.id}"

    @property
    def indices(self) -> range:
        """Indices of the samples."""
        return range(self.first, self.last)

    def samples_path(self, results: str | Path) -> Path:
        """Path of the file with the samples themselves."""
        return Path(results) / "samples" / self.ensemble / f"{self.id}.h5"

    def analysis_path(self, results: str | Path, analysis: str) -> Path:
        """Path of the file with the records of one analysis."""
        return Path(results) / "analyses" / self.ensemble / self.id / f"{analysis}.h5"

    def slice_path(self, results: str | Path, number: int) -> Path:
        """Path of the file with the records of one slice of the window."""
        return self.analysis_path(results, f"windows-{number:03d}")

    def timings_path(self, results: str | Path, stage: str) -> Path:
        """Path of the wall times of each sample in the stage prepare or analyse."""
        return Path(results) / "timings" / stage / self.ensemble / f"{self.id}.csv"

    def parts_folder(self, results: str | Path, stage: str) -> Path:
        """Folder of the part files while the batch is in progress."""
        return Path(results) / "parts" / stage / self.ensemble / f"{self.first:06d}"

    def lock_path(self, results: str | Path, stage: str) -> Path:
        """Path of the lock that a job holds while it works on the batch."""
        return Path(results) / "locks" / f"{stage}.{self.ensemble}.{self.first:06d}.lock"


def batch_id(first: int, last: int) -> str:
    """Return the identifier of the half-open range ``first .. last``."""
    return f"{first:06d}-{last - 1:06d}"


def range_of(identifier: str) -> tuple[int, int] | None:
    """Return the half-open range of a batch identifier, None if it is none."""
    if not re.fullmatch(BATCH_PATTERN, identifier):
        return None
    first, last = identifier.split("-")
    return int(first), int(last) + 1


def sample_seed(seed: int, ensemble: str, index: int) -> int:
    """Return the seed of one sample: below 2^63 and independent of all other samples."""
    text = f"{seed}/{ensemble}/{index}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1


def batches_of(config: CampaignConfig, ensemble: str) -> list[Batch]:
    """Return the batches of one ensemble in order."""
    settings = config.ensembles[ensemble]
    seed = config.seed_of(ensemble)
    return [
        Batch(ensemble, first, min(first + settings.batch_size, settings.samples), seed)
        for first in range(0, settings.samples, settings.batch_size)
    ]


def build_manifest(config: CampaignConfig) -> list[Batch]:
    """Return all batches of a campaign, ensemble by ensemble."""
    return [batch for name in config.ensembles for batch in batches_of(config, name)]


def find_batch(config: CampaignConfig, name: str) -> Batch:
    """Return the batch called ``ensemble/first-last``.

    Raises
    ------
    InputError
        If the campaign has no such ensemble or batch; the nearest one is named.
    """
    ensemble, _, identifier = name.partition("/")
    if ensemble not in config.ensembles:
        raise InputError(
            f"batch {name!r}: no ensemble {ensemble!r}{nearest(ensemble, config.ensembles)}; "
            "a batch is written ENSEMBLE/FIRST-LAST"
        )
    known = {batch.id: batch for batch in batches_of(config, ensemble)}
    if identifier not in known:
        raise InputError(
            f"batch {name!r}: {ensemble} has no batch {identifier!r}{nearest(identifier, known)}"
        )
    return known[identifier]
