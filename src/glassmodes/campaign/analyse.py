"""All analyses of one sample; they share its pairs, operator and factor."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from glassmodes import memory
from glassmodes.campaign.config_section import Section
from glassmodes.campaign.manifest import sample_seed
from glassmodes.campaign.records import refusal_reason, refused
from glassmodes.domain import Domain
from glassmodes.errors import ResourceError, SampleError, SolverError
from glassmodes.observables.correlator import non_affine_correlator
from glassmodes.observables.dipoles import dipole_stiffness, random_contacts
from glassmodes.observables.elasticity import measure_moduli
from glassmodes.observables.harmonic import HarmonicSystem
from glassmodes.observables.modes import vibrational_modes
from glassmodes.observables.stability import find_floppy_modes, require_stable
from glassmodes.observables.strains import shear_strains
from glassmodes.observables.viscoelasticity import viscoelastic_response
from glassmodes.sample import Sample

log = logging.getLogger(__name__)


def _modes(system: HarmonicSystem, settings: Any, seed: int) -> dict[str, Any]:
    modes = vibrational_modes(
        system,
        count=settings.count,
        below=settings.below,
        certificate=settings.certificate,
        method=settings.method,
        seed=seed,
    )
    record = modes.to_record()
    if settings.keep_vectors:
        spread = modes.spread_vectors()
        # beside the record, the part file and the batch file are composed in memory
        needed = 3 * spread.nbytes if system.comm.rank == 0 else 0
        what = f"keeping {spread.shape[0]} eigenvectors of {system.n} particles in a batch file"
        memory.require(system.comm, needed, what, "set keep_vectors to false or take fewer modes")
        record["vectors"] = spread.on_root(system.comm)
    return record


def _moduli(system: HarmonicSystem, settings: Any, seed: int) -> dict[str, Any]:
    return measure_moduli(system).to_record()


def _dipoles(system: HarmonicSystem, settings: Any, seed: int) -> dict[str, Any]:
    if system.interactions.unstressed:
        find_floppy_modes(system)
    pairs = random_contacts(system.interactions, settings.count, seed)
    return dipole_stiffness(system, pairs).to_record()


def _spectra(system: HarmonicSystem, settings: Any, seed: int) -> dict[str, Any]:
    found = non_affine_correlator(
        system,
        _strains(system, settings),
        settings.resolution,
        frequency=np.linspace(0.0, settings.maximum, settings.points),
        vectors=settings.vectors,
        seed=seed,
    )
    moments = {name: float(np.mean(values)) for name, values in found.moments.items()}
    return {
        "frequency": found.frequency,
        "density": found.density,
        "density_error": found.density_error,
        "density_times_correlator": found.density_times_correlator.mean(axis=1),
        "correlator": found.correlator.mean(axis=1),
        "moment_minus_one": moments["-1"],
        "moment_zero": moments["0"],
        "moment_one": moments["1"],
        "resolution": settings.resolution,
        "vectors": settings.vectors,
        **{name: getattr(found, name) for name in _SPECTRA_SCALARS},
    }


def _viscoelasticity(system: HarmonicSystem, settings: Any, seed: int) -> dict[str, Any]:
    found = viscoelastic_response(
        system,
        _strains(system, settings),
        settings.damping,
        _logarithmic(settings.frequencies),
        _logarithmic(settings.times),
        settings.tolerance,
    )
    static = found.static_modulus[:, None]
    return {
        "frequency": found.frequency,
        "time": found.time,
        "storage_modulus": found.storage_modulus.mean(axis=0),
        "loss_modulus": found.loss_modulus.mean(axis=0),
        "relaxation_modulus": found.relaxation_modulus.mean(axis=0),
        "decay": (found.relaxation_modulus - static).mean(axis=0),
        "overdamped_decay": (found.overdamped_relaxation - static).mean(axis=0),
        "affine_modulus": float(found.affine_modulus.mean()),
        "static_modulus": float(found.static_modulus.mean()),
        "non_affine_force_squared_mean": float(found.non_affine_force_squared_mean.mean()),
        "max_frequency": found.max_frequency,
        "number_density": system.n / system.interactions.volume,
        "damping": found.damping,
        "error": float(found.error.max()),
        "steps": int(found.steps.max()),
    }


def _strains(system: HarmonicSystem, settings: Any) -> list[str]:
    return list(settings.strains or shear_strains(system.d))


def _logarithmic(grid: Any) -> np.ndarray:
    """Return a grid of the configuration, its ends exact."""
    return np.geomspace(grid.minimum, grid.maximum, grid.points)


_SPECTRA_SCALARS = (
    "zero_modes",
    "zero_modes_error",
    "zero_modes_method",
    "vibrations",
    "max_frequency",
    "non_affine_force_squared_mean",
    "products",
)

_MEASURES: dict[str, Callable[[HarmonicSystem, Any, int], dict[str, Any]]] = {
    "modes": _modes,
    "moduli": _moduli,
    "dipoles": _dipoles,
    "spectra": _spectra,
    "viscoelasticity": _viscoelasticity,
}


def analyse_sample(
    comm, sample: Sample | Domain, index: int, analyses: Mapping[str, Section], seed: int
) -> dict[str, dict[str, Any]]:
    """Run `analyses` on one sample and return a record for each.

    Parameters
    ----------
    comm
        Communicator of the sample.
    sample
        A sample at a minimum: this rank's part of it, or the same whole one on every rank.
    index
        Its index in the ensemble.
    analyses
        Settings by name of the analysis, in the order to run them; spectra come last.
    seed
        Of the sample; start vectors and random contacts follow from it.

    Returns
    -------
    dict
        By analysis: the record of `campaign.record_schema`, wall times beside it under
        keys that begin with ``seconds``; or the record of a refusal with its reason.  Vectors
        of modes are on rank 0 only.

    Notes
    -----
    Collective.  A refusal by one analysis leaves the others their chance.
    """
    records: dict[str, dict[str, Any]] = {}
    system = None
    try:
        system = HarmonicSystem(comm, sample)
        if "modes" not in analyses:  # which notice a saddle themselves
            require_stable(system)
        # Spectra last: their moment -1 is the static modulus, which moduli have found by then.
        for name, settings in sorted(analyses.items(), key=lambda item: item[0] == "spectra"):
            started = time.perf_counter()
            try:
                record = _MEASURES[name](system, settings, sample_seed(seed, name, index))
                seconds = {"seconds": time.perf_counter() - started}
                records[name] = {"index": index, "status": "ok", **record, **seconds}
            except (SolverError, ResourceError) as error:
                log.warning("sample %d refused by %s: %s", index, name, error)
                records[name] = refused(index, refusal_reason(error), str(error))
    except (SampleError, SolverError, ResourceError) as error:
        log.warning("sample %d refused: %s", index, error)
        reason = refusal_reason(error)
        return {name: refused(index, reason, str(error)) for name in analyses}
    finally:
        if system is not None:
            system.destroy()
    return records
