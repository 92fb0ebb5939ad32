"""Base models of a few kilobytes each, an encoder and a decoder, which are kept with what was trained on them."""

import json
import string
from pathlib import Path

from tests.support.decoders import smollm2_tokenizer

WORDS = "a an and are at call claim for free have i in is it me my now of on prize s see t text the this to we win you"
#: The special tokens, the bytes and some pairs of them.
DECODER_VOCABULARY = 320


def write_encoder(folder: Path) -> None:
    """Write a BERT of one layer that knows letters and some words."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    characters = string.ascii_lowercase + string.digits + string.punctuation
    pieces = [*characters, *(f"##{one}" for one in string.ascii_lowercase + string.digits)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys([*pieces, *WORDS.split()])]
    tokenizer = BertTokenizerFast(vocab={token: number for number, token in enumerate(vocabulary)})
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_decoder(folder: Path) -> None:
    """Write a Llama of one layer that knows bytes."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = smollm2_tokenizer()
    tokenizer.save_pretrained(folder)
    written = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    vocabulary = {token: n for token, n in written["model"]["vocab"].items() if n < DECODER_VOCABULARY}
    merges = [pair for pair in written["model"]["merges"] if "".join(pair) in vocabulary]
    written["model"] |= {"vocab": vocabulary, "merges": merges}
    (folder / "tokenizer.json").write_text(json.dumps(written), "utf-8")
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=DECODER_VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
