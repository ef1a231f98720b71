"""Keep requests waiting for an execution: for its final state, or for each change of it."""
