"""A system that requires API keys."""

import asyncio
from collections.abc import Sequence
from typing import Any, Self
from uuid import UUID

import asyncpg
import httpx
from msgspec import Struct

from app.auth.model import Scope
from app.keys.model import new_key
from tests.support.system import System, until

WORKING = tuple(scope for scope in Scope if scope is not Scope.ADMIN)


class CreatedTestKey(Struct, frozen=True):
    """A created key: its secret text and its id."""

    key: str
    id: UUID


class SystemWithKeys:
    """A system with an admin key from its settings; requests carry that key or another."""

    def __init__(self, system: System, *, admin_key: str | None = None) -> None:
        self.system = system
        self.admin_key = admin_key or new_key()
        system.environ |= {"CRIVO_AUTH": "keys", "CRIVO_ADMIN_KEY": self.admin_key}

    def start(self) -> Self:
        self.system.start()
        return self

    def request(
        self,
        method: str,
        path: str,
        key: str | None = None,
        **what: Any,  # noqa: ANN401 - httpx's
    ) -> httpx.Response:
        """Send with `key`: by default the admin's, and none if it is empty."""
        headers = {**self.authorized(key), **what.pop("headers", {})}
        return self.system.client.request(method, path, headers=headers, **what)

    def get(self, path: str, key: str | None = None, **what: Any) -> httpx.Response:  # noqa: ANN401
        return self.request("GET", path, key, **what)

    def post(self, path: str, key: str | None = None, **what: Any) -> httpx.Response:  # noqa: ANN401
        return self.request("POST", path, key, **what)

    def authorized(self, key: str | None = None) -> dict[str, str]:
        key = self.admin_key if key is None else key
        return {"Authorization": f"Bearer {key}"} if key else {}

    def tenant(self, name: str) -> str:
        """Create a tenant, and return its id."""
        answer = self.post("/tenants", json={"name": name})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def key(self, tenant: str, scopes: Sequence[Scope] = WORKING, **more: object) -> CreatedTestKey:
        """Create a key of a tenant."""
        answer = self.post("/keys", json={"tenant": tenant, "scopes": list(scopes), **more})
        assert answer.status_code == 201, answer.text
        return CreatedTestKey(answer.json()["key"], UUID(answer.json()["id"]))

    def execute(self, statement: str, *values: object) -> None:
        """Change the database without the API."""

        async def run() -> None:
            connection = await asyncpg.connect(self.system.environ["DATABASE_URL"])
            try:
                await connection.execute(statement, *values)
            finally:
                await connection.close()

        asyncio.run(run())

    def becomes(self, status: int, key: str, *, url: str = "") -> httpx.Response:
        """Poll until requests with a key get this status: changes take a moment to propagate."""
        for _ in until(f"the key's requests are answered {status}"):
            answer = self.get(f"{url}/scripts", key)
            if answer.status_code == status:
                return answer
        raise AssertionError
