"""How many vectors an eigensolver may keep: what it would like against the memory there is."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from glassmodes import memory
from glassmodes.errors import ResourceError
from glassmodes.spectra.block_lanczos import WIDTH
from glassmodes.spectra.operators import BlockOperator

log = logging.getLogger(__name__)

_FREE_RATIO = 2.4  # basis columns per wanted mode that need no restart
_LEAST_BLOCKS = 6  # blocks beside the wanted modes with which restarts converge
_WORK_BLOCKS = 9  # of a filter, of the recursion and of the final projection


@dataclass(frozen=True)
class BasisPlan:
    """What a solve will keep.

    columns : largest number of basis columns.  limited : memory, not the request, sets it.
    vector_bytes, fixed_bytes : of one vector, and of everything but the basis, on this rank.
    """

    columns: int
    limited: bool
    vector_bytes: int
    fixed_bytes: int

    def bytes(self, columns: int) -> int:
        """Return the bytes on this rank with a basis of `columns`."""
        return self.fixed_bytes + columns * self.vector_bytes


def plan_basis(operator: BlockOperator, wanted: int, largest: int,
               limit: int | None = None) -> BasisPlan:  # fmt: skip
    """Plan the basis for `wanted` modes.

    Parameters
    ----------
    operator
        Operator.
    wanted : int
        Modes to converge.
    largest : int
        Basis columns that will do in any case.
    limit : int or None
        Bytes that this rank may take; None asks the machine.

    Raises
    ------
    ResourceError
        If not even a restarted basis fits.

    Notes
    -----
    Collective; the plan of the rank with the least room binds all.
    """
    vector = 8 * operator.n_local
    with_ghosts = 8 * operator.halo.n_total * operator.site_size
    fixed = wanted * vector + _WORK_BLOCKS * WIDTH * with_ghosts
    room = memory.available(operator.comm) if limit is None else limit
    fits = (room - fixed) // max(vector, 1)
    comm = operator.comm
    if comm.size > 1:
        fits = min(comm.allgather(fits))
    columns = int(min(fits, largest)) // WIDTH * WIDTH
    like = min(int(_FREE_RATIO * wanted) + 8 * WIDTH, largest)
    least = min(wanted + _LEAST_BLOCKS * WIDTH, largest) // WIDTH * WIDTH
    plan = BasisPlan(columns, columns < like // WIDTH * WIDTH, vector, fixed)
    if columns < least:
        raise ResourceError(
            f"{wanted} modes of {operator.n} rows need {memory.in_words(plan.bytes(least))} on a "
            f"rank even with restarts, {memory.in_words(room)} can be had: take more ranks on "
            "more nodes, or ask for fewer modes"
        )
    if plan.limited:
        log.warning(
            "a basis of %d vectors (%s on a rank) does not fit in %s: %d vectors with restarts",
            like, memory.in_words(plan.bytes(like)), memory.in_words(room), columns,
        )  # fmt: skip
    else:
        log.info(
            "%d modes: about %s on a rank, %s can be had",
            *(wanted, memory.in_words(plan.bytes(int(2.4 * wanted)))),
            memory.in_words(room),
        )
    return plan
