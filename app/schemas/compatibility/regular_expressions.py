"""Read the plain part of ECMA-262's regular expressions, and match in bounded time.

Tenants choose patterns, so none is given to a matcher that backtracks. What is read here (texts,
classes, groups, alternatives, quantifiers, anchors at the ends) matches by sets of positions. The
rest, such as lookarounds, references and properties of Unicode, stays unknown.
"""

import re
from functools import lru_cache
from typing import Final, TypeAlias

from msgspec import Struct

MAX_PATTERN: Final = 500
MAX_TEXT: Final = 200
MAX_REPEATS: Final = 100
MAX_STEPS: Final = 20_000
"""Of one match; a step looks at one position."""
_MAX_CODE: Final = 0x10FFFF

_DIGITS: Final = ((48, 57),)
_WORDS: Final = ((48, 57), (65, 90), (95, 95), (97, 122))
# ECMA-262: white space and ends of lines.
_SPACES: Final = (
    (9, 13), (32, 32), (160, 160), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029),
    (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF),
)  # fmt: skip
_LINE_ENDS: Final = ((10, 10), (13, 13), (0x2028, 0x2029))
_NUMBER: Final = re.compile(r"[0-9]+")
_CONTROLS: Final = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_SYNTAX: Final = frozenset("^$\\.*+?()[]{}|/")

Ranges: TypeAlias = tuple[tuple[int, int], ...]


class One(Struct, frozen=True):
    """One character of these ranges, or of all others."""

    ranges: Ranges
    negated: bool = False


class Anchor(Struct, frozen=True):
    """The beginning or the end of the text."""

    at_end: bool


class Sequence(Struct, frozen=True):
    """One after the other."""

    parts: tuple["Node", ...]


class Choice(Struct, frozen=True):
    """One of these."""

    options: tuple["Node", ...]


class Repeat(Struct, frozen=True):
    """Several in a row; ``most`` None: any number."""

    part: "Node"
    least: int
    most: int | None


Node: TypeAlias = One | Anchor | Sequence | Choice | Repeat


class _Unknown(Exception):
    """Not of the plain part."""


def matches(pattern: str, text: str) -> bool | None:
    """Say whether a text matches a pattern somewhere; None: unknown."""
    # Long ones are not even kept.
    if len(pattern) > MAX_PATTERN or len(text) > MAX_TEXT:
        return None
    return _matches(pattern, text)


@lru_cache(maxsize=8192)
def _matches(pattern: str, text: str) -> bool | None:
    node = _parsed(pattern)
    if node is None:
        return None
    try:
        return bool(_Matcher(text).ends(node, set(range(len(text) + 1))))
    except _Unknown:
        return None


def example(pattern: str) -> str | None:
    """Return a text that matches a pattern; None: unknown."""
    node = None if len(pattern) > MAX_PATTERN else _parsed(pattern)
    if node is None:
        return None
    try:
        text = _shortest(node)
    except _Unknown:
        return None
    # An anchor in the middle may refuse what was put together.
    return text if matches(pattern, text) else None


@lru_cache(maxsize=256)
def _parsed(pattern: str) -> Node | None:
    try:
        return _Parser(pattern).parse()
    except (_Unknown, RecursionError):
        return None


