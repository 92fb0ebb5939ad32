"""A template in the languages of other programs: Jinja, which GGUF and tokenizer files carry, and Ollama's Go."""

import json
from dataclasses import replace

from agents.chat.exported import exported
from agents.chat.layouts import Layout
from agents.chat.probing import probed_layout
from agents.chat.templates import THINKING_SWITCH, ChatTemplate, LayoutTemplate, Template


def chat_template(template: Template) -> str:
    """Return the template in Jinja, as `tokenizer.chat_template` holds it; the tokenizer's own is itself, with what was
    set in training around it."""
    if isinstance(template, LayoutTemplate):
        return _jinja(template.layout, template.bos, template.eos)
    if isinstance(template, ChatTemplate):
        return exported(template, thinking_switch=THINKING_SWITCH)
    return str(template.facts()["chat_template"])


def ollama_template(template: Template, bos: str) -> str | None:
    """Return the template in Ollama's language; None for a chat template that is not a plain sequence of turns.

    `bos`: the text of the token that the tokenizer writes first by itself, or "": Ollama does that too.
    """
    if isinstance(template, LayoutTemplate):
        return _go(template.layout, template.bos, template.eos)
    layout = probed_layout(template) if isinstance(template, ChatTemplate) else None
    return None if layout is None else _go(_marked(layout, bos), bos, "")


def _jinja(layout: Layout, bos: str, eos: str) -> str:
    def text(part: str) -> str:
        return _quoted(part.replace("{bos}", bos).replace("{eos}", eos))

    def turn(part: str) -> str:
        before, _, after = part.partition("{content}")
        return f"{{{{- {text(before)} + message['content'] + {text(after)} -}}}}"

    def written_if(condition: str, part: str) -> str:
        written = text(part)
        return f"{{%- if {condition} -%}}{{{{- {written} -}}}}{{%- endif -%}}" if written != '""' else ""

    answer = turn(layout.answer_start + "{content}" + layout.answer_end)
    branches = [
        f"{{%- if message['role'] == 'assistant' -%}}{answer}{written_if('not loop.last', layout.after_answer)}"
    ]
    if layout.user_after_system is not None:
        follows = "not loop.first and messages[loop.index0 - 1]['role'] == 'system'"
        branches.append(f"{{%- elif message['role'] == 'user' and {follows} -%}}{turn(layout.user_after_system)}")
    branches += [f"{{%- elif message['role'] == '{role}' -%}}{turn(part)}" for role, part in layout.turns.items()]
    refusal = _quoted("The template has no form for the role ")
    return "".join(
        [
            "{%- for message in messages -%}",
            written_if("loop.first and message['role'] != 'system'", layout.opening),
            *branches,
            f"{{%- else -%}}{{{{- raise_exception({refusal} + message['role']) -}}}}{{%- endif -%}}",
            "{%- endfor -%}",
            written_if("add_generation_prompt", layout.answer_start),
        ]
    )


def _go(layout: Layout, bos: str, eos: str) -> str:
    """Text stands in quotes, so that the trimming around actions can't touch it; an answer that comes last is one to
    go on with, so that it isn't ended."""

    def text(part: str) -> str:
        return f"{{{{ {_quoted(part.replace('{eos}', eos))} }}}}" if part else ""

    def turn(part: str) -> str:
        before, _, after = part.partition("{content}")
        first = f"{{{{ if $index }}}}{text(bos)}{{{{ end }}}}" if bos and before.startswith("{bos}") else ""
        return f"{first}{text(before.replace('{bos}', ''))}{{{{ .Content }}}}{text(after)}"

    opening, start = text(layout.opening.replace("{bos}", "")), text(layout.answer_start)
    end = text(layout.answer_end + layout.after_answer)
    lines = [
        '{{- $previous := "" }}',
        "{{- range $index, $_ := .Messages }}",
        "{{- $last := eq (len (slice $.Messages $index)) 1 }}",
        *([f'{{{{- if and (eq $index 0) (ne .Role "system") }}}}{opening}{{{{ end }}}}'] if opening else []),
        f'{{{{- if eq .Role "assistant" }}}}{start}{{{{ .Content }}}}{{{{ if not $last }}}}{end}{{{{ end }}}}',
    ]
    if layout.user_after_system is not None:
        lines.append(
            f'{{{{- else if and (eq .Role "user") (eq $previous "system") }}}}{turn(layout.user_after_system)}'
        )
    lines += [f'{{{{- else if eq .Role "{role}" }}}}{turn(part)}' for role, part in layout.turns.items()]
    lines += [
        "{{- end }}",
        f'{{{{- if and $last (ne .Role "assistant") }}}}{start}{{{{ end }}}}',
        "{{- $previous = .Role }}",
        "{{- end }}",
    ]
    return "\n".join(lines)


def _marked(layout: Layout, bos: str) -> Layout:
    """Name the first token where a layout that was read off a chat template begins with its text."""
    if not bos:
        return layout

    def mark(part: str) -> str:
        return "{bos}" + part.removeprefix(bos) if part.startswith(bos) else part

    turns = {role: mark(part) for role, part in layout.turns.items()}
    return replace(layout, opening=mark(layout.opening), turns=turns)


def _quoted(text: str) -> str:
    """Return text as a string of Jinja's, Go's and JSON's, whose escapes for these texts are the same."""
    return json.dumps(text, ensure_ascii=False)
