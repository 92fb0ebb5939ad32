"""What a JSON schema from outside may be: of bounded size, whole in itself, and without patterns that take for ever.

Whoever follows such a schema, be it jsonschema or a grammar, fetches nothing and comes to an end.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import unquote

from agents.base.budgets import SCHEMA
from agents.base.patterns import compiled_pattern

Schema = Mapping[str, Any]
#: Keywords that hold a schema, a list of them, or a mapping to them.
ONE = frozenset(
    [
        "additionalItems",
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    ]
)
LISTED = frozenset(["allOf", "anyOf", "items", "oneOf", "prefixItems"])
NAMED = frozenset(["$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"])
#: Those of which what they hold applies to the same value, as a reference does.
IN_PLACE = frozenset(["allOf", "anyOf", "dependencies", "dependentSchemas", "else", "if", "not", "oneOf", "then"])
EXPONENT_MOST = 20
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
ANCHORS = ("$anchor", "$dynamicAnchor")
COUNTS = frozenset(
    ["maxContains", "maxItems", "maxLength", "maxProperties", "minContains", "minItems", "minLength", "minProperties"]
)
#: How JSON is written by a grammar (`x-guidance`, llguidance's own key): without blanks, or as Python writes it.
COMPACT = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}
SPACED = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
#: What a whole schema may call itself; it is read as 2020-12 whichever it is.
DRAFTS = ("draft-04/schema", "draft-06/schema", "draft-07/schema", "draft/2019-09/schema", "draft/2020-12/schema")


def bounded_schema(schema: Schema) -> Schema:
    """Return a schema without its own address, once it is known to be one that can be followed.

    Raises:
        ValueError: it is too large, refers to something outside of it or to itself without end, or has a pattern that
            RE2 can't run. The message has the place, as a JSON pointer.
    """
    _check_size(schema)
    whole = {key: value for key, value in schema.items() if key not in ("$schema", "$id")}
    _check_names(schema)
    walk = _Walk()
    walk.take(whole, "#")
    if walk.unevaluated and walk.has_name_patterns:
        raise ValueError(
            f"{walk.unevaluated}: `unevaluatedProperties` can't stand in a schema with `patternProperties`; "
            "use `additionalProperties`"
        )
    _check_multiples(walk.multiples)
    _check_expansions({place: list(walk.followed(place)) for place in walk.in_place})
    return whole


def _check_size(schema: Any) -> None:
    values, characters, level = 0, 0, [schema]
    for depth in range(SCHEMA.depth + 1):
        below: list[Any] = []
        for value in level:
            if isinstance(value, Mapping):
                characters += sum(len(str(key)) for key in value)
                below += value.values()
            elif isinstance(value, list | tuple):
                below += value
            else:
                characters += len(value) if isinstance(value, str) else 1
        values += len(level)
        if values + len(below) > SCHEMA.values or characters > SCHEMA.characters:
            raise ValueError(
                f"a schema has at most {SCHEMA.values:,} values and {SCHEMA.characters:,} characters; leave parts out"
            )
        if not below:
            return
        if depth == SCHEMA.depth:
            raise ValueError(f"a schema is nested at most {SCHEMA.depth} deep; make it flatter")
        level = below


def _check_names(schema: Schema) -> None:
    draft = schema.get("$schema")
    if draft is not None and str(draft).partition("://json-schema.org/")[2].removesuffix("#") not in DRAFTS:
        raise ValueError(f"#: no JSON Schema is called '{str(draft)[:100]}'; remove `$schema`")


@dataclass
class _Walk:
    """All schemas in a schema, by their place, a JSON pointer."""

    in_place: dict[str, list[str]] = field(default_factory=dict)
    """Place -> those of what applies to the same value there, without references."""
    references: dict[str, list[str]] = field(default_factory=dict)
    anchors: dict[str, str] = field(default_factory=dict)
    multiples: set[Decimal] = field(default_factory=set)
    unevaluated: str | None = None
    has_name_patterns: bool = False

    def take(self, schema: Any, place: str) -> None:
        """Take a schema and all below it; the size was checked, so this ends soon."""
        self.in_place[place] = []
        if not isinstance(schema, Mapping):
            return
        self._check(schema, place)
        for key, below, value in _below(schema):
            path = f"{place}/{below}"
            if key in IN_PLACE:
                self.in_place[place].append(path)
            self.take(value, path)

    def followed(self, place: str) -> Iterator[str]:
        """Yield the places of all that applies to the same value as what is at `place`.

        Raises:
            ValueError: a reference leads elsewhere than to a schema in here.
        """
        yield from self.in_place[place]
        for reference in self.references.get(place, ()):
            yield self._place_of(reference, place)

    def _check(self, schema: Schema, place: str) -> None:
        for key in ("$schema", "$id"):
            if key in schema:
                raise ValueError(
                    f"{place}: `{key}` can't stand in here; remove it, and refer to parts by `#/$defs/...`"
                )
        if schema.get("x-guidance", COMPACT) not in (COMPACT, SPACED):
            raise ValueError(f"{place}: `x-guidance` is {json.dumps(COMPACT)} or {json.dumps(SPACED)}; remove it")
        for key in COUNTS & schema.keys():
            count = schema[key]
            if isinstance(count, int | float) and not 0 <= count <= SCHEMA.count:
                raise ValueError(f"{place}: `{key}` is at most {SCHEMA.count:,}")
        multiple = schema.get("multipleOf")
        if isinstance(multiple, int | float) and multiple > 0:
            self.multiples.add(Decimal(str(multiple)).normalize())
        self._take_references(schema, place)
        patterns = schema.get("patternProperties")
        names = list(patterns) if isinstance(patterns, Mapping) else []
        self.has_name_patterns = self.has_name_patterns or bool(names)
        if "unevaluatedProperties" in schema:
            self.unevaluated = place
        for pattern in [*names, schema.get("pattern")]:
            if isinstance(pattern, str):
                _check_pattern(pattern, place)

    def _take_references(self, schema: Schema, place: str) -> None:
        for key in REFERENCES:
            reference = schema.get(key)
            if reference is None:
                continue
            if not isinstance(reference, str) or not reference.startswith("#"):
                raise ValueError(
                    f"{place}: `{key}` leads out of the schema; nothing is fetched: copy the part into `$defs` and "
                    "refer to it by `#/$defs/...`"
                )
            self.references.setdefault(place, []).append(reference)
        for key in ANCHORS:
            anchor = schema.get(key)
            if isinstance(anchor, str) and self.anchors.setdefault(f"#{anchor}", place) != place:
                raise ValueError(f"{place}: the anchor '{anchor[:100]}' is there twice; rename one")

    def _place_of(self, reference: str, place: str) -> str:
        target = unquote(reference)
        found = self.anchors.get(target, target)
        if found not in self.in_place:
            raise ValueError(f"{place}: there is no schema '{reference[:100]}' in here; put it into `$defs`")
        return found


def _below(schema: Schema) -> Iterator[tuple[str, str, Any]]:
    """Yield each schema right below one: the keyword, the rest of its pointer, and the schema."""
    for key, value in schema.items():
        if key in NAMED and isinstance(value, Mapping):
            yield from ((key, f"{key}/{_pointed(name)}", one) for name, one in value.items())
        elif key in LISTED and isinstance(value, list):
            yield from ((key, f"{key}/{place}", one) for place, one in enumerate(value))
        elif key in ONE:
            yield key, key, value


def _pointed(name: str) -> str:
    """Return a key as JSON pointers write it."""
    return name.replace("~", "~0").replace("/", "~1")


def _check_pattern(pattern: str, place: str) -> None:
    try:
        compiled_pattern(pattern)
    except ValueError as fault:
        raise ValueError(f"{place}: {fault}") from fault


def _check_multiples(multiples: set[Decimal]) -> None:
    """See that all `multipleOf` together leave few rests; one alone counts without its powers of ten."""
    exponents = [int(multiple.as_tuple().exponent) for multiple in multiples]
    if any(abs(exponent) > EXPONENT_MOST for exponent in exponents):
        raise ValueError(f"#: `multipleOf` is between 1e-{EXPONENT_MOST} and 1e{EXPONENT_MOST}")
    least = min(exponents, default=0)
    whole = math.lcm(*(int(multiple.scaleb(-least)) for multiple in multiples))
    if whole > SCHEMA.multiple:
        raise ValueError(
            f"#: a number would have to be a multiple of {whole:,} steps, by all `multipleOf` together; at most "
            f"{SCHEMA.multiple:,} can be followed"
        )


def _check_expansions(followed: Mapping[str, list[str]]) -> None:
    """See that what applies to one value, with all references in place, comes to an end, and soon."""
    found: dict[str, _Expanded] = {}
    for start in followed:
        _expand(start, followed, found)
    for place in followed:
        expanded = found[place]
        if expanded.parts > SCHEMA.expansions or expanded.chain > SCHEMA.chain:
            raise ValueError(
                f"{place}: with its references in place this has more than {SCHEMA.expansions:,} parts, or is "
                f"more than {SCHEMA.chain} deep; refer less often"
            )


class _Expanded(NamedTuple):
    """How many schemas apply to a value at a place, and how many of them each by the one before."""

    parts: int
    chain: int


def _expand(start: str, followed: Mapping[str, list[str]], found: dict[str, _Expanded]) -> None:
    """Find what `start` stands for, and all on the way there; without recursion, since a chain may be long."""
    waiting: dict[str, None] = {}
    stack = [start]
    while stack:
        place = stack[-1]
        if place in found:
            stack.pop()
            continue
        waiting[place] = None
        unknown = [other for other in followed[place] if other not in found]
        if not unknown:
            parts = [found[other] for other in followed[place]]
            chain = 1 + max((part.chain for part in parts), default=0)
            found[place] = _Expanded(1 + sum(part.parts for part in parts), chain)
            waiting.pop(stack.pop())
        elif ring := next((other for other in unknown if other in waiting), None):
            raise ValueError(f"{ring}: this refers to itself without end; refer from a property or an item")
        else:
            stack += unknown
