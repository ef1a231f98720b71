"""SQL over datasets and exports, by DuckDB on the user's own machine."""
