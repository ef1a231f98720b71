"""Let requests wait for an execution: for its final state, or for each change."""
