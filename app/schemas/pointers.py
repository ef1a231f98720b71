"""Ways to the values of a JSON document, and the JSON pointers that write them (RFC 6901)."""

from msgspec import Struct


class Way(Struct, frozen=True, eq=False):
    """The tokens that lead to a value, as a linked list; by default those of the root: none.

    Ways share their beginnings: the pointers of all values can be far longer than the document.
    """

    outer: "Way | None" = None
    token: str | int = ""
    depth: int = 0

    def into(self, token: str | int) -> "Way":
        """Return the way to a member or an item of the value."""
        return Way(self, token, self.depth + 1)

    def pointer(self, *tail: str | int, max_characters: int | None = None) -> str:
        """Return the JSON pointer of a value, or of what the tail leads to; a longer one is cut."""
        tokens = list(reversed(tail))
        way = self
        while way.outer is not None:
            tokens.append(way.token)
            way = way.outer
        written, left = [], max_characters
        for token in reversed(tokens):
            part = f"/{escape_token(str(token))}"
            if left is not None and len(part) > left:
                written.append(f"{part[:left]}…")
                break
            written.append(part)
            left = None if left is None else left - len(part)
        return "".join(written)


def escape_token(token: str) -> str:
    """Write a member's name as a token of a JSON pointer."""
    return token.replace("~", "~0").replace("/", "~1")


def unescape_token(token: str) -> str:
    """Read a token of a JSON pointer."""
    return token.replace("~1", "/").replace("~0", "~")
