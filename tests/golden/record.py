"""Record the golden figures anew: `python -m tests.golden.record`. The test compares and never writes."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from app.processes.embedded import start_s3
from tests.conftest import AgentBench, new_bucket
from tests.golden.figures import Figures
from tests.golden.pipelines import classification, file_of, one_cpu_thread, sft
from tests.support.decoders import write_tiny_decoder
from tests.support.prepared import write_small_model


def record(folder: Path) -> None:
    server = start_s3(folder / "s3", "test-key", "test-secret")
    models = folder / "models"
    write_small_model(models / "small")
    write_tiny_decoder(models / "decoder")

    def write(task: str, run: Callable[[AgentBench, str], Figures], model: str) -> None:
        found = run(AgentBench(new_bucket(server), folder / task, (models,)), model)
        file_of(task).parent.mkdir(exist_ok=True)
        file_of(task).write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", "utf-8")

    try:
        with one_cpu_thread():
            write("classification", classification, "small")
            write("sft", sft, "decoder")
    finally:
        server.stop()


if __name__ == "__main__":
    with TemporaryDirectory() as scratch:
        record(Path(scratch))
