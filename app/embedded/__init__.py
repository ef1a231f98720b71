"""The embedded default: PostgreSQL, Redis, API and worker below one data folder."""
