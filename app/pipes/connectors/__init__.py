"""Sources that events of pipes come from, and sinks that they go to."""
