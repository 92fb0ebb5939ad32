"""Merged: the adapter merged into its unquantised base, or the whole model that was trained, as safetensors."""

from agents.formats.base import Writing


def write(writing: Writing) -> None:
    """Write the trained model whole, with its tokenizer."""
    trained = writing.model()
    merge = getattr(trained.model, "merge_and_unload", None)
    whole = merge() if merge else trained.model
    whole.save_pretrained(writing.folder)
    trained.tokenizer.save_pretrained(writing.folder)
