"""Configure logging: one JSON object per line on standard error, without secrets."""

import logging
import re
import sys
from typing import Final

import structlog
from structlog.typing import EventDict, WrappedLogger

# Patterns of secrets. What follows the first group is removed. A line without any of the words,
# as nearly all are, is not searched: that would cost more than the rest of writing it.
_SECRETS: Final = (
    # API keys. The id in front stays: the audit log has it as well.
    (("crv_",), re.compile(r"(crv_[0-9A-Fa-f]{1,32}_)[A-Za-z0-9_-]+")),
    # Tokens for event streams. The execution's id stays.
    (("evt_",), re.compile(r"(evt_[0-9A-Fa-f]{1,32}_)[A-Za-z0-9_-]+")),
    # Secrets that sign callbacks.
    (("whsec_",), re.compile(r"(whsec_)[A-Za-z0-9+/=_-]+")),
    # Passwords in the URLs of PostgreSQL, Redis and blob stores.
    (("://",), re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@\"']*:)[^\s@\"']+(?=@)")),
    # The value of Authorization, as a header, a JSON member or a log field.
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
# PostgreSQL's DETAIL quotes rows: "Failing row contains (…)", "Key (name)=(…) already exists".
_DETAIL: Final = re.compile(
    r"\nDETAIL: .*?(?=\n\n|\nHINT: |\n[A-Za-z_.]+(?:Error|Exception)|\Z)", re.DOTALL
)


def redact(text: str) -> str:
    """Replace secrets in a text: keys, tokens, passwords, and credentials after Authorization."""
    lowered = text.lower()
    for words, pattern in _SECRETS:
        if any(word in lowered for word in words):
            text = pattern.sub(r"\1***", text)
    return text


def configure_logging(level: str) -> None:
    """Write every log record, also those of libraries, to standard error as a JSON line."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        # Without local variables: they contain payloads and credentials.
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
    # A line per job and per request would bury what operators look for.
    for chatty in ("arq", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # While PostgreSQL is unavailable: a traceback per attempt. `outage.began` reports the outage.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)


def _without_rows(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    if "exception" in event:
        event["exception"] = _DETAIL.sub("", event["exception"])
    return event


def _redacted(_: WrappedLogger, __: str, line: object) -> str:
    return redact(str(line))
