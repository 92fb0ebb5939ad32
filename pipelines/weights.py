"""What a config weighs before anything is built of it: with its parameters in place, and once for each variant."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pipelines.params import REFERENCE

#: Nobody needs to know how many more these are.
ENDLESS = 10**18
#: What a number, true, false or null counts for.
SCALAR_CHARACTERS = 8


class Weight(NamedTuple):
    """How much there is of a value."""

    values: int
    leaves: int
    """Those that a plan has a dotted path for, which says where they come from: all but what is in lists."""
    characters: int
    """Of texts, keys and dotted paths."""

    def plus(self, other: "Weight") -> "Weight":
        return Weight(self.values + other.values, self.leaves + other.leaves, self.characters + other.characters)

    def times(self, number: int) -> "Weight":
        return Weight(self.values * number, self.leaves * number, self.characters * number)


NOTHING = Weight(0, 0, 0)


@dataclass(frozen=True)
class ParamWeight:
    """What a parameter weighs in place of a whole value, and within a text."""

    value: Weight
    text_characters: int


class Scales:
    """Weighs values with their parameters in place, without putting them there."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = {name: ParamWeight(_weight(value, {}), len(_text(value))) for name, value in params.items()}

    def weight(self, value: Any) -> Weight:
        return _weight(value, self._params)


def _weight(value: Any, params: Mapping[str, ParamWeight]) -> Weight:
    if isinstance(value, str):
        return _text_weight(value, params)
    if isinstance(value, Mapping) and value:
        values, leaves, characters = 1, 0, 0
        for key, item in value.items():
            below, path = _weight(item, params), len(str(key)) + 1
            values, leaves = values + below.values, leaves + below.leaves
            characters += below.characters + path * (1 + below.leaves)
        return Weight(values, leaves, characters)
    if isinstance(value, list | tuple) and value:
        items = [_weight(item, params) for item in value]
        return Weight(1 + sum(item.values for item in items), 1, sum(item.characters for item in items))
    return Weight(1, 1, SCALAR_CHARACTERS)


def _text_weight(text: str, params: Mapping[str, ParamWeight]) -> Weight:
    if not params:
        return Weight(1, 1, len(text))
    whole = REFERENCE.fullmatch(text)
    if whole and (param := params.get(whole[1].removeprefix("params."))):
        return param.value
    characters = len(text)
    for found in REFERENCE.finditer(text):
        if param := params.get(found[1].removeprefix("params.")):
            characters += param.text_characters - len(found[0])
    return Weight(1, 1, characters)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


@dataclass(frozen=True)
class Fan:
    """What a matrix makes of a node, without making it."""

    variants: int
    config: Weight
    """Of all variants together."""
    name_characters: int
    """Of the names of all variants together."""


def fan_of(name: str, config: Weight, matrix: Mapping[str, list[Any]]) -> Fan:
    """Return what a node with a config of this weight becomes by a matrix."""
    variants = 1
    for values in matrix.values():
        variants *= len(values)
        if variants >= ENDLESS:
            return Fan(ENDLESS, config, 0)
    whole, names = config.times(variants), variants * (len(name) + 2)
    for key, values in matrix.items():
        shares = variants // len(values)
        characters = sum(len(json.dumps(value)) for value in values)
        whole = whole.plus(Weight(variants, variants, (characters + len(key) * len(values)) * shares))
        names += (characters + (len(key) + 2) * len(values)) * shares
    return Fan(variants, whole, names)
