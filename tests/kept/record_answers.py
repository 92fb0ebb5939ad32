"""What the kept versions answer when they are served."""

from fastapi.testclient import TestClient

from app.serving.main import create_app
from app.wiring import Parts
from tests.kept.dumps import write_json

TEXTS = ["Win a FREE prize now! Call 0800 to claim", "see you at the call", "?", "are we on for lunch, text me"]
MESSAGES = [{"role": "user", "content": "paint the door number 7 blue please"}]


def record_answers(parts: Parts) -> None:
    """Serve the champions and keep what they say: the classifier's scores, and how long the decoder's prompt is."""
    settings = parts.settings.model_copy(update={"serving_format": "merged"})
    app = create_app(parts.registry, parts.objects, settings, look_every_s=3600)
    app.state.serving.reconciler.follow()
    with TestClient(app) as client:
        answers = client.post("/predict/spam/batch", json={"texts": TEXTS}).json()["predictions"]
        asked = {"model": "colors", "messages": MESSAGES, "max_tokens": 1, "temperature": 0}
        usage = client.post("/v1/chat/completions", json=asked).json()["usage"]
    scores = {text: answer["scores"] for text, answer in zip(TEXTS, answers, strict=True)}
    prompt = {"messages": MESSAGES, "prompt_tokens": usage["prompt_tokens"]}
    write_json("versions/answers.json", {"spam": scores, "colors": prompt})
