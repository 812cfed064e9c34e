"""Verbs that read and write samples and matrices: import, export, hessian, info."""

import json

import numpy as np
import pytest
import scipy.sparse as sp
from command_line import arrays, assert_one_line, triangular

from glassmodes import models
from glassmodes.sample import Sample


def test_import_and_info_answer_alike(folder, call):
    imported = folder / "imported.h5"
    code, out, _ = call(
        "import", folder / "good.npz", "--model", "ipl_2d", "-o", imported, "--json"
    )
    assert code == 0
    first = json.loads(out)
    assert first["particles"] == 36 and first["dimension"] == 2 and first["model"] == "ipl_2d"
    assert first["force_free"] is True
    code, out, _ = call("info", imported, "--json")
    second = json.loads(out)
    assert second["kind"] == "sample"
    assert second["provenance"]["import"]["file"].endswith("good.npz")
    for key in ("energy_per_particle", "pressure", "density", "contacts", "species"):
        assert first[key] == second[key]


@pytest.mark.parametrize("suffix", [".xyz", ".data"])
def test_export_and_import_give_the_sample_back(suffix, folder, call):
    foreign, back = folder / f"out{suffix}", folder / "back.h5"
    assert call("export", folder / "good.h5", "-o", foreign)[0] == 0
    assert call("import", foreign, "--model", "ipl_2d", "-o", back)[0] == 0
    before, after = Sample.read(folder / "good.h5"), Sample.read(back)
    np.testing.assert_allclose(after.wrapped(), before.wrapped(), rtol=0, atol=1e-15)
    np.testing.assert_array_equal(after.box, before.box)
    assert after.model == before.model


def test_type_maps_swap_species(folder, call):
    labels = np.arange(36) % 2
    np.savez(folder / "two.npz", **arrays(triangular(), species=labels))
    swapped = folder / "swapped.h5"
    words = ("import", folder / "two.npz", "--model", "ipl_2d", "-o", swapped)
    assert call(*words, "--type-map", "0=1,1=0")[0] == 0
    np.testing.assert_array_equal(Sample.read(swapped).species, 1 - labels)


def test_model_files_need_no_name(folder, call):
    spec = models.named("ipl_2d").spec()
    (folder / "mine.yaml").write_text(json.dumps({k: spec[k] for k in ("class", "constants")}))
    mine = folder / "mine.h5"
    assert call("import", folder / "good.npz", "--model", folder / "mine.yaml", "-o", mine)[0] == 0
    assert Sample.read(mine).model["constants"] == spec["constants"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"class": "InversePowerLaw", "constants": {"exponnt": 10}}, "'exponent'"),
        ({"class": "InversePowerLow", "constants": {}}, "'InversePowerLaw'"),
        ({"class": "InversePowerLaw", "constant": {}}, "'constants'"),
        ([1, 2], "model"),
    ],
)
def test_model_files_are_checked(content, text, folder, call):
    (folder / "mine.yaml").write_text(json.dumps(content))
    words = ("--model", folder / "mine.yaml", "-o", folder / "S.h5")
    assert_one_line(*call("import", folder / "good.npz", *words), text)
    assert not (folder / "S.h5").exists()


@pytest.mark.parametrize("name", ["x.xyz", "x.data"])
def test_four_dimensions_do_not_fit_three_columns(name, folder, call):
    sites = np.stack(np.meshgrid(*[np.arange(3.0)] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    Sample(sites, [3.0] * 4).write(folder / "4d.h5")
    result = call("export", folder / "4d.h5", "-o", folder / name)
    assert_one_line(*result, "three coordinates")
    assert not (folder / name).exists()


def test_networks_need_no_model(folder, call):
    """Springs between neighbours of the triangular lattice: stable, at rest, G = √3/4 k."""
    lattice = triangular()
    from glassmodes.mechanics.interactions import find_interactions

    contacts = find_interactions(lattice)
    network = Sample(lattice.positions, lattice.box, bonds=np.stack([contacts.i, contacts.j], 1))
    network.write(folder / "network.h5")
    moduli = json.loads(call("moduli", folder / "network.h5", "--json")[1])
    assert moduli["shear_modulus"] == pytest.approx(np.sqrt(3) / 4, rel=1e-10)
    assert moduli["pressure"] == 0
    modes = json.loads(call("modes", folder / "network.h5", "--count", 5, "--json")[1])
    assert modes["zero_modes"] == 2 and min(modes["frequencies"]) > 0.1


def test_info_tells_batches_from_samples(folder, call):
    import h5py

    with h5py.File(folder / "batch.h5", "w") as file:
        for index in range(3):
            triangular().to_group(file.create_group(f"samples/{index:06d}"))
        file["records/status"] = np.array([b"ok", b"refused", b"ok"])
        file["records/pressure"] = np.ones(3)
        file["records/pressure"].attrs["unit"] = "energy/length^d"
    found = json.loads(call("info", folder / "batch.h5", "--json")[1])
    assert (found["kind"], found["samples"]) == ("batch", 3)
    assert found["records"] == {"ok": 2, "refused": 1}
    assert found["columns"]["pressure"] == {"shape": [3], "unit": "energy/length^d"}
    taken = folder / "one.h5"
    assert call("import", folder / "batch.h5", "--frame", 1, "-o", taken)[0] == 0
    np.testing.assert_array_equal(Sample.read(taken).positions, triangular().positions)


@pytest.mark.parametrize("name", ["H.npz", "H.petsc"])
def test_the_hessian_leaves_as_a_matrix_that_others_read(name, folder, call):
    code, out, _ = call("hessian", folder / "good.h5", "-o", folder / name, "--json")
    assert code == 0 and json.loads(out)["rows"] == 72
    if name.endswith(".npz"):
        matrix = sp.load_npz(folder / name)
    else:
        from petsc4py import PETSc

        viewer = PETSc.Viewer().createBinary(str(folder / name), "r", comm=PETSc.COMM_SELF)
        loaded = PETSc.Mat().load(viewer)
        start, columns, values = loaded.getValuesCSR()
        matrix = sp.csr_matrix((values, columns, start))
        translation = PETSc.Vec().load(viewer)  # behind the matrix, for those who know
        assert np.abs(matrix @ translation.array).max() < 1e-12
        for handle in (viewer, loaded, translation):
            handle.destroy()
    # a triangular lattice with first neighbours: its bulk stiffness is positive, rows sum to 0
    assert np.abs(matrix - matrix.T).max() < 1e-12
    assert np.abs(matrix @ np.tile([1.0, 2.0], 36)).max() < 1e-11
    assert np.linalg.eigvalsh(matrix.toarray())[2] > 0.1
    assert json.loads(call("info", folder / name, "--json")[1])["null_vectors"] == 2
