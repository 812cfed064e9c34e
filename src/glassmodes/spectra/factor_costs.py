"""What a sparse factor costs before it is made: seconds, bytes, fill and flops from size alone.

Nested dissection of N sites in d dimensions: the last separator has N^((d-1)/d) sites, factor
entries grow about as N^(2 (d-1)/d) and flops as N^(3 (d-1)/d); in the sizes that fit a machine
the exponents are those measured here.  Entries grow about as z^1.1 with the neighbours z of a
site, flops as z^1.8.  Patterns: periodic jittered lattices, orderings by PORD inside MUMPS 5.5;
times: inverse-power-law glasses of 2,000 to 32,000 particles on one core, right within a factor of
two there.
"""

from __future__ import annotations

from typing import NamedTuple

from glassmodes.memory import in_words


class FactorCost(NamedTuple):
    """Estimated cost of one factor.

    Attributes
    ----------
    seconds, solve_seconds : float
        Of the factorisation, and of one column of a batch of solves.
    bytes : int
        On each rank.
    entries, flops : float
        Of the whole factor.
    """

    seconds: float
    solve_seconds: float
    bytes: int
    entries: float
    flops: float

    def __str__(self) -> str:
        return f"{self.seconds:.3g} s and {in_words(self.bytes)} a rank"


class _Fill(NamedTuple):
    sites: int
    neighbours: float
    entries: float
    entries_exponent: float
    flops: float
    flops_exponent: float


class _Speed(NamedTuple):
    """Shares of METIS' fill and flops in those of PORD, then seconds and bytes of each part."""

    entries: float
    flops: float
    row_seconds: float
    entry_seconds: float
    flops_per_second: float
    solve_row_seconds: float
    solve_entry_seconds: float
    entry_bytes: float


_FILL = {
    2: _Fill(8100, 6.3, 1.07e6, 1.13, 2.27e8, 1.53),
    3: _Fill(8000, 17.3, 2.93e7, 1.43, 6.8e10, 2.05),
    4: _Fill(4096, 37.3, 6.5e7, 1.65, 3.7e11, 2.4),
}
_CHOLMOD = _Speed(0.8, 0.6, 6e-6, 3e-8, 4.5e10, 2.5e-8, 1.7e-10, 12.0)
_MUMPS = _Speed(1.0, 1.0, 1e-5, 4.5e-8, 4.5e10, 7e-8, 2e-10, 17.0)
_RANKS_EXPONENT = 0.55  # of the speed-up of MUMPS over ranks: 3.3 s to 2.3 s from one to two
_RANKS_BYTES = 1.4  # all ranks together against one: unsymmetric shares, buffers of messages


def estimate(
    rows: int, d: int, kind: str = "cholesky", *, neighbours: float | None = None, ranks: int = 1
) -> FactorCost:
    """Estimate what a factor of a matrix of interacting sites costs.

    Parameters
    ----------
    rows
        Rows of the matrix, d for each site.
    d
        Dimension of space; for a matrix of unknown origin 3.
    kind : {"cholesky", "ldlt"}
        Cholesky goes to CHOLMOD on one rank; L D L^T, and all factors on several ranks, to MUMPS.
    neighbours
        Mean number of sites that share an entry with a site; that of the inverse power law by
        default.
    ranks
        Ranks that share the factor.
    """
    fill = _FILL[min(max(d, 2), 4)]
    speed = _CHOLMOD if kind == "cholesky" and ranks == 1 else _MUMPS
    scale, density = rows / d / fill.sites, (neighbours or fill.neighbours) / fill.neighbours
    dense = rows * (rows + 1) / 2
    entries = fill.entries * scale**fill.entries_exponent * density**1.1 * speed.entries
    flops = fill.flops * scale**fill.flops_exponent * density**1.8 * speed.flops
    entries, flops = min(entries, dense), min(flops, rows**3 / 3)
    seconds = (
        rows * speed.row_seconds + entries * speed.entry_seconds + flops / speed.flops_per_second
    )
    solve = rows * speed.solve_row_seconds + entries * speed.solve_entry_seconds
    share = 1 if ranks == 1 else _RANKS_BYTES / ranks
    return FactorCost(
        seconds / ranks**_RANKS_EXPONENT,
        solve / ranks**_RANKS_EXPONENT,
        int(entries * speed.entry_bytes * share),
        entries,
        flops,
    )
