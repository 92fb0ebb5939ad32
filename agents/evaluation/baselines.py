"""`must_beat`: baselines that a model must be shown to be better than, on the rows that it was judged by."""

from agents.base.agent import Context
from agents.comparison.types import ComparisonConfig
from agents.evaluation.types import EvaluationConfig, EvaluationOutput
from agents.preprocessing.types import PreprocessingOutput
from agents.tasks.pairs import make_pairs


def held_to_baselines(
    config: EvaluationConfig, context: Context, data: PreprocessingOutput, judged: EvaluationOutput
) -> EvaluationOutput:
    """Return what was judged, with a sentence for each baseline that it must beat; held back where that isn't shown.

    Raises:
        InvalidData: a baseline can't learn the rows. InvalidModel: the base model can't be loaded.
    """
    if not config.must_beat:
        return judged
    asked = ComparisonConfig(baselines=list(dict.fromkeys(config.must_beat)), batch_size=config.batch_size)
    pairs = make_pairs(asked, context, data, judged)
    compared = {name: pair.compared(judged.metric) for name, pair in pairs.items()}
    reasons = [found.sentence(name, judged.metric) for name, found in compared.items()]
    beaten = all(found.better == "shown" for found in compared.values())
    verdict = judged.verdict if beaten or judged.verdict != "PROMOTE" else "HOLD"
    return judged.model_copy(update={"verdict": verdict, "reasons": [*judged.reasons, *reasons], "compared": compared})
