r"""Particles that touch others without bearing any load.

Spheres that only repel, with a force that fades to zero where they touch, leave some particles
of a packing loose.  Such a rattler often rests against its cage: the minimiser stops it where
an overlap of 10^-12 is left, and however small the overlap, the contact has its full stiffness
φ''.  The Hessian then has stiff modes and couplings that do not belong to the packing.

A particle with d contacts or fewer cannot bear a load at a minimum.  Repulsive forces f_c > 0
along unit vectors n_c balance only if Σ f_c n_c = 0, so d contacts or fewer leave a direction e
normal to them all, along which pushing contacts have the energy -Σ (f_c / r_c) u² / 2: a saddle.
Its contacts are taken out, and those of the particles that then have d or fewer, until none is
left (Goodrich, Dagois-Bohy, Tighe, van Hecke, Liu and Nagel, Phys. Rev. E 90, 022138, 2014).
Particles with exactly d + 1 contacts, bucklers, are kept.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from glassmodes.mechanics.forces import force_scale
from glassmodes.mechanics.interactions import PairInteractions
from glassmodes.models import Model, PairPotential, from_spec
from glassmodes.sample import Sample

IDLE = 1e-4
"""Part of the typical contact force below which a contact counts as bearing no load.

A hundred times the forces of the loosest minimum that is accepted: a contact that pushes more
is no left-over of the minimiser, and taking it out would hide a saddle."""


def can_rattle(sample: Sample, model: Model | None = None) -> bool:
    """Tell whether particles of a sample interact by nothing but contacts.

    `model` is by default the one that the sample carries.  Bonds hold a particle whatever their
    number: samples with bonds have no rattlers.
    """
    if sample.bonds is not None:
        return False
    if model is None and sample.model:
        model = from_spec(sample.model)
    return isinstance(model, PairPotential) and model.contact


def without_rattlers(inter: PairInteractions) -> PairInteractions:
    """Take out the contacts of particles that bear no load.

    Parameters
    ----------
    inter
        Contacts of a packing, whole or of one rank's domain.

    Returns
    -------
    PairInteractions
        Without the contacts of rattlers, which are then particles without any; the same object
        if there are none to take out.  The pairs that two ranks share leave on both.

    Notes
    -----
    A contact that pushes more than `IDLE` stays, so that a saddle is found and refused where
    saddles are.  Loose particles that hold one another by more than d idle contacts each, such
    as three in one cage that touch all around, stay as well; they are rare.
    Collective; a few rounds, each linear in the contacts of a rank, with one exchange.
    """
    pushing = np.abs(inter.derivatives[1]) > IDLE * force_scale(inter)
    idle = _contacts_of(inter, pushing) == 0
    kept = np.ones(len(inter), bool)
    while True:
        touching = _contacts_of(inter, kept)
        loose = idle & (touching > 0) & (touching <= inter.d)
        if not inter.reduce(np.count_nonzero(loose)):
            break
        everywhere = _with_ghosts(inter, loose)
        kept &= ~(everywhere[inter.i] | everywhere[inter.j])
    if not inter.reduce(np.count_nonzero(~kept)):
        return inter
    return replace(
        inter,
        i=inter.i[kept],
        j=inter.j[kept],
        vector=inter.vector[kept],
        distance=inter.distance[kept],
        derivatives=inter.derivatives[:, kept],
    )


def particles_without_contacts(inter: PairInteractions) -> np.ndarray:
    """Mark the owned particles that interact with nobody, (owned,) bool."""
    return _contacts_of(inter, np.ones(len(inter), bool)) == 0


def _contacts_of(inter: PairInteractions, chosen: np.ndarray) -> np.ndarray:
    """Return how many of the `chosen` pairs (P,) each owned particle has, (owned,)."""
    ends = np.concatenate([inter.i[chosen], inter.j[chosen]])
    return np.bincount(ends, minlength=inter.sites)[: inter.owned]


def _with_ghosts(inter: PairInteractions, owned: np.ndarray) -> np.ndarray:
    """Return flags (owned,) with those that other ranks give the ghosts, (sites,).  Collective."""
    if inter.domain is None:
        return owned
    flags = np.zeros((inter.sites, 1), np.uint8)
    flags[: inter.owned, 0] = owned
    inter.domain.halo.refresh(flags, 1)
    return flags[:, 0] > 0
