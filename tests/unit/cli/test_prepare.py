"""Glasses from the command line."""

import json

import pytest
from command_line import assert_one_line

from glassmodes.sample import Sample

LIQUID = ("--equilibration-time", 1, "--temperature", 2)


def test_prepare_makes_a_glass_at_a_minimum(folder, call):
    output = folder / "glass.h5"
    words = ("--model", "ipl_2d", "--particles", 100, "--seed", 3, *LIQUID)
    code, out, err = call("prepare", *words, "-o", output, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["particles"] == 100 and found["species"] == [50, 50]
    assert found["density"] == pytest.approx(0.86)
    assert found["force_ratio"] < 1e-10
    assert {"equilibration_drift", "pressure", "crystal_order", "force_evaluations"} <= set(found)
    sample = Sample.read(output)
    assert sample.provenance["seed"] == 3
    assert sample.provenance["protocol"]["name"] == "instantaneous_quench"
    assert sample.provenance["evidence"]["energy_per_particle"] == found["energy_per_particle"]
    assert call("moduli", output)[0] == 0
    first = output.read_bytes()
    assert call("prepare", *words, "-o", output)[0] == 0
    assert output.read_bytes() == first, "the same seed gives the same bytes"


def test_prepare_follows_its_options(folder, call):
    output = folder / "glass.h5"
    words = ("--model", "ipl_2d", "--particles", 80, "--seed", 3, "--density", 0.9)
    cooling = ("--final-temperature", 0.5, "--rate", 5, *LIQUID)
    code, _, err = call("prepare", *words, "--protocol", "slow_cooling", *cooling, "-o", output)
    assert code == 0, err
    sample = Sample.read(output)
    assert sample.density == pytest.approx(0.9)
    protocol = sample.provenance["protocol"]
    assert (protocol["final_temperature"], protocol["rate"]) == (0.5, 5)
    assert call("prepare", *words, "--protocol", "random_start", "-o", output)[0] == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--model", "ipl_2"], "did you mean 'ipl_2d'"),
        (["--model", "none.yaml"], "no such file"),
        (["--particles", "4"], "twice the cutoff"),
        (["--dimension", "5"], "5"),
        (["--protocol", "slow_cooling"], "rate"),
        (["--protocol", "random_start", "--temperature", "1"], "temperature"),
        (["--protocol", "slow_coolin"], "'slow_cooling'"),
        (["--model", "harmonic_spheres"], "--temperature"),
        (["--temperature", "0"], "above zero"),
    ],
)
def test_prepare_refuses_bad_calls(words, text, folder, call):
    good = {"--model": "ipl_2d", "--particles": "100", "--seed": "1"}
    good |= dict(zip(words[::2], words[1::2], strict=True))
    words = [word for pair in good.items() for word in pair]
    assert_one_line(*call("prepare", *words, "-o", folder / "out.h5"), text)
    assert not (folder / "out.h5").exists()


def test_prepare_offers_the_protocols_that_exist():
    from glassmodes.cli import prepare
    from glassmodes.preparation.protocols import PROTOCOLS

    assert set(prepare.PROTOCOLS) == set(PROTOCOLS)
