"""``glassmodes hessian``: the Hessian of a sample for other programs."""

from __future__ import annotations

from glassmodes.cli.inputs import add_output_option, add_sample_argument, load_sample
from glassmodes.cli.outputs import check_output
from glassmodes.cli.parser import add_verb
from glassmodes.parallel import on_root

DESCRIPTION = """\
Write the Hessian as a scipy sparse .npz file or as a PETSc binary (.petsc, .bin, .dat).

The matrix is mass-weighted, M^-1/2 H M^-1/2, unless --unweighted is given; row d i + a belongs to
coordinate a of particle i. The sample need not be at a minimum. The translations ride along as
known null vectors (array null_space of the .npz; Vec objects behind the PETSc matrix), where
'glassmodes modes' finds them and other readers pass over them."""


def add_parser(subparsers) -> None:
    """Register the verb."""
    parser = add_verb(
        subparsers,
        "hessian",
        run,
        summary="write the Hessian as a scipy or PETSc sparse matrix",
        description=DESCRIPTION,
        example="glassmodes hessian glass.h5 -o H.npz",
    )
    add_sample_argument(parser)
    parser.add_argument(
        "--unweighted", action="store_true", help="leave the masses out: second derivatives only"
    )
    add_output_option(parser, "H.npz|H.petsc", "matrix file to write")


def run(args, comm) -> dict:
    """Assemble and write the Hessian.  Collective; rank 0 does the work."""
    from glassmodes.formats.sparse_matrix import NPZ_SUFFIXES, PETSC_SUFFIXES

    check_output(comm, args.output, NPZ_SUFFIXES + PETSC_SUFFIXES, [args.sample])
    return on_root(comm, lambda: _write(args))


def _write(args) -> dict:
    import numpy as np

    from glassmodes.formats.sparse_matrix import SparseMatrix, write_matrix
    from glassmodes.mechanics import hessian
    from glassmodes.mechanics.interactions import find_interactions

    sample = load_sample(args.sample)
    masses = None if args.unweighted else sample.masses
    matrix = hessian.sparse(find_interactions(sample), masses).tocsr()
    weights = np.ones(sample.particles) if masses is None else np.sqrt(masses)
    translations = np.kron((weights / np.linalg.norm(weights))[:, None], np.eye(sample.dimension))
    write_matrix(args.output, SparseMatrix(matrix, translations, sample.dimension))
    return {
        "output": args.output,
        "rows": matrix.shape[0],
        "nonzeros": matrix.nnz,
        "block_size": sample.dimension,
        "mass_weighted": masses is not None,
    }
