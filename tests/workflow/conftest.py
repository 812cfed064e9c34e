"""Configurations and synthetic samples for tests of the workflow's own logic."""

import copy

import numpy as np
import pytest

from glassmodes.campaign import batches
from glassmodes.campaign.config import check_config
from glassmodes.campaign.record_schema import COMMON, SCHEMAS
from glassmodes.campaign.records import refused
from glassmodes.errors import SampleError
from glassmodes.sample import Sample

CONTENT = {
    "campaign": {"title": "test", "seed": 5},
    "ensembles": {
        "small": {
            "model": "ipl_2d",
            "particles": 16,
            "protocol": {"name": "instantaneous_quench", "temperature": 2.0},
            "samples": 5,
            "batch_size": 3,
        }
    },
    "analyses": {"modes": {"count": 4}},
}


@pytest.fixture
def content(tmp_path):
    """Return a valid configuration as a mapping, to change and to check."""
    changed = copy.deepcopy(CONTENT)
    changed["campaign"]["results"] = str(tmp_path / "results")
    return changed


@pytest.fixture
def config(content):
    """Return a checked configuration of five small samples in two batches."""
    return check_config(content)


def synthetic_record(kind, dimension, particles, seed):
    """Return numbers for all compulsory columns of `kind` that follow from the seed."""
    rng = np.random.default_rng(seed)
    record = {}
    for column in SCHEMAS[kind][len(COMMON) :]:
        if column.optional:
            continue
        if column.kind == "text":
            record[column.name] = str(rng.integers(1, 9))
        else:
            shape = (4,) * column.ragged + column.sizes(dimension, particles)
            record[column.name] = rng.integers(1, 9, shape).astype(column.dtype)
    return record


class SyntheticWork:
    """Stands in for the physics of a batch, counts its calls and fails where it is told to."""

    def __init__(self):
        self.prepared, self.analysed = [], []
        self.refuse, self.die_at = set(), None

    def prepare(self, comm, ensemble, seed):
        self.prepared.append(seed)
        if len(self.prepared) == self.die_at:
            raise KeyboardInterrupt
        if seed in self.refuse:
            raise SampleError("not_converged", "the minimiser gave up")
        n, d = ensemble.particles, ensemble.dimension
        positions = np.random.default_rng(seed).random((n, d))
        record = synthetic_record("samples", d, n, seed)
        del record["seed"]
        return record, Sample(positions, np.ones(d), provenance={"seed": seed})

    def analyse(self, comm, domain, index, analyses, seed):
        self.analysed.append(index)
        if len(self.analysed) == self.die_at:
            raise KeyboardInterrupt
        if index in self.refuse:
            return {kind: refused(index, "saddle", "2 negative") for kind in analyses}
        n, d = domain.particles, domain.dimension
        start = {"index": index, "status": "ok", "seconds_solve": 0.1}
        return {kind: start | synthetic_record(kind, d, n, seed) for kind in analyses}


@pytest.fixture
def work(monkeypatch):
    """Replace preparation and analysis of a sample by `SyntheticWork`."""
    synthetic = SyntheticWork()
    monkeypatch.setattr(batches, "prepare_ensemble_sample", synthetic.prepare)
    monkeypatch.setattr(batches, "analyse_sample", synthetic.analyse)
    return synthetic
