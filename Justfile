# Every task, once; `just` lists them. Each line also works without just.

_list:
    @just --list

# Start the system and leave it running
start:
    ./start.sh

# Start the system, run the use case and stop
demo:
    ./start.sh demo

# Run lint, type checks, import contracts and tests
test *arguments:
    scripts/test {{arguments}}

# Format the code
format:
    .venv/bin/ruff check --fix --quiet . && .venv/bin/ruff format --quiet .

# Regenerate the OpenAPI document, the schema and the settings table
generate:
    scripts/openapi --write
    scripts/schema --write
    scripts/settings-table --write

# Update the lock files from pyproject.toml
lock *arguments:
    scripts/lock {{arguments}}

# Run a benchmark: executions, sandbox, pipeline, keys
bench *arguments:
    scripts/bench {{arguments}}
