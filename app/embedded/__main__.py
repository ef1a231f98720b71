"""Run the command line of start.sh: the system, the demo, or an administrator's command."""

import sys
from typing import Final

from app.embedded.errors import CannotStart, ServiceFailed
from app.embedded.launcher import administer, demo, run
from app.environment import InvalidSetting, load_settings, misspelt
from app.settings import Settings

USAGE: Final = """\
usage: ./start.sh [demo | dask | admin COMMAND | compose [COMMAND]]

  (no command)  run Crivo in the foreground until Ctrl-C
  demo          run the example of examples/cards over HTTP, and compare its results
  dask          run Crivo with a Dask cluster of two workers on this machine, for trials of runs
  admin         create, list and revoke tenants and API keys: ./start.sh admin --help
  compose       run Crivo in containers: up (the default), admin, down, logs, and the other
                commands of docker compose

Settings come from the environment: CRIVO_PORT, CRIVO_DATA, DATABASE_URL and more;
docs/operations.md lists them.
"""


def main(arguments: list[str]) -> int:
    """Run the command; return 0 if it is done, 1 if it failed, 2 if nothing was started."""
    if arguments in (["--help"], ["-h"], ["help"]):
        sys.stdout.write(USAGE)
        return 0
    if arguments not in ([], ["demo"], ["dask"]) and arguments[0] != "admin":
        sys.stderr.write(f"crivo: unknown command: {' '.join(arguments)}\n{USAGE}")
        return 2
    for name, suggestion in misspelt().items():
        sys.stderr.write(
            f"crivo: {name} is not a setting and is ignored; did you mean {suggestion}?\n"
        )
    try:
        settings = load_settings()
        return _run(settings, arguments)
    except (CannotStart, InvalidSetting) as error:
        sys.stderr.write(f"crivo: {error}\n")
        return 2
    except OSError as error:
        path = f": {error.filename}" if error.filename else ""
        sys.stderr.write(f"crivo: {error.strerror or error}{path}\n")
        return 2
    except ServiceFailed as error:
        sys.stderr.write(f"crivo: {error}\n")
        return 1


def _run(settings: Settings, arguments: list[str]) -> int:
    match arguments:
        case []:
            return run(settings)
        case ["dask"]:
            return run(settings, dask=True)
        case ["admin", *rest]:
            return administer(settings, rest)
        case _:
            return demo(settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
