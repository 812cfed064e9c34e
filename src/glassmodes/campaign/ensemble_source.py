"""The result files of one ensemble, batch by batch, as the tables want to read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassmodes.campaign.config import CampaignConfig
from glassmodes.campaign.config_protocols import (
    Cooling,
    DepletedLattice,
    Network,
    RandomNetwork,
    RandomStart,
    Vacancies,
)
from glassmodes.campaign.manifest import Batch, build_manifest
from glassmodes.campaign.provenance import fingerprints_of
from glassmodes.campaign.records import Ragged, Records, read_records
from glassmodes.errors import InputError

PREPARE = "samples"
"""Stage name of the records that preparation leaves inside the sample files."""


UNKNOWN = -1
"""Stands for an unknown integer in the records; no count of theirs is negative."""


class Block:
    """Records of one stage for one batch: one entry per sample."""

    def __init__(self, batch: Batch, path: Path, records: Records) -> None:
        self.batch = batch
        self.path = path
        self._records = records

    @property
    def size(self) -> int:
        return len(self._records["index"])

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """Which samples were not refused, shape ``(size,)``."""
        return self._records.accepted

    def __contains__(self, name: str) -> bool:
        return name in self._records

    def array(self, name: str) -> NDArray:
        """Return a column with one entry per sample."""
        if name not in self._records:
            raise InputError(
                f"{self.path}: the column {name!r} is missing; analyse the batch again"
            )
        return np.asarray(self._records[name])

    def ragged(self, name: str) -> Ragged:
        """Return a column with an array of its own length per sample."""
        if name not in self._records:
            raise InputError(
                f"{self.path}: the column {name!r} is missing; analyse the batch again"
            )
        column = self._records[name]
        assert isinstance(column, Ragged)
        return column

    def optional(self, name: str, k: int) -> Any:
        """Return entry `k` of a column that a stage may lack; None also if it is unknown."""
        if name not in self._records:
            return None
        value = self._records[name][k]
        return None if isinstance(value, (int, np.integer)) and value == UNKNOWN else value


@dataclass(frozen=True)
class EnsembleSource:
    """One ensemble of a campaign: what was planned and where its results lie.

    `coordination_asked` and `stiffness` are those of networks, None for glasses and for a
    perfect lattice; `lattice` is the one whose closed forms hold, None if none does.  `slices`
    are those of the window, 0 without one.  `fingerprints` say by the name of a file what its
    records must depend on; `refusals` fills by stage as blocks are read, with the index of a
    sample, its reason and its message.
    """

    name: str
    title: str
    group: str
    model: str
    dimension: int
    particles: int
    density: float
    protocol: str
    protocol_details: str
    parent_temperature: float | None
    cooling_rate: float | None
    samples: int
    analyses: tuple[str, ...]
    batches: tuple[Batch, ...]
    results: Path
    coordination_asked: float | None = None
    lattice: str | None = None
    stiffness: float | None = None
    slices: int = 0
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    refusals: dict[str, dict[int, tuple[str, str]]] = field(default_factory=dict, repr=False)

    @property
    def volume(self) -> float:
        return self.particles / self.density

    def blocks(self, stage: str) -> Iterator[Block]:
        """Yield the records of a stage batch by batch; none if it was not asked for.

        Raises
        ------
        InputError
            A file is missing, damaged, or made with other settings than the configuration has.
        """
        if stage != PREPARE and stage not in self.analyses:
            return
        yield from self._read("prepare" if stage == PREPARE else stage, stage)

    def slice_blocks(self, number: int) -> Iterator[Block]:
        """Yield the records of one slice of the window batch by batch."""
        yield from self._read(f"windows, slice {number}", f"windows-{number:03d}")

    def _read(self, stage: str, name: str) -> Iterator[Block]:
        refusals = self.refusals.setdefault(stage, {})
        for batch in self.batches:
            block = self.read_block(batch, name)
            if block is None:
                continue
            index, reason, message = (block.array(n) for n in ("index", "reason", "message"))
            for k in np.flatnonzero(~block.accepted):
                refusals[int(index[k])] = (str(reason[k]), str(message[k]))
            yield block

    def read_block(self, batch: Batch, name: str) -> Block | None:
        """Read the file of one batch: that of the samples, or `name` of the analyses."""
        if name == PREPARE:
            path = batch.samples_path(self.results)
        else:
            path = batch.analysis_path(self.results, name)
        if not path.is_file():
            raise InputError(f"{path}: the batch is missing; run the stages before the tables")
        records = read_records(path)
        if records.header.fingerprint != self.fingerprints[name]:
            raise InputError(
                f"{path} was made with other settings than the configuration has now; "
                "run the campaign again, which repeats it"
            )
        return Block(batch, path, records)

    def first_refusals(self) -> dict[int, tuple[str, str, str]]:
        """Return stage, reason and message of the first refusal of each refused sample.

        Those in the blocks that were read so far.
        """
        windows = [f"windows, slice {k}" for k in range(self.slices)]
        first: dict[int, tuple[str, str, str]] = {}
        for stage in ("prepare", *self.analyses, *windows):
            for index, (reason, message) in self.refusals.get(stage, {}).items():
                first.setdefault(index, (stage, reason, message))
        return first


def ensemble_sources(config: CampaignConfig) -> list[EnsembleSource]:
    """Return the ensembles of a campaign in the order of the configuration."""
    batches: dict[str, list[Batch]] = {name: [] for name in config.ensembles}
    for batch in build_manifest(config):
        batches[batch.ensemble].append(batch)
    sources = []
    for name, e in config.ensembles.items():
        details = describe_protocol(e.protocol)
        assert e.dimension is not None and e.density is not None
        network = isinstance(e.protocol, Network)
        before = "" if network else f"{Path(e.model).stem} at density {e.density:g}, "
        sources.append(
            EnsembleSource(
                name=name,
                title=e.title,
                group=f"{before}{details}",
                model=e.model,
                dimension=e.dimension,
                particles=e.particles,
                density=e.density,
                protocol=e.protocol.name,
                protocol_details=details,
                parent_temperature=getattr(e.protocol, "temperature", None),
                cooling_rate=e.protocol.rate if isinstance(e.protocol, Cooling) else None,
                samples=e.samples,
                analyses=config.analyses_of(name),
                batches=tuple(batches[name]),
                results=config.results,
                coordination_asked=getattr(e.protocol, "coordination", None),
                lattice=_whole_lattice(e.protocol),
                stiffness=getattr(e.protocol, "stiffness", None),
                slices=config.slices_of(name),
                fingerprints=fingerprints_of(config, name),
            )
        )
    return sources


def _whole_lattice(protocol: Any) -> str | None:
    """Return the lattice whose closed forms hold: none once floppy parts are taken out."""
    pruned = getattr(protocol, "prune_floppy", False)
    return None if pruned else getattr(protocol, "lattice", None)


def describe_protocol(protocol) -> str:
    """Return how the glasses or networks are made, in words and numbers."""
    if isinstance(protocol, Network):
        pruned = ", floppy parts taken out" if protocol.prune_floppy else ""
        return f"{_describe_network(protocol)}{pruned}"
    if isinstance(protocol, Cooling):
        return (
            f"cooled from T = {protocol.temperature:g} to {protocol.final_temperature:g} "
            f"at rate {protocol.rate:g}"
        )
    if isinstance(protocol, RandomStart):
        return "quenched from random positions"
    return f"instantaneous quench from T = {protocol.temperature:g}"


def _describe_network(protocol: Network) -> str:
    if isinstance(protocol, Vacancies):
        return f"{protocol.lattice} lattice with vacancies, Z = {protocol.coordination:g}"
    assert isinstance(protocol, DepletedLattice | RandomNetwork)
    if isinstance(protocol, DepletedLattice):
        if protocol.coordination is None:
            return f"perfect {protocol.lattice} lattice"
        kind = f"{protocol.lattice} lattice with bonds cut"
    else:
        kind = "random network cut"
    return f"{kind} to Z = {protocol.coordination:g}, {protocol.cut}"
