"""The kinds of models: what a base model is loaded as, and what is served of it."""

from typing import Literal

#: `classifier`: texts in, labels with probabilities out. `decoder`: conversations in, text out.
ModelKind = Literal["classifier", "decoder"]
