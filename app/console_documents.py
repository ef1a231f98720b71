"""Write the documents of captured consoles."""

import json

from app.sandbox.outcomes import Report


def logs_document(report: Report) -> bytes:
    """Write the captured console as ASCII JSON."""
    lines = [{"level": line.level, "text": line.text} for line in report.logs]
    document = {"lines": lines, "lines_dropped": report.lines_dropped}
    return json.dumps(document).encode("ascii")


def dropped_logs_document(lines: int) -> bytes:
    """Write a console whose lines the tenant's quota left no space for."""
    return json.dumps({"lines": [], "lines_dropped": lines}).encode("ascii")
