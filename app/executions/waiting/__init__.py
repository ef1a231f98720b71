"""Let clients wait: for the end of an execution, or for each change of its state."""