class _Matcher:
    """Matches one text, in so many steps at most."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._left = MAX_STEPS

    def ends(self, node: Node, starts: set[int]) -> set[int]:
        """Return the positions at which a match from one of these may end."""
        self._left -= 1 + len(starts)
        if self._left < 0:
            raise _Unknown
        text = self._text
        match node:
            case One():
                return {s + 1 for s in starts if s < len(text) and _has(node, ord(text[s]))}
            case Anchor(at_end=at_end):
                return starts & {len(text) if at_end else 0}
            case Sequence(parts=parts):
                for part in parts:
                    starts = self.ends(part, starts)
                return starts
            case Choice(options=options):
                return {end for option in options for end in self.ends(option, starts)}
            case Repeat():
                return self._repeated(node, starts)

    def _repeated(self, node: Repeat, starts: set[int]) -> set[int]:
        for _ in range(node.least):
            starts = self.ends(node.part, starts)
        found, reached = set(starts), starts
        more = len(self._text) + 1 if node.most is None else node.most - node.least
        for _ in range(more):
            reached = self.ends(node.part, reached) - found
            if not reached:
                break
            found |= reached
        return found


def _has(one: One, code: int) -> bool:
    return any(low <= code <= high for low, high in one.ranges) != one.negated


def _shortest(node: Node) -> str:
    found = ""
    match node:
        case One():
            codes = [ord(c) for c in "aA0 -_."] + [code for r in _ranges(node) for code in r]
            found = "".join([chr(c) for c in codes if _has(node, c)][:1])
        case Anchor():
            pass
        case Sequence(parts=parts):
            found = "".join(map(_shortest, parts))
        case Choice(options=options):
            found = min(map(_shortest, options), key=len)
        case Repeat(part=part, least=least):
            found = _shortest(part) * least
    if len(found) > MAX_TEXT:
        raise _Unknown
    return found


def _ranges(one: One) -> Ranges:
    """Return ranges whose ends are worth a try: those outside, if it is negated."""
    if not one.negated:
        return one.ranges
    return tuple((max(low - 1, 0), min(high + 1, _MAX_CODE)) for low, high in one.ranges)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def parse(self) -> Node:
        found = self._choice()
        if self._at < len(self._text):
            raise _Unknown
        return found

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        found = self._peek()
        if not found:
            raise _Unknown
        self._at += 1
        return found

    def _choice(self) -> Node:
        options = [self._sequence()]
        while self._peek() == "|":
            self._take()
            options.append(self._sequence())
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._peek() not in {"", "|", ")"}:
            parts.append(self._quantified(self._atom()))
        return Sequence(tuple(parts))

    def _atom(self) -> Node:
        match self._take():
            case "^" | "$" as sign:
                return Anchor(at_end=sign == "$")
            case "(":
                return self._group()
            case "[":
                return self._class()
            case ".":
                return One(_LINE_ENDS, negated=True)
            case "\\":
                return self._escape()
            case plain:
                return self._plain(plain)

    def _plain(self, letter: str) -> One:
        if letter in _SYNTAX and letter != "/":
            raise _Unknown
        return One(((ord(letter),) * 2,))

    def _group(self) -> Node:
        if self._peek() == "?":
            self._take()
            if self._take() != ":":
                raise _Unknown
        found = self._choice()
        if self._take() != ")":
            raise _Unknown
        return found

    def _escape(self) -> One:
        letter = self._take()
        shorthands = {"d": _DIGITS, "w": _WORDS, "s": _SPACES}
        if letter.lower() in shorthands:
            return One(shorthands[letter.lower()], negated=letter.isupper())
        if letter in _CONTROLS:
            return One(((_CONTROLS[letter],) * 2,))
        # `-` is one inside a class only, which is not told apart here.
        if letter in _SYNTAX or letter == "-":
            return One(((ord(letter),) * 2,))
        raise _Unknown

    def _class(self) -> One:
        negated = self._peek() == "^"
        if negated:
            self._take()
        ranges: list[tuple[int, int]] = []
        while self._peek() != "]":
            low = self._class_atom()
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] != "]":
                self._take()
                high = self._class_atom()
                if len(low) != 1 or len(high) != 1 or low[0][0] > high[0][1]:
                    raise _Unknown
                ranges.append((low[0][0], high[0][1]))
            else:
                ranges += low
        self._take()
        return One(tuple(ranges), negated=negated)

    def _class_atom(self) -> Ranges:
        letter = self._take()
        if letter != "\\":
            return ((ord(letter), ord(letter)),)
        found = self._escape()
        if found.negated:
            raise _Unknown
        return found.ranges

    def _quantified(self, atom: Node) -> Node:
        sign = self._peek()
        if sign not in {"*", "+", "?", "{"} or not sign:
            return atom
        self._take()
        least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(sign) or self._bounds()
        if self._peek() == "?":
            self._take()  # lazy: the same texts match
        if isinstance(atom, Anchor) or max(least, most or 0) > MAX_REPEATS:
            raise _Unknown
        return Repeat(atom, least, most)

    def _bounds(self) -> tuple[int, int | None]:
        inside, closed, _ = self._text[self._at :].partition("}")
        low, comma, high = inside.partition(",")
        if not closed or not _NUMBER.fullmatch(low) or not (_NUMBER.fullmatch(high) or not high):
            raise _Unknown
        self._at += len(inside) + 1
        least = int(low)
        if not comma:
            return least, least
        return least, int(high) if high else None
