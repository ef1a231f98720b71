"""Let requests wait for what takes a while: for its end, or for each change."""
