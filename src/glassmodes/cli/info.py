"""``glassmodes info``: what is in a file."""

from __future__ import annotations

import json

from glassmodes.cli.parser import add_verb
from glassmodes.errors import GlassmodesError, InputError
from glassmodes.parallel import on_root

DESCRIPTION = """\
Say what a file holds: a sample (ours or any format that 'import' reads), modes, a sparse matrix,
or a batch of a campaign: its samples or the records of an analysis.

JSON keys: file, kind (sample, modes, matrix or batch) and what there is to say of that kind. For
a sample with a model the net forces are evaluated; 'problem' says why if they cannot."""


def add_parser(subparsers) -> None:
    """Register the verb."""
    parser = add_verb(
        subparsers,
        "info",
        run,
        summary="say what is in a file",
        description=DESCRIPTION,
        example="glassmodes info glass.h5",
    )
    parser.add_argument("file", metavar="FILE", help="any file that glassmodes reads or writes")


def run(args, comm) -> dict:
    """Describe one file.  Collective; rank 0 does the work."""
    return on_root(comm, lambda: _describe(args.file))


def _describe(path: str) -> dict:
    from glassmodes.formats.reading import is_hdf5
    from glassmodes.formats.sparse_matrix import is_matrix_file

    if is_hdf5(path):
        answer = _hdf5(path)
    elif is_matrix_file(path):
        answer = _matrix(path)
    else:
        answer = _sample(path)
    return {"file": path, **answer}


def _hdf5(path: str) -> dict:
    import h5py

    from glassmodes.formats import mode_file
    from glassmodes.formats.reading import require_readable

    require_readable(path)
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format", "") == mode_file.FORMAT:
                return _modes(path)
            if "records" in file or "samples" in file:
                return _batch(file)
    except GlassmodesError:
        raise
    except Exception as error:  # h5py reports damage with half a dozen exception types
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"cannot read {path}: {reason}; the file is damaged") from error
    return _sample(path)


def _batch(file) -> dict:
    """Return what a batch of samples, or the records of an analysis, says of itself."""
    answer = {"kind": "batch", "content": file.attrs.get("kind", "samples")}
    answer |= {name: file.attrs[name] for name in ("particles", "dimension") if name in file.attrs}
    if "samples" in file:
        answer["samples"] = len(file["samples"])
    if "records" in file:
        records = file["records"]
        if "status" in records:
            status = [value.decode() for value in records["status"][()]]
            answer["records"] = {name: status.count(name) for name in sorted(set(status))}
        answer["columns"] = {
            name: {"shape": list(column.shape), "unit": column.attrs.get("unit", "")}
            for name, column in records.items()
        }
    if "provenance" in file:
        answer["provenance"] = json.loads(file["provenance"][()])
    return answer


def _sample(path: str) -> dict:
    from glassmodes.cli.description import describe_sample
    from glassmodes.formats import read_sample
    from glassmodes.mechanics.interactions import find_interactions

    sample = read_sample(path)
    sample.validate()
    interactions, problem = None, None
    if sample.model or sample.bonds is not None:
        try:
            interactions = find_interactions(sample)
        except GlassmodesError as error:
            problem = str(error)
    answer = {"kind": "sample", **describe_sample(sample, interactions)}
    if problem:
        answer["problem"] = problem
    return {**answer, "model_spec": sample.model, "provenance": sample.provenance}


def _modes(path: str) -> dict:
    from glassmodes.formats.mode_file import ModeFile

    modes = ModeFile.read(path)
    return {
        "kind": "modes",
        "modes": len(modes.frequency),
        "lowest_frequency": modes.frequency.min(initial=float("inf")),
        "highest_frequency": modes.frequency.max(initial=0.0),
        "largest_residual": modes.residual.max(initial=0.0),
        "vectors": None if modes.vectors is None else list(modes.vectors.shape),
        "zero_modes": modes.zero_modes,
        "certified": modes.certified,
        "complete_below": modes.complete_below,
        "solver": modes.solver,
        "provenance": modes.provenance,
    }


def _matrix(path: str) -> dict:
    from glassmodes.formats.sparse_matrix import read_matrix

    content = read_matrix(path)
    return {
        "kind": "matrix",
        "rows": content.matrix.shape[0],
        "columns": content.matrix.shape[1],
        "nonzeros": content.matrix.nnz,
        "null_vectors": content.null_space.shape[1],
        "block_size": content.block_size,
    }
