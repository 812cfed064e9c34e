"""Checks that the writers for visualisation share."""

from __future__ import annotations

from typing import Any

import numpy as np

from glassmodes.errors import InputError
from glassmodes.sample import Sample


def refuse_four_dimensions(sample: Sample, target: str) -> None:
    """Raise `InputError` for a sample that has more coordinates than the format."""
    if sample.dimension > 3:
        raise InputError(
            f"{target} has three coordinates per particle and the sample has {sample.dimension}: "
            "dropping one would put distant particles on top of each other; "
            "keep the sample as .h5 or .npz"
        )


def check_modes(modes: Any, sample: Sample) -> np.ndarray:
    """Return modes as a finite (K, N, d) array; `InputError` if they are not one."""
    vectors = np.asarray(modes)
    expected = ("K", sample.particles, sample.dimension)
    if vectors.dtype.kind not in "iuf" or vectors.ndim != 3 or vectors.shape[1:] != expected[1:]:
        raise InputError(
            f"the modes have shape {vectors.shape}; expected {expected} for this sample"
        )
    if len(vectors) == 0:
        raise InputError("there are no modes to write")
    if not np.all(np.isfinite(vectors)):
        raise InputError("the modes hold NaN or infinite values")
    return vectors.astype(np.float64)
