"""Logs: one JSON object a line on standard error, an event with fields, without secrets."""

import logging
import re
import sys
from typing import Final

import structlog
from structlog.typing import EventDict, WrappedLogger

# What must never be read in a log, wherever it came from: what follows the first group goes. A
# line without any of the words, as nearly all are, is not searched: that would cost more than
# all the rest of writing it.
_SECRETS: Final = (
    # API keys; the id in front is in the audit log, too.
    (("crv_",), re.compile(r"(crv_[0-9A-Fa-f]{1,32}_)[A-Za-z0-9_-]+")),
    # Tokens for events; which execution they are for may be read.
    (("evt_",), re.compile(r"(evt_[0-9A-Fa-f]{1,32}_)[A-Za-z0-9_-]+")),
    # A password in an address: that of PostgreSQL, of Redis, of a blob store.
    (("://",), re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@\"']*:)[^\s@\"']+(?=@)")),
    # What goes with Authorization, as a header, a member or a field of a log.
    (
        ("authorization",),
        re.compile(
            r"((?:proxy-)?authorization[\\\"']*\s*[:=,]\s*(?:b(?=[\"']))?[\\\"']*"
            r"(?:(?:bearer|basic)\s+)?)[^\s\\\"',]+",
            re.IGNORECASE,
        ),
    ),
    (
        ("passw", "secret"),
        re.compile(
            r"(\b(?:password|passwd|secret|secret_access_key)[\\\"']*\s*[:=]\s*[\\\"']*)"
            r"[^\s\\\"',]+",
            re.IGNORECASE,
        ),
    ),
)
# PostgreSQL's details quote rows: "Failing row contains (…)", "Key (name)=(…) already exists".
_DETAIL: Final = re.compile(
    r"\nDETAIL: .*?(?=\n\n|\nHINT: |\n[A-Za-z_.]+(?:Error|Exception)|\Z)", re.DOTALL
)


def redact(text: str) -> str:
    """Take secrets out of a text: keys, passwords in addresses, what follows Authorization."""
    plain = text.lower()
    for words, secret in _SECRETS:
        if any(word in plain for word in words):
            text = secret.sub(r"\1***", text)
    return text


def configure_logging(level: str) -> None:
    """Send every log, ours and the libraries', to standard error as JSON lines."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        # Without local variables: they hold payloads and credentials.
        structlog.processors.format_exc_info,
        _without_rows,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
                _redacted,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # One line for each ring and each request would drown what operators look for.
    for chatty in ("arq", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # A traceback for each try while PostgreSQL is away, of which `outage.began` tells.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)


def _without_rows(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    if "exception" in event:
        event["exception"] = _DETAIL.sub("", event["exception"])
    return event


def _redacted(_: WrappedLogger, __: str, line: object) -> str:
    return redact(str(line))
