"""Read the text of a tree's nodes."""

from tree_sitter import Node


class SourceText:
    """A source's bytes, by the nodes of its tree."""

    def __init__(self, source: bytes) -> None:
        """Take the source."""
        self._source = source
        # A name has escapes (`\u0061`), so equal names can be spelled differently.
        self.has_escapes = False

    def bytes_of(self, node: Node) -> bytes:
        """Return a node's bytes."""
        return self._source[node.start_byte : node.end_byte]

    def name_of(self, node: Node) -> str:
        """Return the name that a node is, and note whether it has escapes."""
        name = self.bytes_of(node)
        if b"\\" in name:
            self.has_escapes = True
        return name.decode("utf-8", "replace")
