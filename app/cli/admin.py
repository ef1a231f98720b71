"""Manage tenants and keys on the database itself, even without a key for the API.

python -m app.cli.admin tenant|key …, or ./start.sh admin …
"""

import argparse
import asyncio
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from app.auth.model import Scope
from app.db import Pool, open_pool
from app.environment import InvalidSetting, load_settings
from app.errors import CrivoError, clipped
from app.keys import service as keys
from app.keys.bootstrap import operator
from app.keys.model import CreateKey, parse_key_id
from app.outages import DatabaseUnavailable
from app.pagination import MAX_PAGE
from app.settings import Settings
from app.tenants import service as tenants
from app.tenants.model import ChangeTenant, CreateTenant
from app.validation import InvalidTexts, convert_texts, refused

T = TypeVar("T")

_MAX_DAYS: Final = 36_500
_COMMANDS_FOR_ROUTES: Final = {
    "GET /tenants": "./start.sh admin tenant list",
    "GET /keys": "./start.sh admin key list",
}
_DESCRIPTION: Final = """\
Create and list tenants and API keys in the database of DATABASE_URL. ./start.sh admin uses the
embedded database, ./start.sh compose admin that of the containers. A new key is printed to
standard output, and cannot be shown again.
"""
_EXAMPLES: Final = """\
examples:
  ./start.sh admin key create --all                        an operator's key: every scope
  ./start.sh admin tenant create acme
  ./start.sh admin key create --tenant acme --scope read --scope executions:write --days 90
  ./start.sh admin key revoke 01a1fbeb-e362-742d-9594-29c5a8afd450
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return 0 if it is done, 1 if it is refused, 2 if it cannot be tried."""
    options = _parser().parse_args(arguments)
    try:
        return asyncio.run(_run_on_database(_settings(), options))
    except CrivoError as error:
        sys.stderr.write(f"crivo-admin: {_for_the_command_line(str(error))}\n")
        return 2 if isinstance(error, InvalidSetting | DatabaseUnavailable) else 1


def _settings() -> Settings:
    settings = load_settings()
    if not settings.database_url:
        raise InvalidSetting(
            "DATABASE_URL is not set; ./start.sh admin sets it for the embedded server"
        )
    return settings


async def _run_on_database(settings: Settings, options: argparse.Namespace) -> int:
    async with open_pool(settings) as pool:
        for line in await _run(pool, options):
            sys.stdout.write(f"{line}\n")
    return 0


async def _run(pool: Pool, options: argparse.Namespace) -> list[str]:
    async with pool.acquire() as conn:
        match options.noun, options.verb:
            case "tenant", "create":
                new = _read(CreateTenant, name=options.name, weight=options.weight)
                tenant = await tenants.create(conn, operator(), new)
                return [f"{tenant.id}  {tenant.name}"]
            case "tenant", "suspend" | "resume":
                change = ChangeTenant(suspended=options.verb == "suspend")
                changed = await tenants.change(conn, operator(), options.name, change)
                state = "suspended" if changed.suspended_at else "active"
                return [f"{changed.id}  {changed.name}  {state}"]
            case "key", "create":
                days = options.days
                expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
                new_key = _read(
                    CreateKey,
                    tenant=options.tenant,
                    name=options.name,
                    scopes=list(Scope) if options.all else options.scope,
                    expires_at=expires_at,
                )
                created_key = await keys.create(conn, operator(), new_key)
                sys.stderr.write(f"crivo-admin: key {created_key.id}; it is not shown again:\n")
                return [created_key.key]
            case "key", "revoke":
                revoked = await keys.revoke(conn, operator(), parse_key_id(options.id))
                return [f"{revoked.id}  revoked"]
            case _:
                pass
    return await (
        _list_tenants(pool) if options.noun == "tenant" else _list_keys(pool, options.tenant)
    )


async def _list_tenants(pool: Pool) -> list[str]:
    lines: list[str] = []
    cursor = None
    while True:
        page = await tenants.list_tenants(pool, cursor=cursor, limit=MAX_PAGE)
        for each in page.items:
            state = "suspended" if each.suspended_at else "active"
            lines.append(f"{each.id}  {each.name:20}  weight {each.weight}  {state}")
        cursor = page.next_cursor
        if cursor is None:
            return lines


async def _list_keys(pool: Pool, tenant: str | None) -> list[str]:
    lines: list[str] = []
    cursor = None
    while True:
        page = await keys.list_keys(pool, tenant=tenant, cursor=cursor, limit=MAX_PAGE)
        for each in page.items:
            state = "valid"
            if each.revoked_at is not None:
                state = "revoked"
            elif each.expires_at is not None and each.expires_at <= datetime.now(UTC):
                state = "expired"
            used = f"used {each.last_used_at:%F %T}" if each.last_used_at else "never used"
            scopes = ",".join(each.scopes)
            lines.append(f"{each.id}  {each.tenant_id}  {state}  {used}  {scopes}  {each.name}")
        cursor = page.next_cursor
        if cursor is None:
            return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="crivo-admin",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    nouns = parser.add_subparsers(dest="noun", required=True)
    tenant = nouns.add_parser("tenant").add_subparsers(dest="verb", required=True)
    create = tenant.add_parser("create", help="create a tenant")
    create.add_argument("name")
    create.add_argument(
        "--weight", type=int, default=100, help="its share relative to other tenants"
    )
    tenant.add_parser("list", help="list tenants")
    for verb, effect in (("suspend", "refuse a tenant's keys"), ("resume", "accept them again")):
        tenant.add_parser(verb, help=effect).add_argument("name", help="its name or id")
    key = nouns.add_parser("key").add_subparsers(dest="verb", required=True)
    new = key.add_parser("create", help="create a key and print it")
    new.add_argument("--tenant", default="default", help="its name or id")
    new.add_argument("--name", default="", help="the purpose of the key")
    new.add_argument(
        "--days", type=_days, metavar="N", help="days until the key expires; default: never"
    )
    scopes = new.add_mutually_exclusive_group(required=True)
    scopes.add_argument("--all", action="store_true", help="every scope")
    scopes.add_argument(
        "--scope",
        action="append",
        choices=[str(each) for each in Scope],
        help="a scope of the key; can be repeated",
    )
    key.add_parser("list", help="list keys").add_argument("--tenant", help="its name or id")
    key.add_parser("revoke", help="revoke a key permanently").add_argument("id")
    return parser


def _days(text: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_DAYS))
    if not is_number or not 1 <= int(text) <= _MAX_DAYS:
        message = f"{clipped(text)!r} is not a number of days from 1 to {_MAX_DAYS}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _for_the_command_line(message: str) -> str:
    """Name commands instead of the API's routes, and arguments instead of JSON pointers."""
    for route, command in _COMMANDS_FOR_ROUTES.items():
        message = message.replace(f"{route} lists", f"{command} shows")
    return re.sub(r"(^|; )/(\w+): ", r"\1\2: ", message)


def _read(shape: type[T], **members: object) -> T:
    """Validate arguments as the API validates a body. Raises InvalidSetting."""
    try:
        return convert_texts(members, shape)
    except InvalidTexts as error:
        raise InvalidSetting(refused(error.faults).detail) from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
