"""The command line of start.sh: run the system, or the demonstration on it."""

import sys
from typing import Final

from app.embedded.errors import CannotStart, ServiceFailed
from app.embedded.launcher import administer, demo, run
from app.environment import InvalidSetting, load_settings, misspelt
from app.settings import Settings

USAGE: Final = """\
usage: ./start.sh [demo | admin COMMAND | compose [COMMAND]]

  (no command)  run Crivo in the foreground until Ctrl-C
  demo          run the example of examples/cards over HTTP, and compare its results
  admin         make tenants and API keys, list and revoke them: ./start.sh admin --help
  compose       run Crivo in containers: up (the default), admin, down, logs, and what docker
                compose has

Settings come from the environment: CRIVO_PORT, CRIVO_DATA, DATABASE_URL and more;
docs/operations.md lists them.
"""


def main(arguments: list[str]) -> int:
    """Do what the command says; 0 done, 1 failed, 2 nothing was started."""
    if arguments in (["--help"], ["-h"], ["help"]):
        sys.stdout.write(USAGE)
        return 0
    if arguments not in ([], ["demo"]) and arguments[0] != "admin":
        sys.stderr.write(f"crivo: unknown: {' '.join(arguments)}\n{USAGE}")
        return 2
    for name, meant in misspelt().items():
        sys.stderr.write(f"crivo: {name} is not a setting, and is ignored; is {meant} meant?\n")
    try:
        settings = load_settings()
        return _do(settings, arguments)
    except (CannotStart, InvalidSetting) as error:
        sys.stderr.write(f"crivo: {error}\n")
        return 2
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        sys.stderr.write(f"crivo: {error.strerror or error}{where}\n")
        return 2
    except ServiceFailed as error:
        sys.stderr.write(f"crivo: {error}\n")
        return 1


def _do(settings: Settings, arguments: list[str]) -> int:
    match arguments:
        case []:
            return run(settings)
        case ["admin", *rest]:
            return administer(settings, rest)
        case _:
            return demo(settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
