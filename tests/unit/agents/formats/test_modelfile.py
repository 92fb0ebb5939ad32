"""The Modelfile: whatever a tokenizer's tokens and template are made of, no directive is added."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.formats.modelfile import Answering, modelfile

PLAIN = Answering(template="{{ .Prompt }}", stop="</s>", max_new_tokens=4, max_tokens=8, context_length=64)
TOKENS = st.text(st.sampled_from('</s>"\n\r #FROMTEMPLATE\\\x00\x85\u2028\ud800') | st.characters(), max_size=24)


def closed(value: str) -> bool:
    """Say whether a value ends here, by Ollama's `unquote` (parser/parser.go)."""
    if value.startswith('"""'):
        return len(value) >= 6 and value.endswith('"""')
    return not value.startswith('"') or (len(value) >= 2 and value.endswith('"'))


def directives(written: str) -> list[tuple[str, str]]:
    """Return the directives of a Modelfile as Ollama reads it: a value goes on over lines until its quotes close."""
    found: list[tuple[str, str]] = []
    lines = iter(written.replace("\r", "\n").split("\n"))
    for line in lines:
        if not line.strip() or line.strip().startswith("#"):
            continue
        name, _, value = line.strip().partition(" ")
        if name == "PARAMETER":
            key, _, value = value.partition(" ")
            name = f"{name} {key}"
        while not closed(value.strip()):
            value += "\n" + next(lines)
        found.append((name, value))
    return found


def names(written: str) -> list[str]:
    return [name for name, _ in directives(written)]


COMMON = ["PARAMETER num_ctx", "PARAMETER num_predict", "PARAMETER temperature"]


@given(stop=TOKENS, template=st.none() | TOKENS | TOKENS.map(lambda text: f'{text}"""\nFROM x\n"""{text}'))
def test_no_token_and_no_template_adds_a_directive(stop: str, template: str | None) -> None:
    written = modelfile("task", replace(PLAIN, stop=stop, template=template))
    found = names(written)

    assert found[0] == "FROM"
    assert dict(directives(written))["FROM"] == "./model.gguf"
    assert [name for name in found[1:] if name not in ("TEMPLATE", "PARAMETER stop")] == COMMON
    assert len(set(found)) == len(found)
    assert written.encode()


@pytest.mark.parametrize(
    "stop", ['</s>"\nFROM http://evil', '"', '""x', "a\nb", "a\rFROM b", "\x00", "\u2028FROM b", "\ud800"], ids=ascii
)
def test_a_token_that_can_not_be_written_is_left_out_with_a_word(stop: str) -> None:
    written = modelfile("task", replace(PLAIN, stop=stop))

    assert names(written) == ["FROM", "TEMPLATE", *COMMON]
    assert "which can't be written here" in written


@pytest.mark.parametrize(
    "template", ['a"""\nFROM http://evil\n"""', '"""', 'ends with ""', "\x00", "\ud800"], ids=ascii
)
def test_a_template_that_can_not_be_quoted_is_left_out_with_a_word(template: str) -> None:
    written = modelfile("task", replace(PLAIN, template=template))

    assert names(written) == ["FROM", "PARAMETER stop", *COMMON]
    assert "more than turns" in written


def test_a_name_is_one_line_of_a_comment() -> None:
    assert names(modelfile("task\nFROM http://evil", PLAIN)) == names(modelfile("task", PLAIN))
