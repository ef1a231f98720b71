"""A pipe whose worker, API, Redis and PostgreSQL are killed loses, doubles and changes no event."""

from scripts.benchmarks import pipe_kills


def test_kills_lose_no_event_and_a_redrive_leaves_no_dead_letter() -> None:
    victims = ("worker", "redis", "postgres", "api")
    assert pipe_kills.measure(count=20_000, victims=victims) == 0
