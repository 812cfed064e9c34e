"""Collective error handling, work sharing and row distribution; the communicator is an argument.

The command line imports this module before it knows its verb: numpy waits until it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")


def split_range(n: int, parts: int, part: int) -> tuple[int, int]:
    """Return the half-open range of `part` when ``range(n)`` is cut into `parts` even pieces."""
    base, extra = divmod(n, parts)
    first = part * base + min(part, extra)
    return first, first + base + (part < extra)


def owner_of(n: int, parts: int, index: np.ndarray) -> np.ndarray:
    """Return the part of `split_range` that holds each index, (k,) int64."""
    import numpy as np

    index = np.asarray(index, np.int64)
    if parts == 1:
        return np.zeros(index.shape, np.int64)
    base, extra = divmod(n, parts)
    long = extra * (base + 1)  # indices in pieces that are one longer
    return np.where(index < long, index // (base + 1), extra + (index - long) // max(base, 1))


def send_rows(comm, destination: np.ndarray, *arrays: np.ndarray) -> list[np.ndarray]:
    """Send row k of every array to rank ``destination[k]``; return the rows received.

    Rows arrive in the order of their source ranks and, from one rank, in the order they had.
    Collective: one all-to-all an array.

    destination : (n,) int; arrays : (n, ...) of fixed-size types, alike on all ranks.
    """
    import numpy as np

    if comm.size == 1:
        return [np.asarray(array) for array in arrays]
    from mpi4py import MPI

    order = np.argsort(destination, kind="stable")
    sent = np.bincount(destination, minlength=comm.size).astype(np.int32)
    got = np.empty_like(sent)
    comm.Alltoall(sent, got)
    starts = [np.concatenate([[0], np.cumsum(c)[:-1]]).astype(np.int32) for c in (sent, got)]
    received = []
    for array in arrays:
        rows = np.ascontiguousarray(np.asarray(array)[order])
        into = np.empty((int(got.sum()), *rows.shape[1:]), rows.dtype)
        width = rows.dtype.itemsize * int(np.prod(rows.shape[1:]))
        row = MPI.BYTE.Create_contiguous(width).Commit()  # counts in rows stay below 2^31
        comm.Alltoallv([rows, (sent, starts[0]), row], [into, (got, starts[1]), row])
        row.Free()
        received.append(into)
    return received


def lookup(comm, values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return ``table[index]`` of a table whose rows lie on the ranks as `split_range` cuts them.

    Collective.  values : (rows of this rank, ...); index : (k,) int -> (k, ...).
    """
    import numpy as np

    index = np.asarray(index, np.int64)
    if comm.size == 1:
        return np.asarray(values)[index]
    n = comm.allreduce(len(values))
    owner = owner_of(n, comm.size, index)
    asked, asker = send_rows(comm, owner, index, np.full(len(index), comm.rank))
    (answers,) = send_rows(
        comm, asker, np.asarray(values)[asked - split_range(n, comm.size, comm.rank)[0]]
    )
    found = np.empty_like(answers)
    found[np.argsort(owner, kind="stable")] = answers
    return found


def rows_to_root(comm, rows: np.ndarray, piece: int = 2**25) -> Iterator[np.ndarray]:
    """Yield the rows of all ranks in rank order on rank 0, nothing elsewhere.

    Pieces of at most `piece` bytes: rank 0 never holds more than one of another rank.  The
    consumer must exhaust the iterator.  Collective.
    """
    import numpy as np

    rows = np.ascontiguousarray(rows)
    size = max(1, rows.dtype.itemsize * int(np.prod(rows.shape[1:])))
    at_once = max(1, piece // size)
    lengths = comm.gather(len(rows), root=0)
    if comm.rank != 0:
        for first in range(0, len(rows), at_once):
            comm.Send(rows[first : first + at_once].view(np.uint8), dest=0)
        return
    for first in range(0, len(rows), at_once):
        yield rows[first : first + at_once]
    for source in range(1, comm.size):
        for first in range(0, lengths[source], at_once):
            count = min(at_once, lengths[source] - first)
            part = np.empty((count, *rows.shape[1:]), rows.dtype)
            comm.Recv(part.view(np.uint8), source=source)
            yield part


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
