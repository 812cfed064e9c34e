"""Collective error handling, work sharing and row distribution; the communicator is an argument."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


def split_range(n: int, parts: int, part: int) -> tuple[int, int]:
    """Return the half-open range of `part` when ``range(n)`` is cut into `parts` even pieces."""
    base, extra = divmod(n, parts)
    first = part * base + min(part, extra)
    return first, first + base + (part < extra)


def on_root(comm, action: Callable[[], T]) -> T:
    """Run `action` on rank 0 and return its (broadcast) result on every rank.

    An exception on rank 0 is raised on every rank, so that no rank waits for a
    message that never comes.  Collective.
    """
    result: Any = None
    error: BaseException | None = None
    if comm.rank == 0:
        try:
            result = action()
        except Exception as exc:
            error = exc
    if comm.size > 1:
        result, error = comm.bcast((result, error), root=0)
    if error is not None:
        raise error
    return result


@contextmanager
def agreement(comm) -> Iterator[None]:
    """Let every rank fail if one fails: the body must not call collectives.

    On leaving the block all ranks exchange their errors; the error of the lowest
    failing rank is raised everywhere.  Collective.
    """
    error: BaseException | None = None
    try:
        yield
    except Exception as exc:
        error = exc
    if comm.size > 1:
        errors = comm.allgather(error)
        error = next((e for e in errors if e is not None), None)
    if error is not None:
        raise error


def distributed_matrix(comm, rows, block_size: int):
    """Return a symmetric PETSc AIJ matrix from the rows of each rank.  Collective.

    The caller destroys it.

    Parameters
    ----------
    comm
        Communicator; rank order is row order.
    rows : scipy sparse CSR (n_local, n)
        Rows of this rank with global, ascending columns.
    block_size
        Rows that belong to one site.
    """
    from petsc4py import PETSc

    matrix = PETSc.Mat().createAIJ(
        size=(rows.shape, rows.shape),
        bsize=block_size,
        csr=(rows.indptr.astype(PETSc.IntType), rows.indices.astype(PETSc.IntType), rows.data),
        comm=comm,
    )
    matrix.setOption(PETSc.Mat.Option.SYMMETRIC, True)
    matrix.assemble()
    return matrix
