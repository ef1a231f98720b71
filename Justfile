# Every task of a contributor, once; `just` lists them. Each line also works without just.

_list:
    @just --list

# Start everything and leave it running
start:
    ./start.sh

# Start everything and run the use case
demo:
    ./start.sh demo

# Lint, types, imports and all tests
test *arguments:
    scripts/test {{arguments}}

# Format the code
format:
    .venv/bin/ruff check --fix --quiet . && .venv/bin/ruff format --quiet .

# Write what is generated from the code: OpenAPI document, schema, settings table
generate:
    scripts/openapi --write
    scripts/schema --write
    scripts/settings-table --write

# Write the lock files from pyproject.toml
lock *arguments:
    scripts/lock {{arguments}}

# Run a benchmark: sandbox, pipeline, keys
bench *arguments:
    scripts/bench {{arguments}}
