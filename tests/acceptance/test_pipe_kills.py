"""A pipe whose processes and servers are killed forwards each event once, in order."""

from scripts.benchmarks import pipe_kills


def test_kills_lose_no_event_and_double_none() -> None:
    victims = ("worker", "api", "postgres", "redis", "worker")
    assert pipe_kills.measure(events=20_000, victims=victims) == 0
