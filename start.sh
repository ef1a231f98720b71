#!/bin/sh
# Start Crivo with everything that it needs, in this folder: ./start.sh --help
set -eu
# The bytecode cache makes every start but the first one fast.
unset PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME

# A relative path is relative to the caller's folder.
case ${CRIVO_DATA:-/} in
    /*) ;;
    *) CRIVO_DATA=$PWD/$CRIVO_DATA; export CRIVO_DATA ;;
esac
cd -- "$(dirname -- "$0")"
if [ "${1-}" = compose ]; then
    shift
    exec scripts/compose "$@"
fi
scripts/venv requirements.lock
if [ "${1-}" = dask ]; then
    scripts/venv requirements-dask.lock
fi
exec .venv/bin/python -m app.embedded "$@"
