"""The benchmarks' own machinery: limits, tables, exponents, the model of many ranks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks_on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_a_peer_that_does_not_end_is_stopped():
    import isolated

    outcome = isolated.call("time", "sleep", 60, seconds=1.0, gigabytes=4.0)
    assert outcome.stopped == "stopped after 1 s" and outcome.value is None


def test_a_peer_that_does_not_fit_is_stopped():
    import isolated

    outcome = isolated.call("numpy", "ones", 10**9, seconds=60.0, gigabytes=2.0)
    assert outcome.stopped == "no memory within 2 GB"
    fits = isolated.call("numpy", "ones", 10, seconds=60.0, gigabytes=2.0)
    assert not fits.stopped and fits.value.sum() == 10


def test_tables_survive_the_file(tmp_path):
    from rows import Row, read_csv, write_csv

    row = Row("a, b", 10, "glassmodes", 1.5, gain=2.0, details={"scaling": "model", "x": [1, 2]})
    write_csv(tmp_path / "t.csv", {"cores": "2", "load before": "0.1: 0.2"}, [row])
    facts, rows = read_csv(tmp_path / "t.csv")
    assert facts == {"cores": "2", "load before": "0.1: 0.2"}
    assert vars(rows[0]).keys() == vars(row).keys()
    assert rows[0].details == row.details and rows[0].value == 1.5 and np.isnan(rows[0].aim)


def test_exponent_of_a_power_law_is_exact():
    from exponents import fit

    sizes = [1000, 4000, 16000]
    slope, error = fit(sizes, [3e-7 * n**1.25 for n in sizes])
    assert slope == pytest.approx(1.25, abs=1e-12)  # round-off of three logarithms
    assert error < 1e-12


@pytest.mark.parametrize("count", [2, 3, 7])
def test_partitions_count_what_the_halos_hold(count):
    """Ghosts of the largest rank against sets made edge by edge."""
    import prediction

    from glassmodes.parallel import split_range

    rng = np.random.default_rng(count)
    n = 60
    edges = {tuple(sorted(rng.choice(n, 2, replace=False))) for _ in range(200)}
    i, j = np.array(sorted(edges)).T
    part = prediction._partition(n, i, j, count)
    ranges = [range(*split_range(n, count, rank)) for rank in range(count)]
    touching = [sum(a in r or b in r for a, b in edges) for r in ranges]
    ghosts = [{e[1 - k] for e in edges for k in (0, 1) if e[k] in r} - set(r) for r in ranges]
    assert part["share"] * len(edges) == pytest.approx(max(touching))
    assert part["ghosts"] == max(map(len, ghosts))
    assert part["messages"] <= count - 1
    assert part["far ghosts"] == part["far messages"] == 0  # all ranks share a node


def test_model_reproduces_its_calibration():
    import prediction

    found = {"seconds": 3.0, "block products": 100, "collectives": 50}
    machine = {"latency": 1e-6, "bandwidth": 5e9, "reduction": 2e-6}
    run = {"ranks": 2, "dimension": 3, "machine": machine, "modes": found}
    part = {"ghosts": 500, "messages": 1, "far ghosts": 0, "far messages": 0}
    parts = {2: part | {"share": 0.55}, 8: part | {"share": 0.15, "messages": 7}}
    assert prediction.predict(run, "modes", parts, 2).total == pytest.approx(3.0, rel=1e-12)
    faster = prediction.predict(run, "modes", parts, 8)
    assert faster.compute == pytest.approx(3.0 * 0.15 / 0.55, rel=1e-2)  # less 0.5 ms of waiting


def test_page_says_what_stopped_a_peer_and_that_the_machine_was_busy(tmp_path, monkeypatch):
    import page
    from exponents import exponents
    from rows import Row, write_csv

    case = "lowest 100 modes"
    sizes = [2000, 8000, 32000]
    rows = [Row(case, n, "glassmodes: x", 1e-4 * n, memory=1e-6 * n, dimension=3) for n in sizes]
    peer = Row(case, 8000, "scipy eigsh(sigma)", float("nan"), accuracy="stopped after 60 s")
    facts = {"load before": "3.00 1 1", "limits of a peer": "60 s, 14 GB"}
    write_csv(tmp_path / "t.csv", facts, [*rows, peer, *exponents(rows)])
    monkeypatch.setattr("sys.argv", ["page", str(tmp_path / "t.csv"), "--output", str(tmp_path)])
    page.main()
    text = (tmp_path / "scaling.md").read_text()
    assert "t.csv was recorded on a busy machine" in text
    assert "stopped after 60 s" in text and "1.00 ± 0.00" in text
    assert (tmp_path / "figures" / "scaling_peers.png").stat().st_size > 1000
    assert "scaling_ranks.png" not in text  # nothing ran over ranks


def test_predictions_refuse_a_partition_that_no_run_had(tmp_path, monkeypatch):
    import scaling
    from isolated import Outcome

    parts = {2: {"ghosts": 7}}
    monkeypatch.setattr(scaling.isolated, "call", lambda *_, **__: Outcome(parts))
    run = {"ranks": 2, "ghosts": [5, 6], "particles": 10, "dimension": 3}
    with pytest.raises(RuntimeError, match="6 ghosts, but cutting the curve gives 7"):
        scaling.predict(tmp_path / "a.h5", [run])
