"""Parity: a format's answers beside those expected of it, on held-out rows; one under its bound is no export."""

from collections.abc import Sequence
from typing import Any

from agents.base.errors import InvalidModel
from agents.export.types import Parity
from agents.formats import Format
from agents.tasks.golden import Golden

#: Another device or another library may turn over an answer that stood between two.
AS_EVALUATED_LEAST = 0.9


def prove(golden: Golden[Any], form: Format, model: Any, expected: Sequence[Any]) -> Parity:
    """Return how a format compares with what is expected of it; of several ways to ask it the worst counts.

    Raises:
        InvalidModel: it is under its bound; the message has the numbers.
    """
    asked = golden.asked(model, form, expected)
    found = [golden.compare(answers, expected) for answers in asked]
    count = len(asked[0])
    parity = Parity(
        texts=count,
        agreement=min(one.agreement for one in found),
        bound=form.agreement_bound,
        largest_difference=max(one.largest_difference for one in found),
        metric=golden.judged.metric,
        value=min((value for answers in asked if (value := golden.value(answers)) is not None), default=None),
        trained_value=golden.value(expected[:count]),
    )
    golden.context.log("parity", format=form.name, **parity.model_dump())
    if parity.agreement < parity.bound or parity.largest_difference > form.difference_bound:
        raise _under_its_bound(form, parity)
    return parity


def check_as_evaluated(golden: Golden[Any], expected: Sequence[Any]) -> None:
    """Refuse to export a model that answers other than when it was judged: its verdict would be of another model.

    A few answers may differ where another device calculates; they are logged.

    Raises:
        InvalidModel: more do.
    """
    found = golden.as_evaluated(expected)
    if found is None or found.agreement == 1:
        return
    golden.context.log("answers_differ_from_evaluation", level="warning", agreement=found.agreement)
    if found.agreement < AS_EVALUATED_LEAST:
        raise InvalidModel(
            f"The trained model gives the answer that it was judged by to only {found.agreement:.2%} of the test rows.",
            cure="Run training and evaluation again with `cache: false`: the files or the rows have changed since.",
        )


def _under_its_bound(form: Format, parity: Parity) -> InvalidModel:
    apart = (
        f", and its probabilities differ by up to {parity.largest_difference:.2g}" if parity.largest_difference else ""
    )
    drop = (
        "" if parity.value is None else f"; {parity.metric} {parity.value:.4f}, as trained {parity.trained_value:.4f}"
    )
    return InvalidModel(
        f"The format '{form.name}' gives the trained model's answer to {parity.agreement:.2%} of {parity.texts} texts "
        f"(bound {parity.bound:.0%}){apart}{drop}.",
        cure=f"Leave '{form.name}' out of the export's formats, or report this with the base model's name.",
    )
