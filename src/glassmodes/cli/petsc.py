"""PETSc and SLEPc options of a call: what stands after ``--``, under known prefixes.

PETSc accepts any option name and ignores the ones nobody asks for, so a typing
error would pass in silence.  A name must therefore start with one of `PREFIXES`, or
be one of PETSc's own global options in `GLOBAL_OPTIONS`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from glassmodes.errors import InputError, nearest

#: Prefix of the options of each solver object, and what the object does.
PREFIXES: dict[str, str] = {
    "gm_mumps_": "MUMPS factorisations, for instance -gm_mumps_mat_mumps_icntl_14 100",
    "gm_cholmod_": "CHOLMOD factorisations, on one rank",
    "gm_eps_": "the eigensolver of 'modes --method slepc', for instance -gm_eps_type lobpcg",
    "gm_st_": "its spectral transformation and the factor inside, for instance -gm_st_type filter",
    "gm_bv_": "its basis of vectors",
    "gm_rg_": "its region, where the eigensolver takes one",
    "gm_ksp_": "the Krylov solver of '--solver ksp', for instance -gm_ksp_type minres",
    "gm_pc_": "its preconditioner, for instance -gm_pc_type gamg",
    "gm_mg_": "the levels of a multigrid preconditioner: -gm_mg_levels_ksp_max_it 3",
    "gm_sub_": "the blocks of a block preconditioner, for instance -gm_sub_pc_type icc",
    "gm_mat_": "the matrix of both: -gm_mat_type shell (the block product), aij, baij, ...",
}

#: Global PETSc options that make sense for any verb.
GLOBAL_OPTIONS: dict[str, str] = {
    "log_view": "time and flops of PETSc's own events, on stderr at the end",
    "info": "what PETSc does, in detail, on stderr",
    "memory_view": "memory at the end, on stderr",
    "options_view": "the options in force, on stderr at the end",
    "options_left": "options that no solver asked for, on stderr at the end",
    "malloc_view": "allocations that are still alive at the end",
    "citations": "what to cite for the solvers used",
}


def split_options(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split a command line at its first bare ``--`` into our part and PETSc's."""
    arguments = list(arguments)
    if "--" not in arguments:
        return arguments, []
    cut = arguments.index("--")
    return arguments[:cut], arguments[cut + 1 :]


def check_options(options: Sequence[str]) -> None:
    """Refuse option names that no solver of glassmodes reads.

    Raises
    ------
    InputError
        A value without a name, or a name under no known prefix.
    """
    names = [token for token in options if _is_name(token)]
    if options and not _is_name(options[0]):
        raise InputError(f"PETSc option {options[0]!r} after '--' does not start with '-'")
    for token in names:
        name = token.lstrip("-")
        if name.split(":")[0] in GLOBAL_OPTIONS or name.startswith(tuple(PREFIXES)):
            continue
        known = [*PREFIXES, *GLOBAL_OPTIONS]
        raise InputError(
            f"unknown PETSc option {token!r}, names start with "
            f"{', '.join('-' + prefix for prefix in PREFIXES)}{nearest(name, known)}"
        )


def initialise(options: Sequence[str], comm) -> None:
    """Start PETSc and SLEPc on `comm` with `options` and nothing else.  Collective."""
    import petsc4py
    import slepc4py

    command = ["glassmodes", *options]
    petsc4py.init(command, comm=comm)
    slepc4py.init(command)


def keep_signal_handlers() -> None:
    """Keep PETSc, whenever it is loaded, from replacing Python's signal handlers.

    Its own would turn a closed pipe behind our stdout into an abort of all ranks, and undo
    the handlers of batches that stop cleanly on SIGTERM.
    """
    given = os.environ.get("PETSC_OPTIONS", "")
    if "-no_signal_handler" not in given.split():
        os.environ["PETSC_OPTIONS"] = f"-no_signal_handler {given}".strip()


def _is_name(token: str) -> bool:
    return len(token) > 1 and token[0] == "-" and (token[1].isalpha() or token[1] == "-")
