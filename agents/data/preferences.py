"""Preference data: rows that say which of two answers is the better one, or whether an answer is a good one.

The forms of TRL (pairs, whole dialogues, KTO), of OpenAI, and of LLaMA-Factory (`chosen` beside conversations, two
answers in `output`, `kto_tag`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agents.base.errors import InvalidData
from agents.data.conversations import (
    Conversation,
    answer,
    continued,
    finished,
    message_text,
    opening,
    pair,
    question,
    refuse_media,
    tools_of,
)
from agents.data.tools import parsed
from agents.data.turns import Source, Unusable, are_turns, is_spoken, judges, read_turns
from agents.data.types import Message, Preference, Shape

#: Columns of answers beside which a worse one may stand.
ANSWERS = ("response", "completion", "answer", "output", "messages", "conversations")
#: Columns of the better and of the worse answer.
PAIRS = (
    ("chosen", "rejected"),
    ("preferred_output", "non_preferred_output"),
    ("chosen_response", "rejected_response"),
    ("response_chosen", "response_rejected"),
    ("preferred", "rejected"),
    ("preferred", "dispreferred"),
    ("accepted", "rejected"),
    ("better", "worse"),
    ("chosen_answer", "rejected_answer"),
    ("answer_chosen", "answer_rejected"),
    ("response_j", "response_k"),
    *((answer, rejected) for answer in ANSWERS for rejected in ("rejected_response", "rejected", "rejected_messages")),
)
PROMPTS = ("prompt", "instruction", "question", "query", "conversations", "conversation", "messages", "input")
#: Columns that judge an answer alone.
JUDGEMENTS = ("kto_tag", "label", "desirable", "is_desirable")


class Pair(NamedTuple):
    """A row's better conversation, and the worse one; [] of an answer that is judged alone and good."""

    chosen: Conversation
    rejected: list[Message]


