"""The documents of both services; `make openapi` keeps those of a release in `deploy/openapi`."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.api.main import create_app
from app.serving.main import create_serving
from app.settings import Settings
from app.wiring import Parts


def present_documents() -> dict[str, dict[str, Any]]:
    """Return the documents of both services, connected to nothing."""
    nowhere: dict[str, Any] = {"redis_url": "redis://127.0.0.1:1", "s3_endpoint_url": "http://127.0.0.1:1"}
    with TemporaryDirectory() as folder:
        parts = Parts(Settings(_env_file=None, state_dir=Path(folder), **nowhere))
        serving = create_serving(parts)
        serving.state.serving.history.close()
        return {"api": create_app(parts).openapi(), "serving": serving.openapi()}


if __name__ == "__main__":
    for name, document in present_documents().items():
        text = json.dumps(document, indent=1, ensure_ascii=False)
        Path(sys.argv[1], f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
