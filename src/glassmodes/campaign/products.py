"""Which tables, fits and figures a campaign has: those whose analyses it asks for.

Cheap to import, so that the rules of the workflow can ask in every job.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from glassmodes.campaign.config import CampaignConfig, Ensemble
from glassmodes.campaign.config_protocols import Network
from glassmodes.campaign.table_columns import Needs, all_of, one_of
from glassmodes.campaign.table_files import read_table
from glassmodes.campaign.table_schema import TABLES

FIGURE_NEEDS: dict[str, Needs] = {
    "preparation": one_of("glasses"),
    "density_of_states": one_of("modes"),
    "cumulative": one_of("modes"),
    "participation": one_of("modes"),
    "windows": one_of("windows"),
    "exponent_scan": one_of("modes"),
    "shear_modulus": one_of("moduli"),
    "moduli_by_ensemble": one_of("moduli"),
    "disorder_parameter": one_of("moduli"),
    "dipole_stiffness": one_of("dipoles"),
    "networks": all_of("networks"),
    "spectral_densities": all_of("networks", "spectra"),
    "oscillatory_moduli": all_of("networks", "viscoelasticity"),
    "loss_exponents": all_of("networks", "viscoelasticity"),
    "relaxation": all_of("networks", "viscoelasticity"),
    "glass_relaxation": all_of("glasses", "viscoelasticity"),
    "glass_spectra": all_of("glasses", "spectra"),
}
"""The keys of ``figures.FIGURES``, which would load matplotlib, and what each one needs."""


def features_of(config: CampaignConfig) -> frozenset[str]:
    """Return the analyses of all ensembles, and ``networks`` or ``glasses`` for what they are."""
    features: set[str] = set()
    for ensemble in config.ensembles.values():
        features.update(ensemble.analyses)
        features.add("networks" if is_network(ensemble) else "glasses")
    return frozenset(features)


def is_network(ensemble: Ensemble) -> bool:
    """Tell whether an ensemble's samples are made of bonds instead of interacting particles."""
    return isinstance(ensemble.protocol, Network)


def is_there(needs: Needs, features: frozenset[str]) -> bool:
    """Tell whether a campaign with `features` has what `needs` asks for."""
    return not needs or any(wanted <= features for wanted in needs)


def tables_of(config: CampaignConfig, folder: str = "") -> list[str]:
    """Return the names of the tables that a campaign has, those below `folder` only."""
    features = features_of(config)
    return [
        name
        for name, table in TABLES.items()
        if is_there(table.needs, features) and table.path.startswith(folder)
    ]


def figures_of(config: CampaignConfig) -> list[str]:
    """Return the names of the figures that a campaign has."""
    features = features_of(config)
    return [name for name, needs in FIGURE_NEEDS.items() if is_there(needs, features)]


def read_tables(config: CampaignConfig, names: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Read CSV tables by name; a table that the campaign does not have is empty."""
    there = set(tables_of(config))
    return {name: read_table(config.results, name) if name in there else [] for name in names}
