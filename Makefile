# The two commands: make campaign, make test. Each sets everything up first, once.

CORES ?= 2
CONFIG ?= config/config.yaml
PYTEST_ARGS ?=
RESULTS ?= results
NAME ?= default
REFERENCE = results/reference/$(NAME)

# One word for the shell, whatever stands in it.
quote = '$(subst ','\'',$(1))'

# .venv/bin comes first on PATH: its mpiexec carries the MPI settings of envs/mpi.sh.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
PYTHON := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup campaign test test-serial test-mpi test-slurm check benchmark reference clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## make .venv with everything in it (does nothing when it is there)
	@envs/setup.sh

campaign: setup  ## run or resume the campaign of CONFIG on CORES cores
	@.venv/bin/glassmodes campaign run --config $(call quote,$(CONFIG)) --cores $(call quote,$(CORES))

test: test-serial test-mpi  ## run all tests, at 1, 2 and 3 ranks

test-serial: setup
	$(PYTHON) -m pytest $(PYTEST_ARGS) tests/unit tests/workflow

test-mpi: setup
	$(PYTHON) -m pytest $(PYTEST_ARGS) tests/mpi
	mpiexec -n 2 $(PYTHON) -m pytest --color=no $(PYTEST_ARGS) tests/mpi
	mpiexec -n 3 $(PYTHON) -m pytest --color=no $(PYTEST_ARGS) tests/mpi

test-slurm: setup  ## campaigns on a real Slurm of one node (root on Debian; skipped elsewhere)
	@envs/setup.sh slurm
	$(PYTHON) -m pytest $(PYTEST_ARGS) tests/slurm

check: setup  ## lint and type-check code, rules and profiles
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) -m snakefmt --check Snakefile workflow
	$(PYTHON) -m snakemake --lint --configfile $(call quote,$(CONFIG))

benchmark: setup  ## measure against scipy, SLEPc and matscipy; needs an idle machine
	$(PYTHON) benchmarks/run.py

reference:  ## keep tables, fits, figures and report of RESULTS in results/reference/NAME
	@test -f $(call quote,$(RESULTS)/report.html) || { echo "no finished campaign in RESULTS: run make campaign" >&2; exit 2; }
	rm -rf $(foreach part,tables fits figures,$(call quote,$(REFERENCE)/$(part)))
	mkdir -p $(call quote,$(REFERENCE)/figures)
	cp -r $(foreach part,tables fits report.html run.json config.json,$(call quote,$(RESULTS)/$(part))) $(call quote,$(REFERENCE)/)
	cp $(call quote,$(RESULTS))/figures/*.png $(call quote,$(REFERENCE)/figures/)

clean:  ## remove caches and build products; results and .venv stay
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis src/glassmodes/kernels/_build
	find src tests benchmarks workflow -name __pycache__ -type d -exec rm -rf {} +
