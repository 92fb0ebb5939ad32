"""A chat template as files carry it: so that a program that knows nothing of the training prompts as it did."""

import re
from datetime import datetime
from typing import TYPE_CHECKING

from agents.chat.template_process import FIXED_DATE

if TYPE_CHECKING:
    from agents.chat.templates import ChatTemplate

#: Before and behind the model's own text, where something stands around it.
MARK = "{#- as trained -#}"
DATE_FORM = re.compile(r"strftime_now\(\s*(['\"])(.*?)\1\s*\)")


def source_of(text: str) -> str:
    """Return a model's own template of one that was exported; any other as it is."""
    return text.split(MARK)[1] if text.count(MARK) == 2 else text


def exported(template: "ChatTemplate", *, thinking_switch: str) -> str:
    """Return the template with what was set in training: whether to think, the date, and what stands before an answer.

    Raises:
        NoForm: it refuses a plain question.
    """
    text = source_of(str(template.facts()["chat_template"]))
    head, tail = "", ""
    if thinking_switch in text:
        head += f"{{%- set {thinking_switch} = {str(template.keeps_reasoning).lower()} -%}}"
    head += _date(text)
    opening = template.own_opening
    if opening is not None:
        head += "{%- set opens_answer = add_generation_prompt -%}{%- set add_generation_prompt = false -%}"
        tail = f"{{%- if opens_answer -%}}{{{{- {_quoted(opening)} -}}}}{{%- endif -%}}"
    return f"{head}{MARK}{text}{MARK}{tail}" if head or tail else text


def _date(text: str) -> str:
    """Return a macro in place of the clock that knows the forms that the template asks for."""
    forms = sorted({found[2] for found in DATE_FORM.finditer(text)})
    if not forms:
        return ""
    day = datetime.fromisoformat(FIXED_DATE)
    cases = [
        f"{{%- {'elif' if at else 'if'} format == {_quoted(form)} -%}}{day.strftime(form)}"
        for at, form in enumerate(forms)
    ]
    return f"{{%- macro strftime_now(format) -%}}{''.join(cases)}{{%- endif -%}}{{%- endmacro -%}}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
