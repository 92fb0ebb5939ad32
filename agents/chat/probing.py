"""The layout of a tokenizer's own chat template, read off what it writes for known turns."""

from collections.abc import Mapping, Sequence

from agents.chat.layouts import Layout
from agents.chat.templates import ChatTemplate, LayoutTemplate, NoForm, Template
from agents.data.types import Message

SYSTEM, USER, ANSWER, TOOL = "Ssss", "Uuuu", "Aaaa", "Tttt"
Turns = Sequence[Message]


def probed_layout(template: ChatTemplate) -> Layout | None:
    """Return a layout that writes what the chat template writes, or None where there is none.

    It is held against the chat template on conversations of all its roles before it is returned.
    """
    try:
        layout = _read(template)
    except (NoForm, ValueError):
        return None
    probes = [_turns("U"), _turns("SU"), _turns("UAU"), _turns("SUAUAU")]
    if "tool" in layout.turns:
        probes.append(_turns("UATA"))
    same = all(_text(LayoutTemplate("probe", layout, "", ""), probe) == _text(template, probe) for probe in probes)
    return layout if same else None


def _read(template: ChatTemplate) -> Layout:
    """Raises ValueError where a text that was given is not found again in what was written."""
    first, answer, rest = (piece.text for piece in template.pieces(_turns("UAU")))
    after = template.text(_turns("UA"), opens_answer=False).removeprefix(first + answer)
    second = rest.removeprefix(after)
    start = _text(template, _turns("U")).removeprefix(template.text(_turns("U"), opens_answer=False))
    user = _turn(second, USER, start)
    turns = {"user": user}
    opening = first.removesuffix(user.replace("{content}", USER) + start)
    before_user, user_after_system = _text(template, _turns("SU")), None
    whole_user = user.replace("{content}", USER) + start
    if before_user.endswith(whole_user):
        turns["system"] = _turn(before_user.removesuffix(whole_user), SYSTEM, "")
    else:
        turns["system"], user_after_system = _apart(before_user, start)
    turns |= _tool(template, after, start)
    return Layout(
        opening=opening,
        turns=turns,
        answer_start=start,
        answer_end=answer.removeprefix(ANSWER),
        after_answer=after,
        user_after_system=user_after_system,
    )


def _tool(template: ChatTemplate, after: str, start: str) -> Mapping[str, str]:
    try:
        written = template.pieces(_turns("UAT"))[-1].text.removeprefix(after)
        return {"tool": _turn(written, TOOL, start)}
    except (NoForm, ValueError):
        return {}


def _apart(text: str, start: str) -> tuple[str, str]:
    """Return the system's turn, up to the user's text, and what the user's is then."""
    index = text.index(USER)
    return _turn(text[:index], SYSTEM, ""), "{content}" + text[index + len(USER) :].removesuffix(start)


def _turn(text: str, content: str, start: str) -> str:
    index = text.index(content)
    return text[:index] + "{content}" + text[index + len(content) :].removesuffix(start)


def _text(template: Template, messages: Turns) -> str:
    return "".join(piece.text for piece in template.pieces(messages))


def _turns(kinds: str) -> Turns:
    known: dict[str, Message] = {
        "S": {"role": "system", "content": SYSTEM},
        "U": {"role": "user", "content": USER},
        "A": {"role": "assistant", "content": ANSWER},
        "T": {"role": "tool", "content": TOOL},
    }
    return [known[kind] for kind in kinds]
