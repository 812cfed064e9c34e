"""A model of the time on many ranks, from what a few ranks measured.

T(R) = C w(R) + S + P h(R) + n r(R)

C  compute of the whole problem: the time measured on the largest communicator, less its other
   terms, over its w, so that cores which share a memory are in it
w  share of the rank with most edges; an edge between two ranks is computed by both
S  what every rank repeats: the projected eigenproblem
P  block products, each after an exchange of ghost rows that nothing hides:
   h = messages x latency + bytes / bandwidth, for the rank with most of each
n  reductions and broadcasts; r grows by as much for each doubling of the ranks

Shares, ghosts and messages are counted in the real sample cut into R ranges of its curve.
Latency, bandwidth and reductions are measured on this machine and taken for all ranks of a
node; between nodes they are assumed: `NODE`, `NETWORK_LATENCY`, `NETWORK_BANDWIDTH`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

WIDTH = 8
NODE = 64  # ranks of a node
NETWORK_LATENCY = 2e-6  # s
NETWORK_BANDWIDTH = 25e9 / NODE  # bytes/s of a rank while all ranks of its node send
USUAL = {"latency": 1e-6, "bandwidth": 5e9}  # of a node where one rank measured none


@dataclass(frozen=True)
class Prediction:
    """Seconds of the parts of one workload on many ranks."""

    compute: float
    repeated: float
    exchange: float
    reductions: float

    @property
    def total(self) -> float:
        return self.compute + self.repeated + self.exchange + self.reductions

    def text(self) -> str:
        if not self.compute:
            return "of no use: waiting alone exceeds the measurement, the machine was not idle"
        shares = [(name, value / self.total) for name, value in vars(self).items()]
        return ", ".join(f"{name} {share:.0%}" for name, share in shares if share >= 0.005)


def predict(run: dict, workload: str, parts: dict[int, dict], ranks: int) -> Prediction:
    """Return the model's time of a workload on `ranks` ranks from a run that measured it.

    run : of `ranks.main`; parts : of `partitions`, with the ranks of the run among its keys.
    """
    found, here = run[workload], run["ranks"]
    repeated = found.get("seconds_by_part", {}).get("project", 0.0)
    products, collectives = found["block products"], found["collectives"]

    def waiting(count: int) -> tuple[float, float]:
        exchange = products * _exchange(run["machine"], parts[count], run["dimension"])
        return exchange, collectives * _reduction(run, count)

    compute = max(found["seconds"] - repeated - sum(waiting(here)), 0.0) / parts[here]["share"]
    return Prediction(compute * parts[ranks]["share"], repeated, *waiting(ranks))


def _exchange(machine: dict, part: dict, dimension: int) -> float:
    """Return the seconds of one exchange of ghost rows of `WIDTH` columns."""
    usual = USUAL | machine
    row = 8 * WIDTH * dimension
    inside = part["messages"] * usual["latency"] + part["ghosts"] * row / usual["bandwidth"]
    return inside + (
        part["far messages"] * NETWORK_LATENCY + part["far ghosts"] * row / NETWORK_BANDWIDTH
    )


def _reduction(run: dict, ranks: int) -> float:
    """Return the seconds of one reduction: one message more for each doubling of the ranks."""
    if ranks == 1:
        return 0.0
    doublings = math.log2(run["ranks"])
    step = run["machine"]["reduction"] / doublings if doublings else USUAL["latency"]
    inside, across = min(ranks, NODE), math.ceil(ranks / NODE)
    return math.log2(inside) * step + math.log2(across) * NETWORK_LATENCY


def partitions(sample, counts: list[int]) -> dict[int, dict]:
    """Count edges, ghosts and messages of a sample cut into each number of ranks.

    For every count the largest of any rank: ``share`` of all edges, ``ghosts`` and ``messages``
    inside a node of `NODE` ranks, ``far ghosts`` and ``far messages`` between nodes.
    """
    from mpi4py import MPI

    from glassmodes.observables.harmonic import HarmonicSystem

    operator = HarmonicSystem(MPI.COMM_SELF, sample).operator
    d = operator.site_size
    graph = operator.local_rows()[::d, ::d].tocoo()
    i, j = graph.row[graph.row < graph.col], graph.col[graph.row < graph.col]
    return {count: _partition(operator.halo.n_sites, i, j, count) for count in counts}


def _partition(n: int, i: np.ndarray, j: np.ndarray, count: int) -> dict[str, float]:
    from glassmodes.parallel import split_range

    starts = [split_range(n, count, part)[0] for part in range(count)]
    a, b = (np.searchsorted(starts, ends, side="right") - 1 for ends in (i, j))
    edges = np.bincount(a, minlength=count) + np.bincount(b[a != b], minlength=count)
    cross = a != b
    # A ghost is a pair of a rank and a site of another rank that it needs.
    rank = np.concatenate([a[cross], b[cross]])
    site = np.concatenate([j[cross], i[cross]])
    owner = np.concatenate([b[cross], a[cross]])
    _, first = np.unique(rank * np.int64(n) + site, return_index=True)
    rank, owner = rank[first], owner[first]
    far = rank // NODE != owner // NODE
    _, first = np.unique(rank * np.int64(count) + owner, return_index=True)
    sender, distant = rank[first], far[first]

    def most(members: np.ndarray) -> int:
        return int(np.bincount(members, minlength=count).max())

    return {
        "share": float(edges.max()) / len(i),
        "ghosts": most(rank[~far]),
        "messages": most(sender[~distant]),
        "far ghosts": most(rank[far]),
        "far messages": most(sender[distant]),
    }
