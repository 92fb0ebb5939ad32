"""What a classifier is trained for: class weights move answers to the rare label, and leave the loss of one size."""

from types import SimpleNamespace

import numpy as np
import torch

from agents.data.batches import Rows, collate
from agents.tasks.classification.objective import Labels, balanced_weights

#: One token a row: ham has the first, and more rows with the second than spam has.
HAM_ALONE, SHARED_HAM, SHARED_SPAM = 52, 20, 8


class OneToken(torch.nn.Module):
    """Logits by the first token of a row."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = torch.nn.Embedding(3, 2, _weight=torch.zeros(3, 2))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.logits(input_ids[:, 0]))


def fitted(rows: Rows, weights: torch.Tensor) -> tuple[float, float]:
    """Return the recall of the rare label after a training, and the loss of the first step."""
    model, objective = OneToken(), Labels(weights, 1, 0.0)
    batch = collate(rows, np.arange(len(rows)), 0, torch.device("cpu"))
    optimizer, losses = torch.optim.SGD(model.parameters(), lr=2.0), []
    for _ in range(100):
        loss = objective.loss(model, batch) / objective.weight(rows, [np.arange(len(rows))])  # type: ignore[arg-type]
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    said = model(batch.input_ids, None).logits.argmax(dim=1).numpy()
    return float((said[rows.targets == 1] == 1).mean()), losses[0]


def test_balanced_weights_raise_the_recall_of_the_rare_label_and_leave_the_loss_of_one_size() -> None:
    labels = np.array([0] * (HAM_ALONE + SHARED_HAM) + [1] * SHARED_SPAM)
    tokens = np.array([1] * HAM_ALONE + [2] * (SHARED_HAM + SHARED_SPAM))
    rows = Rows(tokens, np.arange(len(tokens) + 1), labels)
    plain, balanced = fitted(rows, torch.ones(2)), fitted(rows, balanced_weights(labels, 2))

    assert (plain[0], balanced[0]) == (0.0, 1.0)
    assert abs(plain[1] - balanced[1]) < 1e-6
