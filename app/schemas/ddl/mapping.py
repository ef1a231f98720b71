"""Map schemas to types of columns."""

from collections.abc import Sequence
from typing import Final
from unicodedata import category

from msgspec.structs import replace

from app.schemas.compatibility.budget import Budget, Undecidable
from app.schemas.compatibility.clauses import Clause, Mode, Shape
from app.schemas.compatibility.normal_form import NormalForm
from app.schemas.compatibility.reading import is_empty, is_free, item, listed_items, member
from app.schemas.ddl.scalars import number, text, widen
from app.schemas.ddl.types import (
    Field,
    Kind,
    ListOf,
    MapOf,
    NoType,
    Scalar,
    StructOf,
    Type,
)
from app.schemas.document import SchemaDocument, SchemaProblem
from app.schemas.library import At, Library

MAX_STEPS: Final = 20_000
MAX_TYPES: Final = 5_000
"""Of one statement, inner types included: references multiply."""
MAX_NAME: Final = 255
"""Characters of a name, as the Glue catalog has it."""
_UNWRITABLE: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, halves of characters, and what ends lines and paragraphs."""


def columns(document: SchemaDocument, *, untyped: Type | None = None) -> tuple[Field, ...]:
    """Return the columns of a table of documents: one for each registered field.

    ``untyped``: the type of columns that have none.

    Raises:
        NoType: the schema describes no object, or, without ``untyped``, a part of it has no type.
    """
    # Which fields are refused does not matter here: those that are registered become columns.
    open_document = replace(document, strict=frozenset())
    try:
        form = NormalForm(Library(open_document), _budget())
        mapper = _Mapper(form, untyped=untyped)
        return mapper.columns()
    except (Undecidable, SchemaProblem) as problem:
        raise NoType(problem.pointer, problem.message) from problem
    except RecursionError as error:
        raise NoType("", "nests too deep") from error


def _budget() -> Budget:
    return Budget(MAX_STEPS, message="is too large or too deep to be a table")


class _Mapper:
    def __init__(self, form: NormalForm, *, untyped: Type | None) -> None:
        self._form = form
        self._untyped = untyped
        self._inside: list[Shape] = []
        self._left = MAX_TYPES

    def columns(self) -> tuple[Field, ...]:
        found, _ = self._of(self._form.root(), "")
        if not isinstance(found, StructOf):
            raise NoType("", "a table needs an object with fields")
        return found.fields

    def _of(self, shape: Shape, pointer: str) -> tuple[Type | None, bool]:
        """Return the type of a shape, and whether it may be null; None: it is always null."""
        shape = frozenset(element for element in shape if element.mode is not Mode.POSSIBLE)
        pointer = self._pointer(shape, pointer)
        self._left -= 1
        if self._left < 0:
            raise NoType(pointer, f"the table has more than {MAX_TYPES} types")
        if shape in self._inside:
            raise NoType(pointer, "a type cannot contain itself")
        self._inside.append(shape)
        clauses = [c for c in self._form.clauses(shape) if not is_empty(self._form, c)]
        if not clauses:
            raise NoType(pointer, "no value is valid here")
        nullable = any(clause.type == "null" for clause in clauses)
        found = self._united([c for c in _meant(clauses) if c.type != "null"], pointer)
        self._inside.pop()
        return found, nullable

    def _pointer(self, shape: Shape, pointer: str) -> str:
        places = [self._form.library.location(At(element.place)) for element in shape]
        return min(places, key=lambda text: (len(text), text), default=pointer)

    def _united(self, clauses: Sequence[Clause], pointer: str) -> Type | None:
        found: Type | None = None
        for clause in clauses:
            one = self._type(clause, pointer)
            found = one if found is None else unite(found, one, pointer)
        if found == StructOf(()):
            raise NoType(pointer, "an object without fields has no type")
        return found

    def _type(self, clause: Clause, pointer: str) -> Type:
        match clause.type:
            case "boolean":
                return Scalar(Kind.BOOLEAN)
            case "number":
                return number(clause)
            case "string":
                return text(clause)
            case "array":
                return self._array(clause, pointer)
            case _:
                return self._object(clause, pointer)

    def _array(self, clause: Clause, pointer: str) -> Type:
        if clause.values is not None:
            raise NoType(pointer, "has values that are arrays, and no schema of their items")
        indexes: list[int | None] = [*range(listed_items(clause))]
        if item(clause, None, self._form.budget) or not indexes:
            indexes.append(None)
        found: Type | None = None
        for index in indexes:
            shape = item(clause, index, self._form.budget)
            if any(element.place.schema is False for element in shape):
                continue
            one, _ = self._of(shape, pointer) if shape else (None, True)
            if one is None:
                raise NoType(pointer, "nothing is known of the items")
            found = one if found is None else unite(found, one, pointer)
        if found is None:
            raise NoType(pointer, "there are no items")
        return ListOf(found)

    def _object(self, clause: Clause, pointer: str) -> Type:
        if clause.values is not None:
            raise NoType(pointer, "has values that are objects, and no schema of their members")
        names = [n for fields in clause.fields for n in fields.properties]
        fields = []
        for name in dict.fromkeys(names):
            self._form.budget.spend()
            field = self._field(clause, name)
            if field is not None:
                fields.append(field)
        others = self._others(clause)
        if fields:
            note = "further fields have no column" if others else ""
            return StructOf(tuple(fields), note=note)
        found: Type | None = None
        for shape in others:
            one, _ = self._of(shape, pointer)
            if one is None:
                raise NoType(pointer, "the values of the map are always null")
            found = one if found is None else unite(found, one, pointer)
        # Another alternative may have fields.
        return StructOf(()) if found is None else MapOf(found)

    def _others(self, clause: Clause) -> list[Shape]:
        found = [
            frozenset({element}) for fields in clause.fields for element in fields.patterns.values()
        ]
        rest = {rest.element for rest in clause.rests if rest.element is not None}
        if rest and not any(element.place.schema is False for element in rest):
            found.append(frozenset(rest))
        return found

    def _field(self, clause: Clause, name: str) -> Field | None:
        shape = member(clause, name, self._form.budget).over
        if shape is None or any(element.place.schema is False for element in shape):
            return None
        at = clause.at("object")
        pointer = self._pointer(shape, "" if at is None else self._form.library.location(at))
        if not 0 < len(name) <= MAX_NAME or any(category(c) in _UNWRITABLE for c in name):
            raise NoType(pointer, f"a name needs 1 to {MAX_NAME} characters, no control characters")
        depth = len(self._inside)
        try:
            found, nullable = self._member(shape, pointer)
        except NoType:
            if self._untyped is None or depth > 1:
                raise
            del self._inside[depth:]
            found, nullable = self._untyped, True
        return Field(name, found, pointer, nullable or name not in clause.required)

    def _member(self, shape: Shape, pointer: str) -> tuple[Type, bool]:
        found, nullable = self._of(shape, pointer)
        if found is None:
            raise NoType(pointer, "is always null")
        return found, nullable


def _meant(clauses: list[Clause]) -> list[Clause]:
    """Return the clauses of the types that a schema without `type` speaks of."""
    if {clause.type for clause in clauses} >= {"number", "string", "array", "object", "boolean"}:
        named = [c for c in clauses if not is_free(c) and c.type not in {"null", "boolean"}]
        return named or clauses
    return clauses


def unite(a: Type, b: Type, pointer: str) -> Type:
    """Return one type for the values of two.

    Raises:
        NoType: there is none.
    """
    if a == b:
        return a
    match a, b:
        case Scalar(), Scalar():
            found = widen(a, b)
            if found is not None:
                return found
        case ListOf(), ListOf():
            return ListOf(unite(a.item, b.item, pointer))
        case MapOf(), MapOf():
            return MapOf(unite(a.value, b.value, pointer))
        case StructOf(), StructOf():
            return _unite_structs(a, b, pointer)
        case _:
            pass
    raise NoType(pointer, f"may be {_name(a)} or {_name(b)}, and no type holds both")


def _unite_structs(a: StructOf, b: StructOf, pointer: str) -> Type:
    """One has all fields of the other: fields that an alternative adds may be missing."""
    left = {field.name: field for field in a.fields}
    right = {field.name: field for field in b.fields}
    if not (left.keys() <= right.keys() or right.keys() <= left.keys()):
        raise NoType(pointer, "has alternatives with different fields, and no type holds both")
    fields = []
    for name, field in (left if len(left) >= len(right) else right).items():
        if name in left and name in right:
            one, other = left[name], right[name]
            both = unite(one.type, other.type, field.pointer)
            fields.append(replace(one, type=both, nullable=one.nullable or other.nullable))
        else:
            fields.append(replace(field, nullable=True))
    return StructOf(tuple(fields), note=a.note or b.note)


def _name(of: Type) -> str:
    match of:
        case Scalar():
            return of.kind.value
        case ListOf():
            return "an array"
        case MapOf():
            return "a map"
        case _:
            return "an object with fields"
