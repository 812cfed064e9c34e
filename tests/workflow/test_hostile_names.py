"""A campaign whose texts and folders would run commands if any of them reached a shell bare."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = "a b'c\"d$(touch X);`touch Y`é&|\\%~#r"
CONTENT = {
    "campaign": {"title": "$(touch X) {y} {{z}} '\"<b>", "seed": 1, "results": FOLDER},
    "ensembles": {
        "tiny": {
            "title": "=`touch Y` {output} {wildcards.z}",
            "model": "harmonic_network",
            "particles": 108,
            "protocol": {"name": "bond_depleted_lattice"},
            "samples": 1,
            "analyses": ["moduli"],
        }
    },
}


def test_texts_and_folders_are_only_names(tmp_path):
    config = tmp_path / "it's $(touch X) c.yaml"
    config.write_text(yaml.safe_dump(CONTENT))
    words = [sys.executable, "-m", "glassmodes", "campaign", "run", "--config", config.name]
    done = subprocess.run(
        [*words, "--cores", "1", "analyse"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    results = tmp_path / FOLDER
    assert len(list((results / "analyses" / "tiny").rglob("moduli.h5"))) == 1
    logs = [p.read_text() for p in (results / "logs").rglob("*.log") if p.name != "snakemake.log"]
    assert logs and all("exit code 0" in text for text in logs)
    assert not [p for p in tmp_path.rglob("*") if p.name in ("X", "Y")]
    assert sorted(os.listdir(tmp_path)) == sorted([".snakemake", FOLDER, config.name])


@pytest.mark.parametrize("name", ["it's; touch X", "$(touch X)", 'a"b`touch X`'])
def test_variables_of_make_are_one_word(tmp_path, name):
    """The makefile's commands, with echo in place of the programs."""
    text = (ROOT / "Makefile").read_text()
    (tmp_path / "Makefile").write_text(text)
    escaped = name.replace("$", "$$")
    words = ["make", "-n", "reference", "campaign", "-o", "setup"]
    done = subprocess.run(
        [*words, f"NAME={escaped}", f"RESULTS={escaped}", f"CONFIG={escaped}"],
        cwd=tmp_path, capture_output=True, text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")},  # under make, too
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    commands = [line.replace("rm -rf", "echo") for line in done.stdout.splitlines()]
    for line in commands:
        line = line.replace(".venv/bin/glassmodes", "echo").replace("cp ", "echo ")
        line = line.replace("mkdir -p", "echo").replace("exit 2", "true")
        subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True, capture_output=True)
    assert sorted(os.listdir(tmp_path)) == ["Makefile"]
