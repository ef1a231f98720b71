"""`python -m crivo`: the command line."""

from crivo.cli.start import main

main()
