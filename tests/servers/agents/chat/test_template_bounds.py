"""Chat templates are programs of whoever made the model: what they take is bounded, and what they write is the same."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from agents.base.budgets import TEMPLATE
from agents.base.errors import InvalidModel
from agents.chat.template_process import FIXED_DATE, Refused, TemplateProcess
from agents.chat.templates import ChatTemplate
from agents.data.types import Message
from tests.support.decoders import smollm2_tokenizer

ASKED: list[Message] = [{"role": "user", "content": "hello"}]
PROCESS = TemplateProcess()


def rendered(template: str, messages: list[Message] = ASKED, **variables: Any) -> str:
    return PROCESS.render(template, variables, messages, opens_answer=True)


BOMBS = {
    "a wide text": "{{ 'a'|center(150000000) }}",
    "a wide text by its method": "{{ 'a'.rjust(10**9) }}",
    "padded by a form": "{{ '%1000000000d' % 1 }}",
    "padded by a new form": "{{ '{:>1000000000}'.format(1) }}",
    "repeated": "{{ 'a' * 10**10 }}",
    "repeated where it is read": "{% set x = messages[0]['content'] * 10**9 %}",
    "a list repeated": "{% set x = [0] * 10**9 %}{{ x|length }}",
    "doubled": "{% set n = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "replaced": "{% set n = namespace(x='aa') %}{% for i in range(60) %}{% set n.x = n.x|replace('a', 'aa') %}"
    "{% endfor %}",
    "indented": "{{ messages|tojson(indent=1000000000) }}",
    "joined": "{{ range(99999)|join('x' * 99999) }}",
    "loops in loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}"
    "{% endfor %}{% endfor %}",
    "a loop that says much": "{% for a in range(99999) %}{{ 'x' * 1000 }}{% endfor %}",
    "a great power": "{{ 9 ** (9 ** 9) }}",
    "a great number that nobody reads": "{% set x = 7 ** (10 ** 8) %}",
    "a macro that calls itself twice": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}"
    "{{ f(60) }}",
    "sorted again and again": "{% for a in range(99999) %}{% set x = range(99999)|sort|list %}{% endfor %}",
    "much lorem ipsum": "{{ lipsum(n=100000) }}",
}


@pytest.mark.parametrize("template", BOMBS.values(), ids=BOMBS)
def test_a_template_that_takes_too_much_is_refused_and_the_next_one_is_rendered(template: str) -> None:
    with pytest.raises(InvalidModel, match=r"The model's own chat template .*Set preprocessing's `template`"):
        rendered(template)

    assert rendered("{{ messages[0]['content'] }}") == "hello"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ raise_exception('no tools here') }}", "no tools here"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ messages[9]['content'].x }}", "no element"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ cycler.__init__.__globals__ }}", "unsafe"),
        ("{% set n = namespace(__class__=1) %}", "__class__"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{% for %}", "Expected"),
        ("{% include '/etc/passwd' %}", "no loader"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
        ("{{ '\\ud800' | tojson | undefined_filter }}", "undefined_filter"),
    ],
)
def test_what_a_template_does_wrong_is_its_refusal(template: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        rendered(template)


def test_a_template_that_is_too_long_is_not_run() -> None:
    with pytest.raises(InvalidModel, match=f"at most {TEMPLATE.template_characters:,}"):
        rendered(" " * (TEMPLATE.template_characters + 1))


def test_long_conversations_may_become_longer_texts() -> None:
    content = "x" * TEMPLATE.rendered_characters
    assert len(rendered("{{ messages[0]['content'] }}" * 3, [{"role": "user", "content": content}])) == 3 * len(content)


def test_a_template_finds_no_keys_and_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNELINE_API_KEY", "secret")
    process = TemplateProcess()
    process.render("x", {}, ASKED, opens_answer=True)
    assert process._process is not None
    folder = Path(f"/proc/{process._process.pid}")
    assert b"secret" not in (folder / "environ").read_bytes()
    assert sorted(file.name for file in (folder / "fd").iterdir()) == ["0", "1", "2"]


OWN = [
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "{%- for m in messages %}\n    {% generation %}{{ m.content | trim }}{% endgeneration %}\n{%- endfor %}"
    "{{ eos_token }}",
    "{% set n = namespace(found=false) %}{% for m in messages %}{% if n.found %}{% break %}{% endif %}"
    "{% set n.found = true %}{{ m | tojson }}{{ dict(a='é') | tojson(indent=2) }}{% endfor %}{{ date_string }}",
    "{{ bos_token }}{{ tools is none }}{{ documents is defined }}"
    "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}",
]


@pytest.mark.parametrize("template", [*OWN, smollm2_tokenizer().chat_template])
@pytest.mark.parametrize("opens", [False, True])
def test_templates_write_what_they_write_in_transformers(template: str, opens: bool) -> None:
    tokenizer = smollm2_tokenizer()
    tokenizer.chat_template = template
    messages: list[Message] = [{"role": "user", "content": " a <é> "}, {"role": "assistant", "content": "b"}]
    expected = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=opens, date_string="26 Jul 2024"
    )

    variables = {**tokenizer.special_tokens_map, "date_string": "26 Jul 2024"}
    assert PROCESS.render(template, variables, messages, opens_answer=opens) == expected


@pytest.mark.parametrize("form", ["%d %B %Y", "%Y-%m-%d", "%A %H:%M"])
def test_a_template_is_told_the_same_date_every_day(form: str) -> None:
    assert rendered("{{ strftime_now('" + form + "') }}") == datetime.fromisoformat(FIXED_DATE).strftime(form)


def test_what_depends_on_the_date_is_known() -> None:
    tokenizer = smollm2_tokenizer()
    assert not ChatTemplate(tokenizer).depends_on_date
    for clock in ("strftime_now('%d %B %Y')", "date_string"):
        tokenizer.chat_template = "{{ " + clock + " }}{{ messages[0]['content'] }}"
        assert ChatTemplate(tokenizer).depends_on_date
