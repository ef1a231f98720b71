"""Client of Crivo: push JavaScript scripts, run them over JSON, read results."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crivo.library import *  # noqa: F403 - the names are listed there
    from crivo.library import __all__ as __all__
else:

    def __getattr__(name: str) -> object:
        """Load the library when it is first used: the command handles Ctrl-C before that."""
        if find_spec(f"{__name__}.{name}") is not None:
            return import_module(f"{__name__}.{name}")
        return getattr(import_module(f"{__name__}.library"), name)
