#!/bin/sh
# The executor takes a program without arguments here.
exec python -m glassmodes.campaign.cluster_jobs cancel "$@"
