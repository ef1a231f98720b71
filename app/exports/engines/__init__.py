"""Engines: where tasks of exports are run, beside the worker that has claimed them."""
