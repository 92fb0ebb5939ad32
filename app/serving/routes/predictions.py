"""`POST /predict/{model}`: a label for a text, or for many at once."""

from typing import Any

import orjson
from fastapi import FastAPI, Response

from agents.base.errors import InvalidRequest, NotFound, Overloaded
from app.http import ModelName
from app.openapi import faults
from app.serving.routes.schemas import BatchAnswer, BatchBody, PredictBody, PredictionAnswer
from app.serving.runtime.predictions import Predictions


def add_prediction_routes(app: FastAPI, predictions: Predictions) -> None:
    """Add the routes that answer with labels."""
    # The answers are made here and need no second look: FastAPI would check and copy each before it is written.
    refused = faults(NotFound, InvalidRequest, Overloaded)

    @app.post(
        "/predict/{model}",
        tags=["predictions"],
        summary="Predict a label",
        response_model=PredictionAnswer,
        responses=refused,
    )
    async def predict(model: ModelName, body: PredictBody) -> Response:
        """Answer for one text."""
        return _json((await predictions.answer(model, [body.text]))[0])

    @app.post(
        "/predict/{model}/batch",
        tags=["predictions"],
        summary="Predict many labels",
        response_model=BatchAnswer,
        responses=refused,
    )
    async def predict_batch(model: ModelName, body: BatchBody) -> Response:
        """Answer for many texts at once."""
        return _json({"predictions": await predictions.answer(model, body.texts)})


def _json(answer: dict[str, Any]) -> Response:
    return Response(orjson.dumps(answer), media_type="application/json")
