"""A pipe whose worker, API, Redis and PostgreSQL are killed loses, doubles and changes no event."""

import pytest

from scripts.benchmarks import pipe_kills


@pytest.mark.parametrize(
    ("sink", "victims"),
    [
        ("redis_stream", ("worker", "redis", "postgres", "api")),
        ("dataset", ("worker", "postgres", "worker")),
    ],
)
def test_kills_lose_no_event_and_a_redrive_leaves_no_dead_letter(
    sink: str, victims: tuple[str, ...]
) -> None:
    assert pipe_kills.measure(count=20_000, sink=sink, victims=victims) == 0
