"""Samples of data, made on the user's own machine by a seed."""
