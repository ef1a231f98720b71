"""Dead letters: events that a pipe could not forward, with their reasons."""
