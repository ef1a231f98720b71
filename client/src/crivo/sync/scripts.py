"""Scripts, synchronously."""

from collections.abc import Iterator
from typing import Unpack
from uuid import UUID

from crivo import script_flows as flows
from crivo.options import CheckOptions, PushOptions, Ref
from crivo.script_flows import Source
from crivo.script_models import Accepted, Alias, Pushed, Script, Version
from crivo.sync.calls import Calls


class Scripts(Calls):
    """Scripts, their versions and aliases. A `script` is an id or a name."""

    def push(self, name: str, source: Source, **options: Unpack[PushOptions]) -> Pushed:
        """Create a script, or add a version unless the newest one has this very source.

        `source` is text, bytes or the path of a file. Raises ScriptRejected with the findings.
        """
        return self._driver.do(flows.push(self._session, name, source, options))

    def check(
        self, source: Source, *, sample: bytes | None = None, **options: Unpack[CheckOptions]
    ) -> Accepted:
        """Check a source and run it on a sample, JSON bytes; nothing is stored."""
        return self._driver.do(flows.check(self._session, source, sample=sample, options=options))

    def show(self, script: Ref) -> Script:
        """Show a script."""
        return self._driver.do(flows.show(self._session, script))

    def list(self, *, name: str | None = None, archived: bool = False) -> Iterator[Script]:
        """List scripts, newest first; `name` is that of one."""
        return self._driver.pages(
            lambda cursor: flows.scripts_page(self._session, cursor, name=name, archived=archived)
        )

    def versions(self, script: Ref) -> Iterator[Version]:
        """List the versions of a script, newest first."""
        return self._driver.pages(lambda cursor: flows.versions_page(self._session, script, cursor))

    def version(self, script: Ref, selector: int | str = "latest") -> Version:
        """Show a version, by its number, an alias or `latest`."""
        return self._driver.do(flows.version(self._session, script, selector))

    def source(self, script: Ref, selector: int | str = "latest") -> bytes:
        """Read the source of a version, byte for byte."""
        return self._driver.do(flows.source(self._session, script, selector))

    def diff(self, script: Ref, old: int | str, new: int | str = "latest") -> str:
        """Compare the sources of two versions; a unified diff, empty if they are equal."""
        return self._driver.do(flows.diff(self._session, script, old, new))

    def aliases(self, script: Ref) -> Iterator[Alias]:
        """List the aliases of a script."""
        return self._driver.pages(lambda cursor: flows.aliases_page(self._session, script, cursor))

    def alias(self, script: Ref, name: str) -> Alias:
        """Show an alias."""
        return self._driver.do(flows.alias(self._session, script, name))

    def promote(
        self,
        script: Ref,
        alias: str,
        to: int | str = "latest",
        *,
        comparison: UUID | str | None = None,
        accept_differences: bool = False,
    ) -> Alias:
        """Point an alias at a version: a number, another alias or `latest`.

        With a comparison of the alias's version with that one, raises Conflict unless the
        comparison is clean, or its differences are accepted.
        """
        return self._driver.do(
            flows.promote(
                self._session,
                script,
                alias,
                to,
                comparison=comparison,
                accept_differences=accept_differences,
            )
        )

    def rollback(self, script: Ref, alias: str) -> Alias:
        """Point an alias at the version before its own."""
        return self._driver.do(flows.rollback(self._session, script, alias))

    def archive(self, script: Ref) -> Script:
        """Archive a script: it runs no more, and nothing of it is lost."""
        return self._driver.do(flows.set_archived(self._session, script, archived=True))

    def restore(self, script: Ref) -> Script:
        """Take a script out of the archive."""
        return self._driver.do(flows.set_archived(self._session, script, archived=False))
