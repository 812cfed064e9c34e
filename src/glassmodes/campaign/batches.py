"""Prepare or analyse one batch, sample by sample, so that a kill costs at most one sample.

Each finished sample is a part file (written, flushed, renamed).  A job takes over valid
parts of a job before it and records of other batch files of the ensemble that cover the
same samples with the same settings, computes the rest, and merges everything into the
batch file.  That keeps a second name (`campaign.kept`), because Snakemake deletes the outputs
of a job that is killed after its last sample, too.  On several ranks either the samples are
spread over them, one rank a sample, or all ranks share each sample (ensembles with ``ranks``
above 1; networks are prepared on one).
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from glassmodes.campaign import kept as second_names
from glassmodes.campaign.analyse import analyse_sample
from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.locks import Lock
from glassmodes.campaign.manifest import Batch, range_of, sample_seed
from glassmodes.campaign.prepare import is_prepared_together, prepare_ensemble_sample
from glassmodes.campaign.provenance import (
    analysis_settings,
    fingerprint,
    library_versions,
    preparation_settings,
)
from glassmodes.campaign.records import (
    Header,
    Records,
    Row,
    is_valid,
    read_header,
    read_records,
    read_sample,
    read_timings,
    refusal_reason,
    refused,
    sample_group,
    write_batch,
    write_timings,
)
from glassmodes.campaign.stopping import Stopped, StopRequest
from glassmodes.campaign.usage import usage_path, write_usage
from glassmodes.domain import Domain
from glassmodes.errors import InputError, ResourceError, SampleError, SolverError
from glassmodes.parallel import agreement, on_root

log = logging.getLogger(__name__)

LOCK_WAIT_S = 120.0
"""How long a job waits for another one at work on the same batch."""


class BatchJob(ABC):
    """The work on one batch in one stage.

    Parameters
    ----------
    config : CampaignConfig
    batch : Batch
    """

    stage: str
    shares_samples = False
    """Whether all ranks work on one sample together."""
    libraries: tuple[str, ...] = ()
    """Modules that all ranks must start together, and before our signal handlers."""

    def __init__(self, config: CampaignConfig, batch: Batch) -> None:
        self.config, self.batch = config, batch
        self.ensemble = config.ensembles[batch.ensemble]
        self.parts = batch.parts_folder(config.results, self.stage)

    @property
    @abstractmethod
    def kinds(self) -> tuple[str, ...]:
        """Kinds of records that the job leaves, one file each."""

    @abstractmethod
    def output(self, kind: str) -> Path:
        """Path of the batch file of `kind`."""

    @abstractmethod
    def donors(self, kind: str) -> Iterator[tuple[Path, tuple[int, int]]]:
        """Yield other files that may hold records of this batch, with their ranges."""

    @abstractmethod
    def settings(self, kind: str) -> Mapping[str, Any]:
        """Return everything that the records of `kind` depend on."""

    @abstractmethod
    def compute(self, comm, index: int) -> dict[str, Row]:
        """Return a row for each kind; wall times are keys that begin with ``seconds``."""

    def header(self, kind: str) -> Header:
        """Return the header of the batch file of `kind`."""
        settings = self.settings(kind)
        assert self.ensemble.dimension is not None
        return Header(
            kind=kind,
            dimension=self.ensemble.dimension,
            particles=self.ensemble.particles,
            fingerprint=fingerprint(settings),
            provenance={"settings": settings, "versions": library_versions()},
        )

    def part(self, index: int, kind: str) -> Path:
        """Path of the part file of one sample."""
        return self.parts / f"{index:06d}.{kind}.h5"

    def run(self, comm) -> dict[str, Any]:
        """Do the batch and return its counts.

        Collective.

        Raises
        ------
        Stopped
            A signal asked for it; finished samples are kept.
        LockedError
            Another living job works on this batch.
        """
        purpose = f"{self.stage} of batch {self.batch.name}"
        lock = Lock(self.batch.lock_path(self.config.results, self.stage), purpose, LOCK_WAIT_S)
        on_root(comm, lock.acquire)
        try:
            self._headers = {kind: self.header(kind) for kind in self.kinds}
            self._taken = on_root(comm, self._take_over)
            self._missing = on_root(comm, self._missing_kinds)
            todo = list(self._missing)
            self._compute_all(comm, todo)
            counts = on_root(comm, lambda: self._merge(computed=len(todo)))
            batch = self.batch
            write_usage(comm, usage_path(self.config.results, self.stage, batch.ensemble, batch.id))
            return counts
        finally:
            lock.release()

    def _take_over(self) -> dict[str, dict[int, Path]]:
        """Return the donor files to read by kind and index."""
        taken: dict[str, dict[int, Path]] = {}
        for kind in self.kinds:
            wanted, found = self._headers[kind].fingerprint, {}
            for path, (first, last) in self.donors(kind):
                covered = range(max(first, self.batch.first), min(last, self.batch.last))
                if len(covered) and path != self.output(kind) and is_valid(path, wanted):
                    there = set(read_records(path)["index"])  # without those to be tried again
                    found |= dict.fromkeys((k for k in covered if k in there), path)
            taken[kind] = found
        return taken

    def _missing_kinds(self) -> dict[int, tuple[str, ...]]:
        """Return the samples with something left to compute, and the kinds of records missing."""

        def done(index: int, kind: str) -> bool:
            wanted = self._headers[kind].fingerprint
            return index in self._taken[kind] or is_valid(self.part(index, kind), wanted)

        missing = {
            index: tuple(kind for kind in self.kinds if not done(index, kind))
            for index in self.batch.indices
        }
        return {index: kinds for index, kinds in missing.items() if kinds}

    def _compute_all(self, comm, todo: list[int]) -> None:
        spread = comm.size > 1 and not self.shares_samples
        own = comm.Split(comm.rank, 0) if spread else comm
        mine = todo[comm.rank :: comm.size] if spread else todo
        self._done = len(self.batch.indices) - len(todo)
        log.info("%s: %d of %d samples to do", self.batch.name, len(todo), len(self.batch.indices))
        for library in self.libraries:
            importlib.import_module(library)
        try:
            with StopRequest() as stop:
                if spread:
                    with agreement(comm):
                        self._loop(own, mine, stop, comm.size)
                else:
                    self._loop(own, mine, stop, 1)
        finally:
            if spread:
                own.Free()

    def _loop(self, comm, indices: list[int], stop: StopRequest, stride: int) -> None:
        started = time.monotonic()
        for count, index in enumerate(indices, start=1):
            rows = self.compute(comm, index)
            on_root(comm, partial(self._write_parts, index, rows))
            self._report(comm, index, rows, count, len(indices), stride, started)
            if self._is_stopped(comm, stop) and count < len(indices):
                raise Stopped(
                    f"{self.stage} of batch {self.batch.name} was asked to stop; its finished "
                    "samples are kept, run again to go on"
                )

    def _is_stopped(self, comm, stop: StopRequest) -> bool:
        asked = stop.received is not None
        return comm.allreduce(int(asked)) > 0 if comm.size > 1 else asked

    def _write_parts(self, index: int, rows: dict[str, Row]) -> None:
        for kind, row in rows.items():
            record = dict(row.record)
            seconds = {k: record.pop(k) for k in list(record) if k.startswith("seconds")}
            header = self._headers[kind]
            part = Header(
                header.kind, header.dimension, header.particles, header.fingerprint, seconds
            )
            write_batch(self.part(index, kind), part, [Row(record, row.sample)])

    def _report(self, comm, index, rows, count, total, stride, started) -> None:
        if comm.rank != 0:
            return
        each = (time.monotonic() - started) / count
        refusals = [row.record for row in rows.values() if row.record["status"] != "ok"]
        note = f", refused: {refusals[0]['reason']}" if refusals else ""
        log.info(
            "%s: sample %d done (%d of %d), %.2f s each, about %.0f s left%s",
            self.batch.name,
            index,
            min(self._done + count * stride, len(self.batch.indices)),
            len(self.batch.indices),
            each,
            each * (total - count),
            note,
        )

    def _merge(self, computed: int) -> dict[str, Any]:
        """Write the batch files from parts and donors, and clear the parts."""
        timings: list[tuple[int, str, float]] = []
        refusals = 0
        outputs = [self.output(kind) for kind in self.kinds]
        _remove_leftovers(outputs)
        for kind in self.kinds:
            rows, donors = [], {p: read_records(p) for p in set(self._taken[kind].values())}
            for index in self.batch.indices:
                path = self.part(index, kind)
                donor = self._taken[kind].get(index)
                if donor is not None:
                    rows.append(_row_of(donor, donors[donor], index))
                    continue
                rows.append(_row_of(path, read_records(path), index))
                seconds = read_header(path).provenance.items()
                timings += ((index, f"{kind}.{name}", value) for name, value in seconds)
            refusals += sum(row.record["status"] != "ok" for row in rows)
            write_batch(self.output(kind), self._headers[kind], rows)
            second_names.keep(self.config.results, self.output(kind))
        self._write_timings(timings)
        shutil.rmtree(self.parts, ignore_errors=True)
        self._remove_superseded()
        return {
            "batch": self.batch.name,
            "samples": len(self.batch.indices),
            "computed": computed,
            "refused": refusals,
        }

    def _remove_superseded(self) -> None:
        """Remove files of other ranges whose samples are all in files of the manifest by now."""
        for kind in self.kinds:
            wanted = self._headers[kind].fingerprint
            for path in sorted(set(self._taken[kind].values())):
                inside = path.is_relative_to(self.config.results)
                if inside and second_names.remove_superseded(self.config, path, wanted):
                    log.info(
                        "%s: %s is removed, its samples are in files of the batches "
                        "that there are now",
                        self.batch.name,
                        path,
                    )

    def _write_timings(self, timings: list[tuple[int, str, float]]) -> None:
        """Write the wall times of the samples, old ones of samples that were taken over too."""
        path = self.batch.timings_path(self.config.results, self.stage)
        new = {(index, quantity) for index, quantity, _ in timings}
        old = [
            (index, quantity, seconds)
            for index, row in read_timings(path).items()
            for quantity, seconds in row.items()
            if index in self._taken.get(quantity.partition(".")[0], {})
            and (index, quantity) not in new
        ]
        write_timings(path, old + timings)


class PrepareJob(BatchJob):
    """Prepare the samples of a batch."""

    stage = "prepare"
    kinds = ("samples",)

    def __init__(self, config: CampaignConfig, batch: Batch) -> None:
        super().__init__(config, batch)
        self.shares_samples = is_prepared_together(self.ensemble)

    def output(self, kind: str) -> Path:
        return self.batch.samples_path(self.config.results)

    def donors(self, kind: str) -> Iterator[tuple[Path, tuple[int, int]]]:
        for root in second_names.roots(self.config.results):
            for path in sorted(self.batch.samples_path(root).parent.glob("*.h5")):
                if covered := range_of(path.stem):
                    yield path, covered

    def settings(self, kind: str) -> Mapping[str, Any]:
        return preparation_settings(self.config, self.batch.ensemble)

    def compute(self, comm, index: int) -> dict[str, Row]:
        seed = sample_seed(self.batch.seed, self.batch.ensemble, index)
        started = time.perf_counter()
        try:
            record, sample = prepare_ensemble_sample(comm, self.ensemble, seed)
            row = Row({"index": index, "status": "ok", "seed": seed, **record}, sample)
        except (SampleError, SolverError, ResourceError) as error:
            log.warning("sample %d refused: %s", index, error)
            row = Row({**refused(index, refusal_reason(error), str(error)), "seed": seed})
        return {
            "samples": Row({**row.record, "seconds": time.perf_counter() - started}, row.sample)
        }


class AnalyseJob(BatchJob):
    """Run the analyses of an ensemble on the samples of a batch."""

    stage = "analyse"
    # Left to the first sample, a rank without samples would never join in starting PETSc.
    libraries = ("petsc4py.PETSc", "slepc4py.SLEPc")

    def __init__(self, config: CampaignConfig, batch: Batch) -> None:
        super().__init__(config, batch)
        self.shares_samples = self.ensemble.ranks > 1
        self._samples: Records | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        return self.config.analyses_of(self.batch.ensemble)

    def output(self, kind: str) -> Path:
        return self.batch.analysis_path(self.config.results, kind)

    def donors(self, kind: str) -> Iterator[tuple[Path, tuple[int, int]]]:
        name = self.output(kind).name
        for root in second_names.roots(self.config.results):
            folder = self.batch.analysis_path(root, kind).parent.parent
            for path in sorted(folder.glob(f"*/{name}")):
                covered = range_of(path.parent.name)
                if covered and self._is_of_these_samples(path):
                    yield path, covered

    def _is_of_these_samples(self, path: Path) -> bool:
        """Tell whether records of the same settings are those of the samples that lie here.

        Samples that one rank makes have the same bytes each time.  Those of several ranks differ
        in rounding, hence as glasses, from one preparation to the next: dates decide.
        """
        if not is_prepared_together(self.ensemble):
            return True
        samples = self.batch.samples_path(self.config.results)
        return path.stat().st_mtime_ns >= samples.stat().st_mtime_ns

    def settings(self, kind: str) -> Mapping[str, Any]:
        return analysis_settings(self.config, self.batch.ensemble, kind)

    def compute(self, comm, index: int) -> dict[str, Row]:
        state, group = on_root(comm, lambda: self._find(index))
        if group is None:
            text = f"not prepared: {state['message']}"
            return {k: Row(refused(index, str(state["reason"]), text)) for k in self.kinds}
        try:
            domain = Domain.read(comm, self.batch.samples_path(self.config.results), group)
        except ResourceError as error:
            row = Row(refused(index, refusal_reason(error), str(error)))
            return dict.fromkeys(self.kinds, row)
        records = self.measure(comm, domain, index)
        return {kind: Row(record) for kind, record in records.items()}

    def measure(self, comm, domain: Domain, index: int) -> dict[str, dict[str, Any]]:
        """Return a record of each kind for one sample.  Collective."""
        kinds = self._missing[index]
        analyses = {k: self.config.settings_of(self.batch.ensemble, k) for k in kinds}
        seed = sample_seed(self.batch.seed, self.batch.ensemble, index)
        return analyse_sample(comm, domain, index, analyses, seed)

    def _find(self, index: int) -> tuple[dict[str, Any], str | None]:
        """Return the record of the prepared sample and its group in the file, verified."""
        path = self.batch.samples_path(self.config.results)
        if self._samples is None:
            self._samples = read_records(path)
            wanted = fingerprint(preparation_settings(self.config, self.batch.ensemble))
            if self._samples.header.fingerprint != wanted:
                raise InputError(
                    f"{path} was prepared with other settings than the configuration has now; "
                    "run the stage prepare again"
                )
        record = self._samples.record(index - self.batch.first)
        return record, sample_group(path, index) if record["status"] == "ok" else None


def prepare_batch(comm, config: CampaignConfig, batch: Batch) -> dict[str, Any]:
    """Prepare a batch and return its counts; see `BatchJob.run`.  Collective."""
    return PrepareJob(config, batch).run(comm)


def analyse_batch(comm, config: CampaignConfig, batch: Batch) -> dict[str, Any]:
    """Analyse a prepared batch and return its counts; see `BatchJob.run`.  Collective."""
    return AnalyseJob(config, batch).run(comm)


def _remove_leftovers(outputs: list[Path]) -> None:
    """Remove what killed jobs of this batch left of half-written files; its lock is ours."""
    for path in outputs:
        for leftover in path.parent.glob(f".{path.name}.*.tmp"):
            with contextlib.suppress(OSError):
                leftover.unlink()


def _row_of(path: Path, records: Records, index: int) -> Row:
    """Return the row of one sample from a part or batch file."""
    position = list(records["index"]).index(index)
    record = records.record(position)
    has_sample = records.header.kind == "samples" and record["status"] == "ok"
    return Row(record, read_sample(path, index) if has_sample else None)
