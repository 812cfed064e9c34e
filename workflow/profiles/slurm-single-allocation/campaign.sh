#!/bin/bash
# sbatch workflow/profiles/slurm-single-allocation/campaign.sh CONFIG [OPTIONS of campaign run]
#
# --- site facts -------------------------------------------------------------------------
#SBATCH --partition=main
#SBATCH --account=default
#SBATCH --ntasks=64
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=4000
#SBATCH --time=24:00:00
# ----------------------------------------------------------------------------------------
#SBATCH --job-name=glassmodes
#SBATCH --output=glassmodes-%j.log
# The run is told before the wall time ends; samples in work must be done by then.
#SBATCH --signal=B:USR1@300
set -euo pipefail
config=${1:?usage: sbatch campaign.sh CONFIG [OPTIONS of campaign run]}
shift
export PATH="$PWD/.venv/bin:$PATH"
# `exec`: the signal goes to the process of this script, which must be the run itself
exec glassmodes campaign run --config "$config" --cores "$SLURM_NTASKS" \
    --profile workflow/profiles/slurm-single-allocation "$@"
