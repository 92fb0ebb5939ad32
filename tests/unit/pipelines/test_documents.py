"""Specs and params as text: what JSON can hold comes through, all else is one sentence with its place."""

import pytest

from agents.base.errors import InvalidRequest
from app.cli.options import parse_param
from pipelines.spec_text import DEPTH_MOST, VALUES_MOST, read_document

BOMB = "\n".join(
    ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    + [f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]" for before, name in zip("abcde", "bcdef", strict=True)]
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, null, true]}', {"a": [1, None, True]}),
        ("a: [1, ~, yes]", {"a": [1, None, True]}),
        ("from: 2024-01-01", {"from": "2024-01-01"}),
        ("base: &base {x: 1}\nmore: {<<: *base, x: 2}", {"base": {"x": 1}, "more": {"x": 2}}),
        (b"\xef\xbb\xbfname: \xc3\xbc", {"name": "ü"}),
        ("", None),
    ],
)
def test_json_and_yaml_are_plain_data(text: str | bytes, value: object) -> None:
    assert read_document(text, "The spec") == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1", "at line 1, column 6"),
        ("a: {b: 1}\na: 2", "at line 2, column 1: the key 'a' is there twice"),
        ('{"a": {"b": 1, "b": 2}}', "at line 1, column 16: the key 'b' is there twice"),
        ("a: {b: .nan}", "The spec, a.b: nan is not a number"),
        ('{"a": [1, -Infinity]}', "The spec, a[1]: -inf is not a number"),
        ("a: !!set {b}", "The spec, a: a set is not a value"),
        ("a: !!binary aGk=", "The spec, a: a bytes is not a value"),
        ("a: !!bool maybe", "neither JSON nor YAML"),
        ("a: !!python/name:os.system x", "neither JSON nor YAML at line 1"),
        ('{"a": "\\ud800"}', "The spec, a: half of a character"),
        ('{"a": ' + "1" * 5000 + "}", "neither JSON nor YAML"),
        (b"\xff\xfe\x00", "neither JSON nor YAML"),
        ("[" * 5000, "nested too deep"),
        ("a: &a [*a]", f"nested {DEPTH_MOST} deep"),
        ("[" * (DEPTH_MOST + 2) + "]" * (DEPTH_MOST + 2), f"nested {DEPTH_MOST} deep"),
        (BOMB, f"at most {VALUES_MOST:,} values"),
    ],
)
def test_what_json_cannot_hold_is_a_fault_with_its_place(text: str | bytes, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_document(text, "The spec")

    assert words in str(caught.value)


@pytest.mark.parametrize("value", ["[1", "@x", "*x", ".nan", "!!set {a}"])
def test_a_params_fault_names_the_param(value: str) -> None:
    with pytest.raises(InvalidRequest, match="The value of 'epochs'"):
        parse_param(f"epochs={value}")
