"""Batch files: what is written comes back, the same bytes each time, and damage is found."""

import numpy as np
import pytest

from glassmodes.campaign.records import (
    Header,
    Row,
    is_valid,
    read_records,
    read_sample,
    refused,
    write_batch,
)
from glassmodes.errors import InputError
from glassmodes.sample import Sample

HEADER = Header("modes", 2, 3, "fingerprint", {"stage_version": 1})


def mode_record(index, count, **more):
    rng = np.random.default_rng(index)
    return {
        "index": index,
        "status": "ok",
        "frequency": rng.random(count),
        "participation_ratio": rng.random(count),
        "residual": rng.random(count),
        "zero_modes": 2,
        "certified": True,
        "certificate": "inertia",
        "modes_counted": float(count),
        "modes_counted_error": 0.0,
        "complete_below": 0.5,
        "products": 10 * count,
        **more,
    }


def test_records_come_back_as_written(tmp_path):
    records = [mode_record(4, 3), refused(5, "saddle", "2 negative eigenvalues"), mode_record(6, 5)]
    write_batch(tmp_path / "m.h5", HEADER, [Row(r) for r in records])
    read = read_records(tmp_path / "m.h5")
    assert read.header == HEADER
    assert read["index"].tolist() == [4, 5, 6]
    assert read.accepted.tolist() == [True, False, True]
    assert read["reason"].tolist() == ["", "saddle", ""]
    assert [len(w) for w in read["frequency"]] == [3, 0, 5]
    for k in (0, 2):
        for name in ("frequency", "residual", "participation_ratio"):
            np.testing.assert_array_equal(read[name][k], records[k][name])
    assert np.isnan(read["complete_below"][1]) and read["zero_modes"].tolist() == [2, -1, 2]
    assert read.units["frequency"] == "sqrt(energy/mass)/length"


def test_all_columns_exist_when_every_sample_is_refused(tmp_path):
    header = Header("moduli", 3, 10, "f")
    write_batch(tmp_path / "m.h5", header, [Row(refused(0, "overlap", "r = 0.01"))])
    read = read_records(tmp_path / "m.h5")
    assert read["elastic_tensor"].shape == (1, 3, 3, 3, 3)
    assert np.isnan(read["shear_modulus"]).all()


def test_vectors_are_kept_only_if_given(tmp_path):
    vectors = np.arange(12.0).reshape(2, 3, 2)
    write_batch(tmp_path / "with.h5", HEADER, [Row(mode_record(0, 2, vectors=vectors))])
    write_batch(tmp_path / "without.h5", HEADER, [Row(mode_record(0, 2))])
    np.testing.assert_array_equal(read_records(tmp_path / "with.h5")["vectors"][0], vectors)
    assert "vectors" not in read_records(tmp_path / "without.h5")


def test_records_that_do_not_fit_the_schema_are_refused(tmp_path):
    for record, text in (
        (mode_record(0, 2, frequenzy=1.0), "frequency"),
        ({k: v for k, v in mode_record(0, 2).items() if k != "residual"}, "lacks 'residual'"),
        (mode_record(0, 2, vectors=np.zeros((2, 3, 3))), "has shape"),
    ):
        with pytest.raises(InputError, match=text):
            write_batch(tmp_path / "m.h5", HEADER, [Row(record)])
        assert not (tmp_path / "m.h5").exists()


def some_sample(seed):
    rng = np.random.default_rng(seed)
    return Sample(positions=rng.random((3, 2)), box=[1.0, 2.0], provenance={"seed": seed})


def sample_rows():
    state = dict.fromkeys(("density", "mass_density", "energy_per_particle", "pressure"), 1.0)
    evidence = dict.fromkeys(
        (
            "max_force",
            "typical_contact_force",
            "force_ratio",
            "equilibration_drift",
            "mean_squared_displacement",
            "temperature_mean",
            "crystal_order",
        ),
        0.5,
    )
    counts = dict.fromkeys(("particles", "dimension", "force_evaluations", "newton_steps"), 3)
    return [
        Row({"index": k, "status": "ok", "seed": k, **state, **evidence, **counts}, some_sample(k))
        for k in (7, 8)
    ]


def test_samples_travel_with_their_records(tmp_path):
    path = tmp_path / "s.h5"
    write_batch(path, Header("samples", 2, 3, "f"), sample_rows())
    sample = read_sample(path, 8)
    np.testing.assert_array_equal(sample.positions, some_sample(8).positions)
    assert sample.provenance == {"seed": 8}
    with pytest.raises(InputError, match="no sample 9"):
        read_sample(path, 9)


def test_the_same_records_give_the_same_bytes(tmp_path):
    for name in ("a.h5", "b.h5"):
        write_batch(tmp_path / name, Header("samples", 2, 3, "f"), sample_rows())
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_every_truncation_is_found(tmp_path):
    path = tmp_path / "m.h5"
    write_batch(path, HEADER, [Row(mode_record(k, 4)) for k in range(3)])
    whole = path.read_bytes()
    for size in np.linspace(0, len(whole) - 1, 40).astype(int):
        path.write_bytes(whole[:size])
        assert not is_valid(path, "fingerprint")


def test_a_changed_number_is_found(tmp_path):
    path = tmp_path / "m.h5"
    record = mode_record(0, 4)
    write_batch(path, HEADER, [Row(record)])
    assert is_valid(path, "fingerprint")
    whole = path.read_bytes()
    for name in ("frequency", "residual"):
        at = whole.index(record[name].tobytes()) + 9
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(InputError, match="damaged"):
            read_records(path)


def test_other_settings_and_other_files_are_not_taken_over(tmp_path):
    path = tmp_path / "m.h5"
    write_batch(path, HEADER, [Row(mode_record(0, 4))])
    assert not is_valid(path, "another fingerprint")
    some_sample(0).write(tmp_path / "sample.h5")
    with pytest.raises(InputError, match="not a batch file"):
        read_records(tmp_path / "sample.h5")
