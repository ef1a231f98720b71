"""Schemas, asynchronously."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Unpack

from crivo import schema_flows as flows
from crivo.aio.calls import AsyncCalls
from crivo.bodies import Body, Data
from crivo.options import CheckSchemaOptions, PushSchemaOptions, Ref, TableOptions
from crivo.schema_models import CheckedSchema, PushedSchema, Schema, SchemaVersion, Validated
from crivo.script_flows import Source
from crivo.script_models import Alias


class AsyncSchemas(AsyncCalls):
    """Schemas, their versions and aliases. A `schema` is an id, a name or a reference."""

    async def push(
        self, name: str, document: Source, **options: Unpack[PushSchemaOptions]
    ) -> PushedSchema:
        """Create a schema, or add a version unless the newest one has this very document.

        `document` is the text of a JSON Schema, its bytes or the path of its file. Raises
        SchemaRejected with its errors, Conflict if it lacks a demanded compatibility, ValueError
        if it is no JSON.
        """
        return await self._driver.do(flows.push(self._session, name, document, options))

    async def check(self, document: Source, **options: Unpack[CheckSchemaOptions]) -> CheckedSchema:
        """Check a schema, and compare it with a version; nothing is stored.

        Raises SchemaRejected with its errors, ValueError if it is no JSON.
        """
        return await self._driver.do(flows.check(self._session, document, options))

    async def diff(self, old: Ref, new: Ref | Path) -> CheckedSchema:
        """Compare a version with an older one: verdict and reasons.

        `new` is a reference or the path of a file, which is as strict as `old` is.
        """
        return await self._driver.do(flows.diff(self._session, old, new))

    async def show(self, schema: Ref) -> Schema:
        """Show a schema; by a reference also the version that it names."""
        return await self._driver.do(flows.show(self._session, schema))

    def list(self, *, name: str | None = None, archived: bool = False) -> AsyncIterator[Schema]:
        """List schemas, newest first; `name` is that of one."""
        return self._driver.pages(
            lambda cursor: flows.schemas_page(self._session, cursor, name=name, archived=archived)
        )

    def versions(self, schema: Ref) -> AsyncIterator[SchemaVersion]:
        """List the versions of a schema, newest first."""
        return self._driver.pages(lambda cursor: flows.versions_page(self._session, schema, cursor))

    async def version(self, schema: Ref, selector: int | str = "latest") -> SchemaVersion:
        """Show a version, by its number, an alias or `latest`."""
        return await self._driver.do(flows.version(self._session, schema, selector))

    async def document(self, schema: Ref) -> bytes:
        """Read the document of a version, byte for byte."""
        return await self._driver.do(flows.document(self._session, schema))

    async def ddl(
        self, schema: Ref, dialect: str = "athena", **options: Unpack[TableOptions]
    ) -> str:
        """Show the SQL that creates a table with a column for each field.

        `dialect` is athena, hive, duckdb or postgresql. Raises Refused, with the place of what has
        no type.
        """
        return await self._driver.do(flows.ddl(self._session, schema, dialect, options))

    def aliases(self, schema: Ref) -> AsyncIterator[Alias]:
        """List the aliases of a schema."""
        return self._driver.pages(lambda cursor: flows.aliases_page(self._session, schema, cursor))

    async def alias(self, schema: Ref, name: str) -> Alias:
        """Show an alias."""
        return await self._driver.do(flows.alias(self._session, schema, name))

    async def promote(self, schema: Ref, alias: str, to: int | str = "latest") -> Alias:
        """Point an alias at a version: a number, another alias or `latest`."""
        return await self._driver.do(flows.promote(self._session, schema, alias, to))

    async def demand(self, schema: Ref, compatibility: str) -> Schema:
        """Say what new versions must be: `none`, `backward`, `forward` or `full`."""
        return await self._driver.do(
            flows.change(self._session, schema, {"compatibility": compatibility})
        )

    async def archive(self, schema: Ref) -> Schema:
        """Archive a schema: nothing new can refer to it, and nothing of it is lost."""
        return await self._driver.do(flows.change(self._session, schema, {"archived": True}))

    async def restore(self, schema: Ref) -> Schema:
        """Take a schema out of the archive."""
        return await self._driver.do(flows.change(self._session, schema, {"archived": False}))

    async def validate(self, schema: Ref, data: Data, *, excerpts: bool = False) -> Validated:
        """Validate a document; with `excerpts`, errors show the beginning of the value."""
        return await self._driver.do(flows.validate(self._session, schema, data, excerpts=excerpts))

    async def validate_lines(
        self, schema: Ref, data: Data, *, excerpts: bool = False
    ) -> AsyncIterator[Validated]:
        """Validate lines of JSON of any number, and yield what is said of the invalid ones.

        `data` is as for a submission. The lines go in requests of a MiB each.
        """
        async for line, part in flows.async_line_parts(Body(data).achunks()):
            found = await self._driver.do(
                flows.validate_part(self._session, schema, part, first_line=line, excerpts=excerpts)
            )
            for each in found.lines:
                yield each