def find_pair(names: Mapping[str, str], sample: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    """Return the columns of better and worse answers. `names`: name without case -> column."""
    for better, worse in PAIRS:
        if better in names and worse in names and _hold_answers(sample, names[better], names[worse]):
            return names[better], names[worse]
    return None


def find_prompt(names: Mapping[str, str], sample: Sequence[Mapping[str, Any]], answer: str) -> str | None:
    """Return the column of what was asked, where answers stand beside it."""
    known = (names[name] for name in PROMPTS if name in names and names[name] != answer)
    return next((name for name in known if any(row.get(name) for row in sample)), None)


def _hold_answers(sample: Sequence[Mapping[str, Any]], *columns: str) -> bool:
    cells = [row.get(column) for row in sample for column in columns]
    held = [cell for cell in cells if cell is not None]
    return bool(held) and all(isinstance(cell, str | list | dict) for cell in held)


def are_whole(sample: Sequence[Mapping[str, Any]], column: str) -> bool:
    """Say whether answers are dialogues with their questions."""
    cells = [row[column] for row in sample if row.get(column)]
    return bool(cells) and all(_is_whole(cell) for cell in cells)


def _is_whole(cell: Any) -> bool:
    turns = cell if isinstance(cell, list) else parsed(cell)
    if not are_turns(turns):
        return is_spoken(cell)
    return isinstance(turns, list) and read_role(turns[0]) in ("user", "human", "system", "prompter")


def read_role(turn: Mapping[str, Any]) -> str:
    return str(turn.get("role") or turn.get("from")).strip().casefold()


def judged_column(names: Mapping[str, str], sample: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the column that judges answers alone, by true and false or words for them.

    Of a `label`, which may be anything beside answers, 1 and 0 are judgements where there are both.
    """
    for name in JUDGEMENTS:
        cells = [row[names[name]] for row in sample if row.get(names[name]) is not None] if name in names else []
        both = {True, False} == set(map(judges, cells))
        if cells and (both or all(is_judgement(name, cell) for cell in cells)):
            return names[name]
    return None


def is_judgement(name: str, cell: Any) -> bool:
    """Say whether a cell of a column is a judgement of an answer; numbers of a `label` alone may be anything."""
    number = not isinstance(cell, bool) and (isinstance(cell, int | float) or str(cell).strip().isdigit())
    return judges(cell) is not None and (name != "label" or not number)


def are_two_answers(sample: Sequence[Mapping[str, Any]], column: str) -> bool:
    """Say whether each cell of a column is a list of two texts: LLaMA-Factory's older pairs."""
    cells = [row[column] for row in sample if row.get(column) is not None]
    return bool(cells) and all(
        isinstance(cell, list) and len(cell) == 2 and all(isinstance(text, str) for text in cell) for cell in cells
    )


def of_pair(prompt: str | None, better: str, worse: str, *, whole: bool) -> Preference:
    """Return the form of rows with a better and a worse answer."""
    found = f"the columns '{better}' and '{worse}'" + (f" beside '{prompt}'" if prompt else "")
    if whole or prompt is None:
        cure = f"Set `shape: messages` and `text_column: {better}` to learn the better dialogues alone"
        return Preference(form="dialogues", base="messages", found=found, cure=cure)
    cure = f"Set `shape: prompt_completion`, `text_column: {prompt}` and `label_column: {better}`"
    cure += " to learn the better answers alone"
    return Preference(form="pair", base="prompt_completion", found=found, cure=cure)


def of_two_answers(base: Shape, column: str) -> Preference:
    """Return the form of rows with both answers in one list."""
    cure = f"Write the better answer alone into '{column}'"
    return Preference(form="two_answers", base=base, found=f"lists of two answers in '{column}'", cure=cure)


def of_judged(base: Shape, column: str) -> Preference:
    """Return the form of rows with answers that are judged alone."""
    cure = f"Set `shape: {base}` to learn the answers that are judged to be good"
    return Preference(form="judged", base=base, found=f"true and false in '{column}' beside answers (KTO)", cure=cure)


def refuse_preference(place: str, preference: Preference, tasks: str) -> InvalidData:
    """Return the error of a task that can't learn preference data. `tasks`: what it is, for the sentence."""
    return InvalidData(
        f"The rows of '{place}' are preference data ({preference.found}), which {tasks} does not learn from.",
        cure=f"{preference.cure}.",
    )


def read_preference(form: Preference, columns: Mapping[str, str], values: Mapping[str, Any], source: Source) -> Pair:
    """Return a row's two conversations.

    Raises:
        Unusable: as `read_conversation`, and with `no_rejected_answer`, `equal_answers` or `no_judgement`.
    """
    cells = {part: values.get(name) for part, name in columns.items()}
    refuse_media(values)
    first, tools = opening(cells, source), tools_of(cells, columns, source)
    if form.form == "judged":
        said = read_turns(cells["messages"], source) if "messages" in columns else pair(cells, columns, source)
        return _judged(cells.get("desirable"), Conversation(finished(first + said, source), tools))
    better, worse = _answers(form, cells)
    asked = question(cells, columns, source) if cells.get("prompt") is not None else []
    chosen = finished(first + _said(asked, better, source), source)
    alone = not asked and not _is_whole(worse)
    # A worse answer alone stands beside the dialogue with the better one.
    said = chosen[:-1] + _said([], worse, source) if alone else first + _said(asked, worse, source)
    try:
        rejected = finished(said, source)
    except Unusable as fault:
        raise Unusable("no_rejected_answer" if str(fault) == "no_answer" else str(fault)) from fault
    if [*map(message_text, chosen)] == [*map(message_text, rejected)]:
        raise Unusable("equal_answers")
    return Pair(Conversation(chosen, tools), rejected)


def _said(asked: list[Message], value: Any, source: Source) -> list[Message]:
    value = parsed(value) if isinstance(value, str) and are_turns(parsed(value)) else value
    if is_spoken(value):
        return continued(asked, read_turns(value, source))
    return continued(asked, answer({}, value, source))


def _answers(form: Preference, cells: Mapping[str, Any]) -> tuple[Any, Any]:
    if form.form != "two_answers":
        return cells["answer"], cells["rejected"]
    two = cells["answer"]
    if not isinstance(two, list) or len(two) != 2:
        raise Unusable("no_rejected_answer")
    return two[0], two[1]


def _judged(judgement: Any, said: Conversation) -> Pair:
    good = judges(judgement)
    if good is None:
        raise Unusable("no_judgement")
    if good:
        return Pair(said, [])
    last: Message = {**said.messages[-1], "learned": False}
    return Pair(Conversation([*said.messages[:-1], last], said.tools), said.messages)
