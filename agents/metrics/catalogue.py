"""The catalogue of metrics: which of them are told first, and in which order."""

from collections.abc import Mapping

#: Of all tasks, in the order that cards and logs have them in.
HEADLINE = (
    *("accuracy", "precision", "recall", "f1", "macro_precision", "macro_recall", "macro_f1", "micro_f1"),
    *("jaccard", "roc_auc", "ece", "brier", "mae", "rmse", "r2", "spearman"),
    *("exact_match", "tool_call", "tool_name", "tool_arguments", "slot_f1", "json_validity", "rouge_l", "bleu"),
    *("loss", "perplexity", "base_perplexity", "perplexity_drop"),
)
#: The few that fit into a line of a terminal.
BRIEF = frozenset(
    {
        *("accuracy", "precision", "recall", "f1", "macro_f1", "micro_f1", "jaccard", "roc_auc", "ece"),
        *("mae", "r2", "spearman", "perplexity", "perplexity_drop"),
        *("exact_match", "tool_call", "slot_f1", "json_validity", "rouge_l", "loss"),
    }
)


def headline(metrics: Mapping[str, float], judged: str | None = None) -> dict[str, float]:
    """Return the metrics that are told first, and the judged one where it is none of these, before them."""
    first = (judged,) if judged in metrics and judged not in HEADLINE else ()
    return {name: metrics[name] for name in (*first, *HEADLINE) if name in metrics and name is not None}
