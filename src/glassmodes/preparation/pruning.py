r"""Taking bonds and atoms out of a network.

Independent cuts take any bond.  Narrow cuts always take a bond between the atoms that have
most: the next bond is drawn among those with the largest pair (smaller degree, larger degree)
of their ends, so that the degrees stay within about one of their mean.  Drawn one by one that
is a long story; here all bonds of the present largest pair are cut together as a random
matching (no two share an atom, so none changes the degrees another one was chosen for).

Source: R. Milkus and A. Zaccone, Phys. Rev. B 93, 094204 (2016), for networks of very narrow
coordination; the rule itself is ours.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

CUTS = ("narrow", "independent")


def degrees(bonds: np.ndarray, n: int) -> np.ndarray:
    """Return the number of bonds of each of n atoms, (n,) int64."""
    return np.bincount(bonds.ravel(), minlength=n)


def cut_bonds(
    bonds: np.ndarray, n: int, keep: int, cut: str, rng: np.random.Generator
) -> np.ndarray:
    """Return which bonds are kept.

    Parameters
    ----------
    bonds : (M, 2) int
    n
        Atoms.
    keep
        Bonds that stay, exactly.
    cut
        ``"narrow"`` or ``"independent"``.

    Returns
    -------
    (M,) bool

    Notes
    -----
    Independent cuts are one permutation.  Narrow cuts take some ten passes over all bonds:
    10 s for 6 x 10^6.
    """
    if cut == "independent":
        alive = np.zeros(len(bonds), bool)
        alive[rng.permutation(len(bonds))[:keep]] = True
        return alive
    return _cut_narrow(bonds, n, keep, rng)


def _cut_narrow(bonds, n, keep, rng) -> np.ndarray:
    degree = degrees(bonds, n)
    alive = np.ones(len(bonds), bool)
    surplus = len(bonds) - keep
    while surplus > 0:
        ends = degree[bonds]
        key = ends.min(axis=1) * n + ends.max(axis=1)
        key[~alive] = -1
        level = rng.permutation(np.flatnonzero(key == key.max()))
        while len(level) and surplus > 0:
            chosen = _matching(bonds[level], n)[:surplus]
            taken = level[chosen]
            alive[taken] = False
            degree[bonds[taken].ravel()] -= 1
            surplus -= len(taken)
            touched = np.zeros(n, bool)
            touched[bonds[taken].ravel()] = True
            level = level[~touched[bonds[level]].any(axis=1)]
    return alive


def _matching(bonds: np.ndarray, n: int) -> np.ndarray:
    """Return those bonds that come last at both of their ends, as positions in the list."""
    last = np.full(n, -1)
    position = np.arange(len(bonds))
    last[bonds.ravel()] = np.repeat(position, 2)
    return np.flatnonzero((last[bonds] == position[:, None]).all(axis=1))


def largest_cluster(bonds: np.ndarray, n: int) -> float:
    """Return the fraction of the n atoms in the largest connected part."""
    links = np.ones(len(bonds), np.int8)
    graph = sp.coo_matrix((links, (bonds[:, 0], bonds[:, 1])), shape=(n, n)).tocsr()
    _, labels = connected_components(graph, directed=False)
    return float(np.bincount(labels).max() / n)


def held_atoms(bonds: np.ndarray, n: int, least: int) -> np.ndarray:
    """Return which atoms are left when those with fewer than `least` bonds go, again and again.

    bonds : (M, 2) int.  Returns (n,) bool; a bond goes with either of its atoms.
    """
    held = np.ones(n, bool)
    while True:
        degree = degrees(bonds, n)
        loose = held & (degree < least)
        if not loose.any():
            return held
        held &= ~loose
        bonds = bonds[held[bonds].all(axis=1)]
