"""`python -m crivo`: the command line."""

from crivo.cli.main import main

main()
