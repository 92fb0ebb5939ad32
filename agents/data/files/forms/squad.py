"""SQuAD: questions on a text with their answers, as the whole document or as rows of the hub."""

from collections.abc import Iterator
from typing import Any

from agents.data.files.forms.base import Form, Values, objects


def _is_squad(values: Values) -> bool:
    topics = objects(values.get("data"))
    return bool(topics) and all(isinstance(topic.get("paragraphs"), list) for topic in topics)


def _squad(values: Values) -> Iterator[dict[str, Any]]:
    for topic in objects(values["data"]):
        for paragraph in objects(topic["paragraphs"]):
            for asked in objects(paragraph.get("qas")):
                answer = next((one.get("text") for one in objects(asked.get("answers"))), None)
                known = {"id": asked.get("id"), "source": topic.get("title")}
                yield {
                    "instruction": asked.get("question"),
                    "input": paragraph.get("context"),
                    "output": answer,
                    **{key: value for key, value in known.items() if value is not None},
                }


def _is_squad_row(values: Values) -> bool:
    answers = values.get("answers")
    return {"question", "context"} <= values.keys() and isinstance(answers, dict) and "text" in answers


def _squad_row(values: Values) -> Iterator[dict[str, Any]]:
    answers = values["answers"]["text"]
    answer = answers[0] if isinstance(answers, list) and answers else (answers or None)
    used = {"question", "context", "answers", "title"}
    rest = {key: value for key, value in values.items() if key not in used}
    rest |= {"source": values["title"]} if "title" in values else {}
    yield {"instruction": values["question"], "input": values["context"], "output": answer, **rest}


SQUAD = Form("SQuAD", _is_squad, _squad)
SQUAD_ROW = Form("SQuAD", _is_squad_row, _squad_row)
