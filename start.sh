#!/bin/sh
# Start Crivo with all that it needs below this folder: ./start.sh --help
set -eu
# The cache of bytecode makes every start but the first fast.
unset PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME

# What is relative is meant from where the command was typed.
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
exec .venv/bin/python -m app.embedded "$@"
