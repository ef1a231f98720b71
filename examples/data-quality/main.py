"""Register the schema, and handle one event: `python main.py [events/good.json]`."""

import sys
from pathlib import Path

from event_validator import SCHEMA, InvalidEvent, client, handler

HERE = Path(__file__).parent


def main() -> int:
    """Handle the event of a file; return 1 if it is not valid."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "events" / "good.json"
    # The same document again adds no version.
    client().schemas.push(SCHEMA, HERE / "schema.json", strict=True)
    try:
        handler(file.read_bytes())
    except InvalidEvent as error:
        print(f"{file.name} is not valid: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
