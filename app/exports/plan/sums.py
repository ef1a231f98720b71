"""Add values up in SQL, however many: DuckDB refuses expressions with a thousand levels."""

from collections.abc import Sequence


def sum_of(values: Sequence[str]) -> str:
    """Return the sum of expressions, 0 without any."""
    half = len(values) // 2
    if not half:
        return values[0] if values else "0"
    return f"({sum_of(values[:half])} + {sum_of(values[half:])})"
