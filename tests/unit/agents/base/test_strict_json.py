"""Whatever an agent says or a stream holds: it comes out as JSON that a strict reader takes, within its bounds."""

import json
import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.base.strict_json import RECORD, WHOLE, Bounds, clean, decode, encode, finite_number

TEXTS = st.text(st.characters(categories=("L", "N", "P", "S", "Z", "C", "M")), max_size=60)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["1"]).map(lambda _: 10**5000)
    | st.floats()
    | TEXTS
    | st.binary(max_size=20)
    | st.decimals()
)
VALUES = st.recursive(
    SCALARS,
    lambda below: (
        st.lists(below, max_size=5)
        | st.dictionaries(TEXTS | st.integers() | st.floats() | st.none() | st.binary(max_size=3), below, max_size=5)
        | st.frozensets(st.integers(), max_size=3)
    ),
    max_leaves=30,
)
SMALL = Bounds(characters=60, text_characters=20, depth=3)


def refused(word: str) -> Any:
    raise AssertionError(f"{word} is not JSON")


def strictly(text: str) -> Any:
    """Read JSON as a reader in another language does."""
    value = json.loads(text, parse_constant=refused)
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return value


def depth_of(value: Any) -> int:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if below is None else 1 + max(map(depth_of, below), default=0)


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for below in value.values():
            yield from texts_in(below)
    elif isinstance(value, list):
        for below in value:
            yield from texts_in(below)


@given(VALUES, st.sampled_from([WHOLE, RECORD, SMALL]))
def test_any_value_becomes_strict_json_and_stays_what_it_became(value: Any, bounds: Bounds) -> None:
    found = encode(value, bounds)
    read = strictly(found.text)

    assert encode(read, bounds) == (again := encode(read, bounds))
    assert (json.loads(again.text), again.replaced, again.cut) == (read, 0, 0)
    assert decode(found.text, bounds).value == read


@given(VALUES)
def test_bounds_hold(value: Any) -> None:
    found = clean(value, SMALL).value
    escaped = json.dumps(found)

    if len(escaped) > SMALL.characters or "\\ud" in escaped:
        assert depth_of(found) <= SMALL.depth
        assert all(len(text) <= 200 for text in texts_in(found))


@given(st.dictionaries(TEXTS, st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS.filter(str.isascii)))
def test_what_is_fine_is_not_touched(value: dict[str, Any]) -> None:
    written = json.loads(json.dumps(value)) if all(map(str.isascii, value)) else None
    if written is not None:
        assert (encode(value).text, clean(value).value is value) == (json.dumps(value), True)


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        ("a\ud800b", "a\ufffdb"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        (b"bytes \xff", "bytes \ufffd"),
        (Path("a/b"), "a/b"),
        ({3}, [3]),
        ((math.nan, (2,)), ["NaN", [2]]),
        (Decimal("0.5"), "0.5"),
        (10**5000, "a whole number of 16,610 bits"),
        ({None: 1, True: 2, 1.5: 3, (1, 2): 4}, {"null": 1, "true": 2, "1.5": 3, "(1, 2)": 4}),
        (dict.fromkeys(("\ud800", "\ud801"), 1), {"\ufffd": 1, "\ufffd~2": 1}),
        ([float("nan"), {"x": float("nan")}], ["NaN", {"x": "NaN"}]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_lacks_becomes_text(value: Any, becomes: Any) -> None:
    assert clean(value).value == becomes


def test_emojis_and_pairs_are_whole_characters() -> None:
    assert clean({"a": "🎉"}).replaced == 0
    assert clean("\ud83c\udf89").value == "🎉"


class Rude:
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_what_refuses_to_be_written_is_named_by_its_kind() -> None:
    assert clean({"a": Rude()}) == clean({"a": Rude()})
    assert clean({"a": Rude()}).value == {"a": "a Rude"}


def test_what_holds_itself_or_is_too_deep_is_cut() -> None:
    ring: list[Any] = []
    ring.append(ring)
    deep: Any = 0
    for _ in range(100_000):
        deep = [deep]

    assert clean(ring, RECORD).cut == 1
    assert depth_of(clean(deep, RECORD).value) == RECORD.depth
    assert strictly(encode({"deep": deep}).text)


def test_long_texts_and_many_values_are_cut_and_counted() -> None:
    long = clean({"a": "x" * 10_000_000, "b": 1}, RECORD)
    many = clean({str(number): "x" for number in range(1_000_000)}, RECORD)

    assert (long.cut, long.value["b"]) == (1, 1)
    assert long.value["a"].endswith("... (10,000,000 characters)")
    assert len(long.value["a"]) == RECORD.text_characters
    assert len(many.value) + many.cut == 1_000_000
    assert len(json.dumps(many.value)) < 20 * RECORD.characters


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": NaN, "b": -Infinity}', {"a": "NaN", "b": "-Infinity"}),
        (b'{"a": 1e999}', {"a": "Infinity"}),
        (b'{"a": 1' + b"0" * 400 + b".0}", {"a": "Infinity"}),
        (b'{"a": "\\ud800"}', {"a": "\ufffd"}),
        (b'{"a": "NaN"}', {"a": "NaN"}),
        ('{"a": "zwölf 🎉"}', {"a": "zwölf 🎉"}),
    ],
)
def test_what_pythons_encoder_or_anybody_wrote_is_read_strictly(text: bytes | str, value: Any) -> None:
    assert decode(text).value == value


@given(st.binary(max_size=80) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_read_or_refused_in_one_way(text: bytes) -> None:
    try:
        found = decode(text, RECORD)
    except ValueError:
        return
    assert strictly(encode(found.value).text) == found.value


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"\xed\xa0\x80", b"[" * 100_000, b"1" * 5000, "\ud800"])
def test_what_is_not_json_is_refused(text: bytes | str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- of several kinds, each with its own words
        decode(text)

    assert str(caught.value)


@given(st.one_of(st.integers(), st.floats(), st.just(10**400), st.text(), st.booleans(), st.none()))
def test_a_finite_number_is_one_that_floats_have(value: Any) -> None:
    found = finite_number(value)

    assert found is None or math.isfinite(float(found))
