"""Two measures of one thing held together: what training saw on the validation split, evaluation on the test split."""

from agents.metrics.bootstrap import share_interval
from agents.tasks import find_task
from agents.tasks.measure import Measured
from agents.training.types import TrainingOutput

#: A difference that the rows do not explain, and one that nothing does.
ALARMING = 0.1
ALWAYS_ALARMING = 0.5


def disagreements(
    training: TrainingOutput, measured: Measured, validation_rows: int, positive_label: str | None
) -> list[str]:
    """Return a sentence for each figure that is another on the validation split than chance lets it be on the test's.

    Held together are the shares that both have. F1 of another label than the training's is another figure.
    """
    found = []
    for name in find_task(training.task).validation_metrics:
        seen, now = training.metrics.get(f"validation_{name}"), measured.metrics.get(name)
        if seen is None or now is None or name in measured.unbounded or not (0 <= seen <= 1 and 0 <= now <= 1):
            continue
        if name == "loss" or (name == "f1" and positive_label != training.positive_label):
            continue
        then, bounds = share_interval(seen, validation_rows), measured.interval(name)
        apart = then.low > bounds.high or then.high < bounds.low
        if abs(seen - now) >= (ALARMING if apart else ALWAYS_ALARMING):
            found.append(
                f"{name} was {seen:.4f} on {validation_rows} validation rows and is {now:.4f} on {len(measured.rows)} "
                "test rows: one of them is wrong, or the two splits are of different kinds. Look at the predictions."
            )
    return found
