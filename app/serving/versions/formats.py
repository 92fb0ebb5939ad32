"""Which of a version's formats this machine serves."""

from pathlib import Path

from agents.base.loading import can_import
from agents.formats import Format, formats_of
from agents.models.kinds import ModelKind

#: Settings that choose a format, by the kind of model.
SETTINGS: dict[ModelKind, str] = {"classifier": "TUNELINE_SERVING_FORMAT", "decoder": "TUNELINE_DECODER_FORMAT"}


def preferred_formats(wanted: str, kind: ModelKind) -> tuple[Format, ...]:
    """Return the formats to look for in a version, best first; `auto`: as this machine allows.

    On a CPU the fastest come first, each of which was proven at its export to answer as the trained model does. On a
    GPU those that use it do, adapters before whole models: its memory is scarcer than its time.
    """
    known = formats_of(kind)
    if wanted != "auto":
        return tuple(form for form in known if form.name == wanted)
    return in_order([form for form in known if not form.missing_packages()], has_gpu=has_gpu())


def in_order(formats: list[Format], *, has_gpu: bool) -> tuple[Format, ...]:
    """Return formats, which are best first for a CPU, best first for this machine."""
    if not has_gpu:
        return tuple(formats)
    by_torch = [form for form in formats if form.needs_torch]
    return (*reversed(by_torch), *(form for form in formats if not form.needs_torch))


def batch_formats(wanted: str) -> tuple[Format, ...]:
    """Return the formats of asynchronous batches. Each batch has a process of its own, where an adapter shares nothing:
    formats that need a base come last, after whole models."""
    preferred = preferred_formats(wanted, "classifier")
    if not any(form.needs_base for form in preferred):
        return preferred
    by_torch = [form for form in formats_of("classifier") if form.needs_torch]
    others = [form for form in preferred if not form.needs_base]
    return tuple({form.name: form for form in (*others, *by_torch)}.values())


def has_gpu() -> bool:
    """Say whether torch can use a GPU. Its import takes seconds: it is asked only where a driver shows a device."""
    if not any(Path("/dev").glob("nvidia[0-9]*")) and not Path("/dev/dxg").exists():
        return False
    return can_import("torch") and _cuda_is_available()


def _cuda_is_available() -> bool:
    import torch

    return torch.cuda.is_available()
