"""Batches on several ranks: spread samples give the bytes of one rank, shared ones its numbers."""

import numpy as np
import pytest

from glassmodes.campaign.batches import analyse_batch, prepare_batch
from glassmodes.campaign.config import check_config
from glassmodes.campaign.manifest import batches_of
from glassmodes.campaign.records import read_records, read_sample
from glassmodes.errors import SampleError
from glassmodes.mechanics.forces import force_ratio
from glassmodes.mechanics.interactions import find_interactions
from glassmodes.parallel import on_root

ANALYSES = ("modes", "moduli", "dipoles", "spectra", "viscoelasticity")


def make_config(results, ranks=1):
    """Return four small glasses in one batch."""
    return check_config(
        {
            "campaign": {"seed": 3, "results": str(results)},
            "ensembles": {
                "flat": {
                    "model": "ipl_2d",
                    "particles": 100,
                    "protocol": {"name": "random_start"},
                    "samples": 4,
                    "batch_size": 4,
                    "ranks": ranks,
                    "analyses": list(ANALYSES),
                }
            },
            "analyses": {
                "modes": {"count": 10, "keep_vectors": True},
                "dipoles": {"count": 5},
                "spectra": {"resolution": 1.0, "maximum": 20.0, "points": 9},
                "viscoelasticity": {
                    "damping": 1.0,
                    "frequencies": {"minimum": 0.1, "maximum": 10, "points": 3},
                    "times": {"minimum": 0.1, "maximum": 10, "points": 3},
                },
            },
        }
    )


@pytest.fixture
def alone(shared_path, comm, comm_self):
    """Return a folder that all ranks see, with the results of one rank in it."""
    from petsc4py import PETSc

    assert PETSc.COMM_WORLD.size == comm.size  # all ranks start PETSc together
    config = make_config(shared_path / "alone")
    batch = batches_of(config, "flat")[0]

    def work():
        prepare_batch(comm_self, config, batch)
        analyse_batch(comm_self, config, batch)

    on_root(comm, work)
    return shared_path


def test_spread_samples_give_the_bytes_of_one_rank(alone, comm):
    config = make_config(alone / "spread")
    batch = batches_of(config, "flat")[0]
    assert prepare_batch(comm, config, batch)["computed"] == 4
    assert analyse_batch(comm, config, batch)["refused"] == 0
    for path in (batch.samples_path, lambda results: batch.analysis_path(results, "modes")):
        assert path(alone / "spread").read_bytes() == path(alone / "alone").read_bytes()


def test_ranks_that_share_a_sample_agree_with_one_rank(alone, comm, comm_self):
    config = make_config(alone / "shared", ranks=max(2, comm.size))
    batch = batches_of(config, "flat")[0]
    on_root(comm, lambda: prepare_batch(comm_self, config, batch))  # the same samples
    analyse_batch(comm, config, batch)
    found, wanted = (
        {k: read_records(batch.analysis_path(alone / f, k)) for k in ANALYSES}
        for f in ("shared", "alone")
    )
    # Residuals are 1e-8 of an eigenvalue and enter eigenvalues squared; 1e-8 leaves room.
    for k in range(4):
        np.testing.assert_allclose(
            found["modes"]["frequency"][k], wanted["modes"]["frequency"][k], rtol=1e-8
        )
        np.testing.assert_array_equal(found["dipoles"]["pair"][k], wanted["dipoles"]["pair"][k])
        np.testing.assert_allclose(
            found["dipoles"]["stiffness"][k], wanted["dipoles"]["stiffness"][k], rtol=1e-8
        )
        psi, expected = found["modes"]["vectors"][k], wanted["modes"]["vectors"][k]
        overlap = np.einsum("knc,knc->k", psi, expected)
        # a residual over a gap of a percent; particles in another order would give no overlap
        np.testing.assert_allclose(np.abs(overlap), 1.0, atol=1e-6)
    # Counted moments and Lanczos runs of the same vectors, stopped at 1e-6 of the affine modulus.
    for kind, name in (
        ("spectra", "density"),
        ("spectra", "density_times_correlator"),
        ("viscoelasticity", "storage_modulus"),
        ("viscoelasticity", "loss_modulus"),
    ):
        scale = np.abs(wanted[kind][name]).max()
        np.testing.assert_allclose(found[kind][name], wanted[kind][name], atol=2e-6 * scale)
    np.testing.assert_allclose(
        found["moduli"]["shear_modulus"], wanted["moduli"]["shear_modulus"], rtol=1e-7
    )


def test_ranks_make_a_sample_together(alone, comm):
    config = make_config(alone / "together", ranks=max(2, comm.size))
    batch = batches_of(config, "flat")[0]
    assert prepare_batch(comm, config, batch) == {
        "batch": batch.name,
        "samples": 4,
        "computed": 4,
        "refused": 0,
    }
    path = batch.samples_path(config.results)
    records = read_records(path)
    alike = read_records(batch.samples_path(alone / "alone"))
    assert set(records) == set(alike) and records.header == alike.header
    assert records["seed"].tolist() == alike["seed"].tolist()
    for k in batch.indices:
        sample = read_sample(path, k)
        assert sample.particles == 100 and np.bincount(sample.species).tolist() == [50, 50]
        assert force_ratio(find_interactions(sample)) < 1e-9
        assert sample.provenance.get("ranks", 1) == comm.size
    # Other glasses of the same liquid: within ten times the spread of four of them.
    for name in ("energy_per_particle", "pressure"):
        spread = np.ptp(alike[name])
        assert abs(records[name].mean() - alike[name].mean()) < 10 * spread


def test_a_refused_sample_of_one_rank_leaves_the_others_at_work(shared_path, comm, monkeypatch):
    config = make_config(shared_path / "refused")
    batch = batches_of(config, "flat")[0]
    from glassmodes.campaign import batches

    plain = batches.prepare_ensemble_sample

    def refuse_odd(comm, ensemble, seed):
        if seed % 2:
            raise SampleError("not_converged", "odd seeds do not converge")
        return plain(comm, ensemble, seed)

    monkeypatch.setattr(batches, "prepare_ensemble_sample", refuse_odd)
    prepare_batch(comm, config, batch)
    samples = read_records(batch.samples_path(config.results))
    assert samples.accepted.tolist() == [seed % 2 == 0 for seed in samples["seed"]]


def test_a_bug_on_one_rank_reaches_all(shared_path, comm, monkeypatch):
    config = make_config(shared_path / "bug")
    batch = batches_of(config, "flat")[0]

    def fail_on_last(own, ensemble, seed):
        raise ZeroDivisionError(f"rank {comm.rank}")

    if comm.rank == comm.size - 1:
        monkeypatch.setattr("glassmodes.campaign.batches.prepare_ensemble_sample", fail_on_last)
    with pytest.raises(ZeroDivisionError):
        prepare_batch(comm, config, batch)
    assert not batch.samples_path(config.results).exists()
