"""The form of a chat template's answers, read off what the template writes for known ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from typing import Any

from agents.chat.answer_form import Thought
from agents.chat.calls import DECODER, CallForm, EnvelopedCalls, JsonCalls, KeyedCalls
from agents.data.types import ToolCall

SAID, THOUGHT, RESULT = "Qzsaid", "Qzthought", "Qzresult"
NAME, OTHER_NAME, KEY, OTHER_KEY, VALUE, OTHER_VALUE = "qzname", "qxother", "qzkey", "qzmore", "Qzvalue", "Qzlast"
PROBE_TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "A probe.",
            "parameters": {
                "type": "object",
                "properties": {key: {"type": "string", "description": "A text."} for key in (KEY, OTHER_KEY)},
                "required": [KEY],
            },
        },
    }
    for name in (NAME, OTHER_NAME)
]
#: What a template writes behind a prompt for an answer of these parts, without its end; None where it refuses.
Write = Callable[[str, str, Sequence[ToolCall]], str | None]
#: Calls that a form must read back before it is taken.
READ_BACK: list[list[ToolCall]] = [
    [{"name": NAME, "arguments": {KEY: 'a "b" {c}, 3 <d>\\ é'}}],
    [{"name": OTHER_NAME, "arguments": {KEY: "7", OTHER_KEY: 'x: "y"'}}],
]


@dataclass(frozen=True)
class TurnForm:
    """How a template wants turns to be given. `reasoning_key`: where reasoning stands, None where it has no place."""

    reasoning_key: str | None = None
    arguments_as_text: bool = False
    content_beside_calls: str | None = ""
    has_tools: bool = False


def common_start(texts: Sequence[str]) -> str:
    """Return what all texts begin with."""
    return commonprefix(texts)  # noqa: RUF071 -- of texts, letter by letter


def lead_of(write: Write) -> str:
    """Return what stands between a prompt and what is said."""
    written = write(SAID, "", ()) or ""
    return written[: max(0, written.find(SAID))]


def thought_of(write: Write, *, has_tools: bool) -> Thought | None:
    """Return what stands around reasoning; None where the template leaves it out. `has_tools`: it writes calls."""
    written = write(SAID, THOUGHT, ())
    if not written or THOUGHT not in written or written.rfind(SAID) < written.find(THOUGHT):
        return None
    opens, _, behind = written.partition(THOUGHT)
    closes = behind[: behind.rfind(SAID)]
    call: list[ToolCall] = [{"name": NAME, "arguments": {KEY: VALUE}}]
    calling = write("", THOUGHT, call) if has_tools else None
    if calling and THOUGHT in calling and NAME in calling:
        closes = common_start([closes, calling.partition(THOUGHT)[2]]) or closes
    return Thought(opens, closes) if closes.strip() else None


def calls_of(write: Write, lead: str) -> CallForm | None:
    """Return how the template writes calls; None where what it writes can't be read back."""

    def written(*calls: ToolCall) -> str | None:
        text = write("", "", calls)
        return text[len(lead) :] if text and lead and text.startswith(lead) else text

    one: ToolCall = {"name": NAME, "arguments": {KEY: VALUE, OTHER_KEY: OTHER_VALUE}}
    two: ToolCall = {"name": OTHER_NAME, "arguments": {KEY: VALUE, OTHER_KEY: OTHER_VALUE}}
    text, both = written(one), written(one, two)
    if not text or NAME not in text or VALUE not in text:
        return None
    form = _json_form(text, both, one["arguments"]) or _keyed_form(text, both, written)
    if form is None:
        return None
    for calls in READ_BACK:
        text = written(*calls)
        found = form.read(text, PROBE_TOOLS) if text else None
        if found is None or list(found.calls) != calls:
            return None
    return form


def _json_form(text: str, both: str | None, arguments: Any) -> CallForm | None:
    place = _place_of_json(text, arguments)
    if place is None:
        return None
    start, end = place
    name = text.rfind(NAME, 0, start)
    if name < 0:
        return None
    before, middle, after = text[:name], text[name + len(NAME) : start], text[end:]
    for opening, character in enumerate(before):
        if character in "{[" and (found := _enveloped(text, opening, arguments)):
            name_key, arguments_key, closing = found
            around = before, middle, after
            return EnvelopedCalls(text[:opening], text[closing:], name_key, arguments_key, around)
    second = both.find(OTHER_NAME, end) if both and both.startswith(text[:end]) else -1
    between = both[end:second] if both and second > 0 else None
    if not before.strip() or not middle.strip():
        return None
    return JsonCalls(before, middle, after, between)


def _place_of_json(text: str, value: Any) -> tuple[int, int] | None:
    """Return where a text has a value as JSON, and where that ends."""
    for at, character in enumerate(text):
        if character == "{":
            try:
                found, end = DECODER.raw_decode(text, at)
            except ValueError:
                continue
            if found == value:
                return at, end
    return None


def _enveloped(text: str, at: int, arguments: Any) -> tuple[str, str, int] | None:
    """Return the keys of name and arguments in the JSON at a place, and where it ends; None where it isn't a call."""
    try:
        value, end = DECODER.raw_decode(text, at)
    except ValueError:
        return None
    call = value[0] if isinstance(value, list) and len(value) == 1 else value
    if not isinstance(call, dict):
        return None
    names = [key for key, found in call.items() if found == NAME]
    given = [key for key, found in call.items() if found == arguments]
    return (names[0], given[0], end) if names and given else None


def _keyed_form(text: str, both: str | None, written: Callable[..., str | None]) -> CallForm | None:
    places = (NAME, KEY, VALUE, OTHER_KEY, OTHER_VALUE)
    texts = _apart(text, places)
    plain = _apart(
        written({"name": NAME, "arguments": {KEY: 71, OTHER_KEY: 72}}) or "", (NAME, KEY, "71", OTHER_KEY, "72")
    )
    if texts is None or plain is None or NAME in "".join(texts):
        return None
    before, opens, _, _, _, closes = plain
    equals, following = plain[2], plain[3]
    if not texts[2].startswith(equals) or not texts[3].endswith(following) or not before.strip():
        return None
    quotes = texts[2][len(equals) :], texts[3][: len(texts[3]) - len(following)]
    between, after = None, ""
    pair = _apart(both or "", (*places, OTHER_NAME))
    if pair is not None and pair[5].startswith(quotes[1]):
        joint = pair[5][len(quotes[1]) :]
        each = common_start([closes, joint])
        closes, between, after = each, joint[len(each) :], closes[len(each) :]
    without = written({"name": NAME, "arguments": {}}) or ""
    empty = without.removeprefix(before + NAME).removesuffix(after) if without.startswith(before + NAME) else ""
    return KeyedCalls(before, opens, equals, quotes, following, closes, empty, between, after) if closes else None


def _apart(text: str, marks: Sequence[str]) -> list[str] | None:
    """Return what stands before, between and behind texts that follow one another; None where one is not there."""
    found, at = [], 0
    for mark in marks:
        place = text.find(mark, at)
        if place < 0:
            return None
        found.append(text[at:place])
        at = place + len(mark)
    return [*found, text[at:]]
