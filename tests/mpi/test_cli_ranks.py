"""The verbs on several ranks: one answer, one line for an error, the same numbers, no hang.

Every rank calls the program with the same words, as mpiexec does.
"""

import json

import numpy as np
import pytest
import scipy.sparse as sp
from command_line import chain, square, triangular

from glassmodes import cli
from glassmodes.cli import failure
from glassmodes.errors import InputError
from glassmodes.parallel import on_root


def heavy():
    """Return a stable, force-free lattice of 48 particles with unequal masses."""
    sample = triangular(8, 6)
    sample.masses = 1.0 + np.arange(48) % 3
    return sample


@pytest.fixture
def folder(comm, tmp_path_factory):
    """Return one folder for all ranks, with a good and several bad files."""

    def make():
        path = tmp_path_factory.mktemp("ranks")
        sample = heavy()
        sample.write(path / "good.h5")
        common = {"box": sample.box, "species": np.zeros(48, int)}
        np.savez(path / "good.npz", positions=sample.positions, **common)
        (path / "truncated.h5").write_bytes((path / "good.h5").read_bytes()[:4000])
        broken = sample.positions.copy()
        broken[3, 0] = np.nan
        np.savez(path / "nan.npz", positions=broken, **common)
        shaken = heavy()
        shaken.positions[5] += 0.05
        shaken.write(path / "shaken.h5")
        square().write(path / "square.h5")
        sp.save_npz(path / "ring.npz", chain(40))
        return path

    return on_root(comm, make)


@pytest.fixture
def call(comm, capfd):
    """Call the program on every rank; return (exit code, stdout, stderr) of this rank."""

    def run(*words):
        comm.Barrier()
        code = cli.main([str(word) for word in words])
        return code, *capfd.readouterr()

    return run


@pytest.mark.parametrize(
    "words",
    [
        ["info", "good.h5"],
        ["moduli", "good.h5"],
        ["modes", "good.h5", "--count", "5"],
        ["modes", "ring.npz", "--count", "5", "--method", "slepc"],
        ["dipoles", "good.h5", "--count", "7", "--seed", "2"],
        ["dos", "good.h5", "--resolution", "0.5"],
        ["dos", "ring.npz", "--resolution", "0.1", "-o", "new.csv"],
        ["correlator", "good.h5", "--resolution", "0.5"],
        ["viscoelastic", "good.h5", "--damping", "2", "--times", "1,9,3", "-o", "new.csv"],
        ["prepare", "--model", "ipl_2d", "--particles", "60", "--seed", "1", "-o", "new.h5"]
        + ["--protocol", "random_start"],
        ["minimize", "shaken.h5", "-o", "new.h5"],
        ["import", "good.npz", "--model", "ipl_2d", "-o", "new.h5"],
        ["export", "good.h5", "-o", "new.xyz"],
        ["hessian", "good.h5", "-o", "new.npz"],
    ],
)
def test_rank_0_answers_with_one_json_object(words, folder, call, comm, monkeypatch):
    monkeypatch.chdir(folder)
    code, out, err = call(*words, "--json")
    assert code == 0, err
    assert comm.allgather(out)[1:] == [""] * (comm.size - 1)
    if comm.rank == 0:
        assert out.count("\n") == 1
        assert isinstance(json.loads(out), dict)


@pytest.mark.parametrize(
    "words",
    [
        ["moduli"],
        ["modes", "--count", "3", "-o", "modes.h5"],
        ["dipoles", "--count", "3"],
        ["dos", "--resolution", "0.5"],
        ["correlator", "--resolution", "0.5"],
        ["viscoelastic", "--damping", "2", "--times", "1,9,3"],
    ],
)
def test_no_rank_reads_the_whole_sample(words, folder, call, comm, monkeypatch):
    from glassmodes.sample import Sample

    parts, read = [], Sample.from_group

    def noted(group, part=None):
        parts.append(part)
        return read(group, part)

    monkeypatch.setattr(Sample, "from_group", noted)
    monkeypatch.chdir(folder)
    assert call(words[0], "good.h5", *words[1:])[0] == 0
    assert parts == [(comm.size, comm.rank)]


def test_modes_do_not_depend_on_the_number_of_ranks(folder, call, comm, comm_self):
    """Files written by all ranks hold what one rank computes alone."""
    from glassmodes.formats.mode_file import ModeFile
    from glassmodes.observables.harmonic import HarmonicSystem
    from glassmodes.observables.modes import vibrational_modes

    output = folder / "modes.h5"
    assert call("modes", folder / "good.h5", "--count", 6, "-o", output)[0] == 0
    alone = vibrational_modes(HarmonicSystem(comm_self, heavy()), count=6)
    stored = on_root(comm, lambda: ModeFile.read(output))
    np.testing.assert_allclose(stored.frequency, alone.frequencies, rtol=1e-9)
    assert stored.zero_modes == alone.zero_modes == 2 and stored.certified
    assert stored.vectors.shape == (6, 48, 2)
    # the eigenvectors are in sample order: their images under the weighted Hessian say so
    matrix = HarmonicSystem(comm_self, heavy()).matrix()
    flat = stored.vectors.reshape(6, -1)
    assert np.abs(flat @ matrix - stored.frequency[:, None] ** 2 * flat).max() < 1e-8


