"""Look for a document that one version accepts and the other refuses."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import count, islice
from math import isfinite
from typing import Any, Final

from app.schemas.compatibility.clauses import Clause, Shape, canonical
from app.schemas.compatibility.normal_form import NormalForm
from app.schemas.compatibility.reading import FORMAT_EXAMPLES, holds, item, listed_items, member
from app.schemas.compatibility.regular_expressions import example

_MAX_SAMPLES: Final = 24
_MAX_SIZE: Final = 256
_NOTHING: Final[Shape] = frozenset()
_ANY: Final[tuple[Any, ...]] = (None, True, 0, 0.5, "", "a", [], {})


class Witnesses:
    """Builds documents of `source` from what both versions demand, and tries them."""

    def __init__(self, source: NormalForm, target: NormalForm) -> None:
        """Know both sides."""
        self._source, self._target, self._budget = source, target, source.budget
        self._known: dict[tuple[Shape, Shape], list[Any]] = {}

    def find(self) -> tuple[Any] | None:
        """Return a document that `source` accepts and `target` refuses, or None."""
        a, b = self._source.root(), self._target.root()
        for document in self.samples():
            if holds(self._source, a, document) and holds(self._target, b, document) is False:
                return (document,)
        return None

    def samples(self) -> list[Any]:
        """Return the documents that are tried."""
        return self._samples(self._source.root(), self._target.root())

    def _samples(self, a: Shape, b: Shape) -> list[Any]:
        """Return values of a shape, few and different; none below a shape that contains itself."""
        if (a, b) not in self._known:
            self._known[a, b] = []
            self._known[a, b] = self._find_samples(a, b)
        return self._known[a, b]

    def _find_samples(self, a: Shape, b: Shape) -> list[Any]:
        theirs = self._target.clauses(b)
        found: dict[str, Any] = {}
        for clause in self._source.clauses(a):
            others = [other for other in theirs if other.type == clause.type]
            for value in islice(self._of_clause(clause, others), 4 * _MAX_SAMPLES):
                if holds(self._source, a, value):
                    found.setdefault(canonical(value), value)
                if len(found) >= 3 * _MAX_SAMPLES:
                    break
        # What the other version refuses comes first: larger documents are built from it.
        refused: list[Any] = []
        rest: list[Any] = []
        for text in sorted(found, key=len):
            value = found[text]
            refuses = b and holds(self._target, b, value) is False
            (refused if refuses else rest).append(value)
        return (refused[: _MAX_SAMPLES // 2] + rest)[:_MAX_SAMPLES]

    def _of_clause(self, a: Clause, others: Sequence[Clause]) -> Iterator[Any]:
        if a.values is not None:
            yield from a.values.values()
            return
        for other in others:
            yield from (other.values or {}).values()
        match a.type:
            case "number":
                yield from _numbers([a, *others])
            case "string":
                yield from self._texts(a, others)
            case "array":
                yield from self._arrays(a, others)
            case _:
                yield from self._objects(a, others)

    def _arrays(self, a: Clause, others: Sequence[Clause]) -> Iterator[Any]:
        lengths = _sizes(a, others)
        listed = max(listed_items(clause) for clause in (a, *others)) if others else listed_items(a)
        samples: list[list[Any]] = []
        for index in range(max([*lengths, listed + 1])):
            if index > listed:
                samples.append(samples[listed])
                continue
            b = item(others[0], index, self._budget) if others else _NOTHING
            samples.append(self._samples(item(a, index, self._budget), b))
        for length in lengths:
            base = [values[0] for values in samples[:length] if values]
            if len(base) == length:
                yield base
                # For unique items: different ones, as far as there are some.
                yield [values[i % len(values)] for i, values in enumerate(samples[:length])]
        for index in range(listed + 1):
            self._budget.spend(1 + index)
            base = [values[0] for values in samples[:index] if values]
            for value in samples[index] if len(base) == index else ():
                tail = [v[0] for v in samples[index + 1 : int(a.min_size)] if v]
                yield [*base, value, *tail]

    def _objects(self, a: Clause, others: Sequence[Clause]) -> Iterator[Any]:
        names = sorted(a.names() | {name for other in others for name in other.names()})
        self._budget.spend(len(names))
        known = set(names)
        fresh = next(name for name in _fresh_names() if name not in known)
        samples = {name: self._of_member(a, others, name) for name in [*names, fresh]}
        base = {}
        for name in sorted(a.required):
            if not samples[name]:
                return
            base[name] = samples[name][0]
        yield dict(base)
        for name, values in samples.items():
            for value in values:
                yield {**base, name: value}
        for name, values in samples.items():
            if values and name not in base:
                base[name] = values[0]
            yield dict(base)
        for size in _sizes(a, others):
            extra = islice(
                (n for n in _fresh_names() if n not in known), max(0, size - len(a.required))
            )
            wide = {name: base[name] for name in a.required}
            yield {**wide, **{name: samples[fresh][0] for name in extra if samples[fresh]}}

    def _of_member(self, a: Clause, others: Sequence[Clause], name: str) -> Sequence[Any]:
        mine = member(a, name, self._budget).over
        if mine is None:
            return ()
        theirs = (member(others[0], name, self._budget).under if others else None) or _NOTHING
        if not mine:
            return [*self._of_other(theirs), *_ANY]
        return self._samples(mine, theirs)

    def _of_other(self, shape: Shape) -> Iterable[Any]:
        """Return values on both sides of what the other version demands."""
        for clause in self._target.clauses(shape):
            if clause.values is not None:
                yield from islice(clause.values.values(), 3)
            elif clause.type == "number":
                yield from _numbers([clause])

    def _texts(self, a: Clause, others: Sequence[Clause]) -> Iterator[str]:
        for name in FORMAT_EXAMPLES:
            if name in a.formats:
                yield FORMAT_EXAMPLES[name]
        for pattern in (*a.patterns, *(p for other in others for p in other.patterns)):
            self._budget.spend()
            found = example(pattern)
            if found is not None:
                yield found
        for size in _sizes(a, others):
            yield "a" * size
        for clause in others:
            yield from (FORMAT_EXAMPLES[name] for name in clause.formats if name in FORMAT_EXAMPLES)


def _fresh_names() -> Iterator[str]:
    for index in count():
        yield f"other{index or ''}"


def _numbers(clauses: Sequence[Clause]) -> Iterator[float]:
    """Yield numbers near the bounds, as doubles hold them."""
    for number in _near(clauses):
        try:
            rounded = float(number)
        except OverflowError:
            continue
        if isfinite(rounded):
            yield int(rounded) if rounded.is_integer() else rounded


def _near(clauses: Sequence[Clause]) -> Iterator[float]:
    yield 0
    for clause in clauses:
        bounds = [bound[0] for bound in (clause.lower, clause.upper) if bound is not None]
        for bound in bounds:
            yield from (bound, bound + 1, bound - 1, bound + 0.5, bound - 0.5)
            yield from (bound // 1, -(-bound // 1))
        for of in clause.multiples:
            yield from (of, 2 * of, 3 * of, -of)
            yield from (_multiple(b, of, step) for b in bounds for step in (0, 1, 2))
    yield from (1, -1, 0.5, 2**40, -(2**40))


def _multiple(bound: float, of: float, step: int) -> float:
    try:
        return (bound // of + step) * of
    except OverflowError:
        return of


def _sizes(a: Clause, others: Sequence[Clause]) -> list[int]:
    found = {int(a.min_size), 0, 1}
    for clause in (a, *others):
        for size in (clause.min_size, clause.max_size):
            if size is not None:
                found.update((int(size) - 1, int(size), int(size) + 1))
    return sorted(size for size in found if a.min_size <= size <= _MAX_SIZE)
