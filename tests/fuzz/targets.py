"""What reads each format, and what must hold of everything that is accepted."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from glassmodes.campaign.config import check_config, load_config
from glassmodes.cli.failure import describe
from glassmodes.errors import GlassmodesError
from glassmodes.formats import read_sample
from glassmodes.formats.mode_file import ModeFile
from glassmodes.formats.sparse_matrix import read_matrix
from glassmodes.models import from_spec, from_yaml
from glassmodes.sample import Sample


def attempt(kind: str, path: Path, isolated: bool = False) -> str:
    """Read a file and return ``accepted`` or the class of the error that refused it.

    Raises
    ------
    AssertionError
        An accepted file is not finite or consistent, or an error is not one line.
    Exception
        Anything that is not one of the package's own errors.
    """
    try:
        content = _readers(isolated)[kind](path)
    except GlassmodesError as error:
        code, line = describe(error)
        assert code in (2, 4) and line and line.isprintable(), f"no clean line: {line!r}"
        return type(error).__name__
    CHECKS[kind](content)
    return "accepted"


def _readers(isolated: bool) -> dict[str, Callable]:
    def sample(path):
        return read_sample(path, isolated=isolated)

    return {
        **dict.fromkeys(SAMPLES, sample),
        "modes": lambda path: ModeFile.read(path, isolated=isolated),
        "matrix_npz": read_matrix,
        "matrix_petsc": read_matrix,
        "model": from_yaml,
        "config": load_config,
    }


def check_sample(sample: Sample) -> None:
    """Everything is finite, fits together, and comes back from our own file bit by bit."""
    sample.validate()
    assert np.isfinite(sample.density) and sample.density > 0, "density"
    assert np.isfinite(sample.mass_density) and sample.mass_density > 0, "mass density"
    folded = sample.wrapped()
    assert np.all((folded >= 0) & (folded < sample.box)), "positions outside the box"
    with h5py.File(io.BytesIO(), "w") as file:
        sample.to_group(file)
        again = Sample.from_group(file)
    for name in ("positions", "box", "species", "masses", "diameters", "bonds", "rest_lengths"):
        before, after = getattr(sample, name), getattr(again, name)
        assert (before is None) == (after is None) and (
            before is None or np.array_equal(before, after)
        ), f"{name} does not come back"
    json.dumps([sample.model, again.provenance], allow_nan=False)
    if sample.model:
        try:
            check_model(from_spec(sample.model))
        except GlassmodesError:
            pass  # the sample can be looked at, its model cannot be used


def check_model(model) -> None:
    """The constants are JSON, and energies and forces inside the cutoff are finite."""
    json.dumps(model.spec(), allow_nan=False)
    if not hasattr(model, "cutoffs"):
        return
    n = min(model.n_species, 3)
    for i in range(n):
        cutoff = float(model.cutoffs[i, i])
        values = model.reduced(i, i, cutoff * np.array([0.8, 0.9, 0.99]), order=2)
        assert np.all(np.isfinite(values)), f"energies of species {i} are {values.tolist()}"


def check_modes(modes: ModeFile) -> None:
    """Arrays fit together and frequencies are finite."""
    assert len(modes.residual) == len(modes.participation_ratio) == len(modes.frequency)
    assert np.all(np.isfinite(modes.frequency))
    assert modes.vectors is None or modes.vectors.shape[0] == len(modes.frequency)
    assert modes.vectors is None or np.all(np.isfinite(modes.vectors))
    json.dumps([modes.solver, modes.provenance], allow_nan=False)


def check_matrix(content) -> None:
    """Entries are finite and lie inside the matrix."""
    matrix = content.matrix
    matrix.check_format(full_check=True)
    assert np.all(np.isfinite(matrix.data)) and matrix.shape[0] % content.block_size == 0
    assert np.all(np.isfinite(matrix @ np.ones(matrix.shape[1]))) or abs(matrix.data).max() > 1e300
    assert content.null_space.shape[0] == matrix.shape[0]


def check_campaign(config) -> None:
    """The checked configuration, written and read again, says the same."""
    text = config.model_dump_json()
    assert check_config(json.loads(text)) == config, "the configuration does not come back"
    json.dumps(json.loads(text), allow_nan=False)


SAMPLES = ("extended_xyz", "lammps_data", "lammps_dump", "gsd", "npz", "hdf5", "sample")
COMPILED = ("gsd", "npz", "hdf5", "sample", "modes")
"""Formats that are read in a child process: a crash of the library is contained there."""

CHECKS: dict[str, Callable] = {
    **dict.fromkeys(SAMPLES, check_sample),
    "modes": check_modes,
    "matrix_npz": check_matrix,
    "matrix_petsc": check_matrix,
    "model": check_model,
    "config": check_campaign,
}
KINDS = tuple(CHECKS)
