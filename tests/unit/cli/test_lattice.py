"""Spring networks from the command line."""

import json

import numpy as np
import pytest
from command_line import assert_one_line

from glassmodes.sample import Sample

QUICK = ("--equilibration-time", 0.5, "--descent-steps", 200)
KEYS = {
    "output", "particles", "density", "coordination", "coordination_deviation", "unbonded_atoms",
    "bond_order", "bond_order_fraction", "largest_cluster", "spring_length", "bonds", "model",
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "dimension", "coordination"),
    [
        (["fcc"], 3, 12),
        (["fcc", "--coordination", 6.1, "--cut", "independent"], 3, 6.1),
        (["fcc-vacancies", "--coordination", 7], 3, 7),
        (["triangular", "--coordination", 4.2, "--stiffness", 2], 2, 4.2),
        (["triangular-vacancies", "--coordination", 4.5], 2, 4.5),
        (["random-network", "--coordination", 6.5, *QUICK], 3, 6.5),
        (["random-network", "--coordination", 4.2, "--dimension", 2, *QUICK], 2, 4.2),
    ],
)
def test_lattice_makes_every_kind(words, dimension, coordination, folder, call):
    output = folder / "network.h5"
    words = ("lattice", "--type", *words, "--particles", 400, "--seed", 2, "-o", output)
    code, out, err = call(*words, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert set(found) >= KEYS
    assert found["coordination"] == pytest.approx(coordination, rel=0.03)
    sample = Sample.read(output)
    assert (sample.particles, sample.dimension) == (found["particles"], dimension)
    assert found["coordination"] == pytest.approx(2 * len(sample.bonds) / sample.particles)
    assert found["model"] == sample.model["name"] == "harmonic_network"
    first = output.read_bytes()
    assert call(*words)[0] == 0
    assert output.read_bytes() == first, "the same seed gives the same bytes"


def test_other_verbs_take_networks(folder, call):
    output = folder / "network.h5"
    words = ("--type", "fcc", "--particles", 200, "--coordination", 9, "-o", output)
    assert call("lattice", *words)[0] == 0
    about = json.loads(call("info", output, "--json")[1])
    assert about["kind"] == "sample" and about["model"] == "harmonic_network"
    assert about["force_free"] and about["energy_per_particle"] == 0 and "problem" not in about
    moduli = json.loads(call("moduli", output, "--json")[1])
    assert moduli["born_shear_modulus"] == pytest.approx(np.sqrt(2) * 9 / 24, rel=1e-12)
    # bond dilution: an effective medium gives C44 (p - 1/2)/(1 - 1/2), one small sample 10 %
    assert moduli["shear_modulus"] == pytest.approx(np.sqrt(0.5) * 0.5, rel=0.15)


def test_networks_come_in_as_arrays(folder, call):
    """Positions, box and bonds are enough; without rest lengths every spring is at rest."""
    positions = np.array([[1.0, 1.0], [2.5, 1.0], [1.0, 3.0]])
    arrays = {"positions": positions, "box": [9.0, 9.0], "bonds": [[0, 1], [2, 0]]}
    source, target = folder / "network.npz", folder / "S.h5"
    np.savez(source, **arrays)
    for model in ((), ("--model", "harmonic_network")):
        code, out, err = call("import", source, *model, "-o", target, "--json")
        assert code == 0, err
        found = json.loads(out)
        assert (found["model"], found["bonds"], found["max_force"]) == ("harmonic_network", 2, 0)
    np.savez(source, **arrays, stiffness=[2.0, 3.0], rest_lengths=[1.0, 2.0])
    found = json.loads(call("import", source, "-o", target, "--json")[1])
    # one spring of stiffness 2 stretched by 0.5, one of stiffness 3 at rest
    assert found["max_force"] == pytest.approx(1.0)
    assert found["energy_per_particle"] == pytest.approx(0.25 / 3)
    sample = Sample.read(target)
    assert sample.stiffness.tolist() == [2, 3] and sample.rest_lengths.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"bonds": [[0, 1], [1, 0]]}, "more than one bond"),
        ({"bonds": [[0, 1], [2, 2]]}, "bond 1 joins the particle 2 to itself"),
        ({"bonds": [[0, 3], [1, 2]]}, "indices run from 0 to 2"),
        ({"bonds": [[0, 1.5], [1, 2]]}, "whole numbers"),
        ({"bonds": np.zeros((0, 2))}, "needs bonds"),
        ({"box": [9.0, 4.0]}, "half the box"),
        ({"positions": [[1.0, 1.0], [1.0, 1.0], [2.0, 2.0]]}, "no length"),
        ({"positions": [[1.0, np.nan], [2.0, 1.0], [2.0, 2.0]]}, "NaN or infinite"),
        ({"stiffness": [1.0]}, "stiffness has shape"),
        ({"stiffness": [1.0, np.inf]}, "NaN or infinite"),
        ({"rest_lengths": [1.0, -1.0]}, "rest_lengths holds -1"),
        ({"species": [0, 1]}, "species has shape"),
    ],
)
def test_networks_that_cannot_be_are_refused(changes, text, folder, call):
    good = {"positions": [[1.0, 1.0], [2.5, 1.0], [1.0, 3.0]], "box": [9.0, 9.0]}
    np.savez(folder / "bad.npz", **(good | {"bonds": [[0, 1], [2, 0]]} | changes))
    words = ("--model", "harmonic_network", "-o", folder / "S.h5")
    assert_one_line(*call("import", folder / "bad.npz", *words), text)
    assert not (folder / "S.h5").exists()


def test_the_model_needs_bonds(folder, call):
    words = ("--model", "harmonic_network", "-o", folder / "S.h5")
    assert_one_line(*call("import", folder / "good.npz", *words), "needs bonds")
    words = ("--model", "harmonic_network", "--particles", 100, "--seed", 1)
    assert_one_line(*call("prepare", *words, "-o", folder / "S.h5"), "no pair potential")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--coordination", "12.5"], "at most at 12"),
        (["--coordination", "0"], "above zero"),
        (["--coordination", "1"], "falls apart"),
        (["--type", "fcc-vacancies"], "--coordination"),
        (["--type", "fc"], "did you mean 'fcc'"),
        (["--dimension", "2"], "3 dimensions, not 2"),
        (["--density", "1"], "no meaning for --type fcc"),
        (
            ["--type", "fcc-vacancies", "--coordination", "7", "--cut", "narrow"],
            "cut has no meaning for --type fcc-vacancies",
        ),
        (["--particles", "3"], "has 32 to"),
        (["--type", "random-network", "--coordination", "9.5"], "at most at 9"),
        (["--type", "random-network", "--coordination", "6", "--particles", "9"], "box edge"),
    ],
)
def test_lattice_refuses_bad_calls(words, text, folder, call):
    good = {"--type": "fcc", "--particles": "200"}
    good |= dict(zip(words[::2], words[1::2], strict=True))
    words = [word for pair in good.items() for word in pair]
    assert_one_line(*call("lattice", *words, "-o", folder / "out.h5"), text)
    assert not (folder / "out.h5").exists()
