"""Write what a job validates with as the one text that the validator reads."""

import msgspec

from app.sandbox.protocol import encode_json
from app.sandbox.schema_checks import Checks


def encode_checks(checks: Checks) -> bytes:
    """Return the text for `openChecks` (validator/job_checks.js), in UTF-8.

    Raises UnicodeDecodeError for a document that is not UTF-8.
    """
    documents = checks.schemas.documents
    about = {
        "documents": [(uri, _units(text)) for uri, text in documents.items()],
        "strict": sorted(checks.schemas.strict),
        "inputs": msgspec.to_builtins(checks.inputs()),
        "outputs": checks.outputs(),
        "excerpts": checks.excerpts,
    }
    return b"".join((encode_json(about), b"\n", *documents.values()))


def _units(text: bytes) -> int:
    """Return the number of UTF-16 units."""
    return len(text) if text.isascii() else len(text.decode().encode("utf-16-le")) // 2
