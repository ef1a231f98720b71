"""A run that loses its worker, a cell and PostgreSQL publishes what an undisturbed one does."""

from scripts.benchmarks import run_kills


def test_kills_change_nothing_that_is_published() -> None:
    victims = ("worker", "cell", "postgres")
    assert run_kills.measure(size=12_000_000, files=12, victims=victims) == 0
