"""The comparison with the papers: what they say, what we measure, a verdict with its reason.

Each paper has its module, which yields its rows from the tables that the campaign has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from glassmodes.campaign import (
    compare_packings,
    compare_soft_excitations,
    compare_viscoelastic_lattices,
)
from glassmodes.campaign.compare_verdicts import (
    AGREE,
    CONTRADICTION,
    DIFFERENT_PROTOCOL,
    DISAGREE,
    NOT_RESOLVED,
    VERDICTS,
    judge,
)
from glassmodes.campaign.products import read_tables, tables_of
from glassmodes.campaign.table_files import write_table

__all__ = [
    "AGREE",
    "CONTRADICTION",
    "DIFFERENT_PROTOCOL",
    "DISAGREE",
    "NOT_RESOLVED",
    "VERDICTS",
    "judge",
    "write_comparison",
]

_PAPERS: tuple[Any, ...] = (
    compare_soft_excitations,
    compare_viscoelastic_lattices,
    compare_packings,
)
"""Modules with `TABLES` that their rows are made of, those `NEEDED`, one of which is enough,
and `comparison_rows`."""


def write_comparison(config) -> None:
    """Write ``tables/comparison.csv`` from the tables and fits of the campaign."""
    write_table(config.results, "comparison", _rows(config))


def _rows(config) -> Iterator[dict[str, Any]]:
    there = set(tables_of(config))
    for paper in _PAPERS:
        if there.intersection(paper.NEEDED):
            yield from paper.comparison_rows(read_tables(config, paper.TABLES))
