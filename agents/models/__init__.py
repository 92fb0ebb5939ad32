"""Models from files: loading, tokenizers, memory, and what answers with them."""
