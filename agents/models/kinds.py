"""What a model can be, whatever it was trained for."""

from typing import Literal

#: A classifier gives probabilities of labels; a decoder writes text.
ModelKind = Literal["classifier", "decoder"]