def test_moduli_and_dipoles_do_not_depend_on_the_number_of_ranks(folder, call, comm, comm_self):
    from glassmodes.observables.elasticity import moduli
    from glassmodes.observables.harmonic import HarmonicSystem

    answer = json.loads(comm.bcast(call("moduli", folder / "good.h5", "--json")[1]))
    alone = moduli(HarmonicSystem(comm_self, heavy()))
    for key in ("shear_modulus", "bulk_modulus", "pressure"):
        assert answer[key] == pytest.approx(alone[key], rel=1e-9)


BAD_CALLS = {
    "unknown verb": (["modul"], "'moduli'"),
    "unknown option": (["moduli", "good.h5", "--jason"], "'--json'"),
    "negative count": (["modes", "good.h5", "--count", "-1", "-o", "out.h5"], "--count"),
    "missing": (["moduli", "none.h5"], "no such file"),
    "truncated": (["modes", "truncated.h5", "--count", "3", "-o", "out.h5"], "truncated.h5"),
    "foreign": (["dipoles", "ring.npz", "--all", "-o", "out.csv"], "ring.npz"),
    "no folder": (["modes", "good.h5", "--count", "3", "-o", "none/out.h5"], "folder"),
    "NaN": (["import", "nan.npz", "--model", "ipl_2d", "-o", "out.h5"], "NaN"),
    "no model": (["hessian", "good.npz", "-o", "out.npz"], "--model"),
    "unknown model": (["import", "good.npz", "--model", "ipl_5d", "-o", "out.h5"], "did you mean"),
    "forces": (["moduli", "shaken.h5"], "minimum"),
    "forces, modes": (["modes", "shaken.h5", "--count", "3", "-o", "out.h5"], "minimum"),
    "saddle": (["modes", "square.h5", "--count", "3", "-o", "out.h5"], "10 negative"),
    "saddle, moduli": (["moduli", "square.h5"], "10 negative"),
    "saddle, dipoles": (["dipoles", "square.h5", "--all", "-o", "out.csv"], "10 negative"),
    "too many modes": (["modes", "good.h5", "--count", "95", "-o", "out.h5"], "95 modes"),
    "too many contacts": (["dipoles", "good.h5", "--count", "999", "-o", "out.csv"], "999"),
    "PETSc option": (["moduli", "good.h5", "--", "-ksp_rtl", "1"], "PETSc option"),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_calls_end_on_every_rank(name, folder, call, comm, monkeypatch):
    words, text = BAD_CALLS[name]
    monkeypatch.chdir(folder)
    before = on_root(comm, lambda: sorted(folder.iterdir()))
    code, out, err = call(*words)
    assert comm.allgather((code, out)) == [(2, "")] * comm.size
    lines = comm.allgather(err.splitlines())
    assert len(lines[0]) == 1 and lines[0][0].startswith("glassmodes: error: "), lines[0]
    assert text in lines[0][0]
    # parse errors are silent on ranks above 0 only where a launcher announces the ranks
    assert lines[1:] == [[]] * (comm.size - 1)
    assert on_root(comm, lambda: sorted(folder.iterdir())) == before


class Aborted(Exception):
    """Stands for the end of the job."""


class AbortableComm:
    """The communicator of one rank, whose Abort raises instead of ending the test run."""

    def __init__(self, comm):
        self.rank, self.size, self.Ibarrier = comm.rank, comm.size, comm.Ibarrier

    def Abort(self, code):
        raise Aborted(code)


def test_a_rank_that_fails_alone_aborts_the_others(comm, monkeypatch, capfd):
    """Where one rank fails and another waits for it, the job ends instead of hanging."""
    if comm.size == 1:
        pytest.skip("needs two ranks")
    monkeypatch.setattr(failure, "PATIENCE_S", 0.2)
    guard = comm.Dup()
    if comm.rank == comm.size - 1:
        with pytest.raises(Aborted, match="2"):
            failure.finish(InputError("only here"), AbortableComm(guard))
        assert capfd.readouterr().err == "glassmodes: error: only here\n"
    comm.Barrier()
    if comm.rank < comm.size - 1:  # complete the barrier that the failing rank left open
        guard.Ibarrier().Wait()
    comm.Barrier()


def test_a_bug_on_one_rank_aborts_at_once(comm, capfd):
    if comm.size == 1:
        pytest.skip("needs two ranks")
    if comm.rank == 1:
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError as error:
            with pytest.raises(Aborted, match="1"):
                failure.finish(error, AbortableComm(comm))
        assert "ZeroDivisionError" in capfd.readouterr().err
