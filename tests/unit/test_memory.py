"""Limits on memory are found wherever they are set, and what does not fit is not begun."""

import resource
import subprocess
import sys

import numpy as np
import pytest

from glassmodes import memory
from glassmodes.cli import failure
from glassmodes.errors import InputError, ResourceError
from glassmodes.spectra.factorisations import estimate

GB = 10**9
KB = 1024


@pytest.fixture
def machine(tmp_path):
    """Return a root folder of a machine with 8 GiB free, without groups or jobs."""
    page = resource.getpagesize()
    write(tmp_path / "proc/self/statm", f"{3 * 2**30 // page} {2**30 // page} 1 1 0 1 0")
    write(tmp_path / "proc/meminfo", f"MemFree: 7 kB\nMemAvailable: {8 * 2**20} kB\n")
    write(tmp_path / "proc/self/cgroup", "0::/\n")
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def by_source(root, environment=None, ranks=1):
    found = memory.limits(ranks, root, environment or {})
    return {limit.source: limit.bytes for limit in found}


def test_free_memory_is_shared_by_the_ranks_of_a_node(machine):
    for ranks in (1, 4):
        assert by_source(machine, ranks=ranks)["memory free on the machine"] == 2**33 // ranks


def test_control_groups_of_version_2_bind_their_children(machine):
    write(machine / "proc/self/cgroup", "0::/job/step\n")
    groups = machine / "sys/fs/cgroup"
    for group, limit, used, cache in (("job", 6 * GB, 3 * GB, GB), ("job/step", "max", GB, 0)):
        write(groups / group / "memory.max", f"{limit}\n")
        write(groups / group / "memory.current", f"{used}\n")
        write(groups / group / "memory.stat", f"anon 5\ninactive_file {cache}\n")
    # Cached files are given back when memory is wanted: 6 - 3 + 1.
    assert by_source(machine, ranks=2)["limit of the control group"] == 2 * GB


def test_control_groups_of_version_1(machine):
    write(machine / "proc/self/cgroup", "5:cpu:/\n4:hugetlb,memory:/job\n")
    group = machine / "sys/fs/cgroup/memory/job"
    write(group / "memory.limit_in_bytes", f"{5 * GB}\n")
    write(group / "memory.usage_in_bytes", f"{2 * GB}\n")
    assert by_source(machine)["limit of the control group"] == 3 * GB
    write(group / "memory.limit_in_bytes", "9223372036854771712\n")  # how it says "none"
    assert "limit of the control group" not in by_source(machine)


def test_slurm_gives_memory_to_nodes_or_cores(machine):
    resident = 2**30
    node = by_source(machine, {"SLURM_MEM_PER_NODE": "8192"}, ranks=2)
    assert node["SLURM_MEM_PER_NODE"] == 4 * 2**30 - resident
    cpu = by_source(machine, {"SLURM_MEM_PER_CPU": "2048", "SLURM_CPUS_PER_TASK": "2"})
    assert cpu["SLURM_MEM_PER_CPU"] == 4 * 2**30 - resident
    assert "SLURM_MEM_PER_NODE" not in by_source(machine, {"SLURM_MEM_PER_NODE": "0"})


def test_the_override_is_what_a_rank_may_occupy_in_all(machine):
    found = by_source(machine, {memory.OVERRIDE: "1.5"}, ranks=4)
    assert found[memory.OVERRIDE] == 1.5 * GB - 2**30
    for wrong in ("plenty", "-1", "nan", "0"):
        with pytest.raises(InputError, match=memory.OVERRIDE):
            memory.limits(1, machine, {memory.OVERRIDE: wrong})


def test_a_limit_of_the_address_space_counts():
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2 * 10**9,) * 2);"
        "from glassmodes.memory import tightest; print(*tightest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    room, source = done.stdout.split(maxsplit=1)
    assert "ulimit -v" in source and int(room) < 2 * GB


def test_what_does_not_fit_is_refused_in_one_line(comm_self, monkeypatch):
    monkeypatch.setenv(memory.OVERRIDE, "1e-3")  # less than the interpreter
    assert memory.available(comm_self) == 0
    with pytest.raises(ResourceError, match=r"the basis needs 3 GB .* use more ranks") as caught:
        memory.require(comm_self, 3 * GB, "the basis", "use more ranks")
    assert memory.OVERRIDE in str(caught.value)
    code, line = failure.describe(caught.value)
    assert code == 4 and "\n" not in line


def test_what_fits_is_let_through(comm_self):
    memory.require(comm_self, 10**6, "a megabyte", "nothing")


@pytest.mark.parametrize(
    ("size", "words"), [(12, "12 bytes"), (3500, "3.5 kB"), (2.5e9, "2.5 GB"), (4e13, "40 TB")]
)
def test_sizes_are_readable(size, words):
    assert memory.in_words(size) == words


@pytest.mark.parametrize("d", (2, 3, 4))
@pytest.mark.parametrize("kind", ("cholesky", "ldlt"))
def test_estimated_costs_grow_like_nested_dissection(d, kind):
    small, large = (estimate(rows, d, kind) for rows in (10**6, 2 * 10**6))
    # Asymptotic exponents, and 0.3 more for separators of finite thickness.
    for name, power in (("entries", 2 * (d - 1) / d), ("flops", 3 * (d - 1) / d)):
        exponent = np.log2(getattr(large, name) / getattr(small, name))
        assert power - 0.01 <= exponent <= power + 0.3
    assert estimate(10**6, d, kind, neighbours=4).bytes < small.bytes
    shared = estimate(10**6, d, "ldlt", ranks=8)
    assert shared.bytes < estimate(10**6, d, "ldlt").bytes
    tiny = estimate(20 * d, d, kind)
    assert tiny.entries <= 20 * d * (20 * d + 1) / 2  # never more than a dense triangle
