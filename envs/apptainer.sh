#!/bin/sh
# glassmodes of an Apptainer image, to stand in .venv/bin in place of the installed one: launchers
# then start one container a rank. GLASSMODES_IMAGE names the image (default: glassmodes.sif of the
# checkout), GLASSMODES_APPTAINER more words for `apptainer exec`, such as --bind.
here=$(cd "$(dirname "$0")/../.." && pwd -P)
image=${GLASSMODES_IMAGE:-$here/glassmodes.sif}
if [ ! -e "$image" ]; then
    echo "glassmodes: error: no image $image; build it or set GLASSMODES_IMAGE" >&2
    exit 2
fi
# shellcheck disable=SC2086  # several words are wanted
exec apptainer exec --bind "$PWD" ${GLASSMODES_APPTAINER:-} "$image" glassmodes "$@"
