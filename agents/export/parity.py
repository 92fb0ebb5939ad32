"""Parity: an export's answers beside the trained model's, on held-out texts."""

import math
from collections.abc import Sequence

from agents.base.contract import Context, inputs_from
from agents.base.errors import InvalidModel
from agents.outputs import Parity, PreprocessingOutput
from agents.prediction import Classifier, Prediction
from agents.splits import read_texts

#: With fewer texts one flipped answer alone would break a bound of 0.99.
GOLDEN_TEXTS = 256
OWN_TEXTS = ("See you at eight.", "You have won a prize, call now!", "Is this thing on?", "42")
#: Share of answers that must be the trained model's.
BOUNDS = {"merged": 1.0, "onnx": 1.0, "onnx_int8": 0.99}
#: Other orders of adding up move probabilities; more than this is no rounding. Quantising has no such bound.
DIFFERENCE_BOUNDS = {"merged": 1e-3, "onnx": 1e-3}


def golden_texts(context: Context) -> list[str]:
    """Return texts to compare answers on: the test split's, then, if these are few, the other splits'.

    Without a preprocessing before it, the texts are a few of the project's own.
    """
    texts: list[str] = []
    for data in inputs_from(context, "preprocessing", PreprocessingOutput)[-1:]:
        for split in ("test", "validation", "train"):
            if len(texts) < GOLDEN_TEXTS:
                texts += read_texts(context, data, split)
    return texts[:GOLDEN_TEXTS] or list(OWN_TEXTS)


def prove(
    context: Context,
    form: str,
    model: Classifier,
    texts: Sequence[str],
    expected: Sequence[Prediction],
    batch_sizes: Sequence[int] = (64,),
) -> Parity:
    """Return how an export compares with the answers expected of it, at the worst of the batch sizes.

    Raises:
        InvalidModel: it is under its bound; the message has the numbers.
    """
    measured = [_compare(form, model.predict(texts, batch_size), expected) for batch_size in batch_sizes]
    parity = Parity(
        texts=len(texts),
        agreement=min(one.agreement for one in measured),
        bound=BOUNDS[form],
        largest_difference=max(one.largest_difference for one in measured),
    )
    context.log("parity", format=form, **parity.model_dump())
    if parity.agreement >= parity.bound and parity.largest_difference <= DIFFERENCE_BOUNDS.get(form, 1.0):
        return parity
    raise InvalidModel(
        f"The format '{form}' gives the trained model's answer to {parity.agreement:.2%} of {len(texts)} texts "
        f"(bound {parity.bound:.0%}), and its probabilities differ by up to {parity.largest_difference:.2g}.",
        cure=f"Leave '{form}' out of the export's formats, or report this with the base model's name.",
    )


def _compare(form: str, found: Sequence[Prediction], expected: Sequence[Prediction]) -> Parity:
    if not all(math.isfinite(one.confidence) for one in found):
        raise InvalidModel(
            f"The format '{form}' gives no numbers.", cure=f"Leave '{form}' out of the export's formats."
        )
    pairs = list(zip(found, expected, strict=True))
    return Parity(
        texts=len(pairs),
        agreement=sum(one.label == other.label for one, other in pairs) / len(pairs),
        bound=BOUNDS[form],
        largest_difference=max(
            abs(one.scores[label] - score) for one, other in pairs for label, score in other.scores.items()
        ),
    )
