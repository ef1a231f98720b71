"""The command line `crivo`."""
