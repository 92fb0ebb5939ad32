"""Libraries talk about themselves; none of it reaches the output of a process of ours."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

CONVERT_AND_ADAPT = """
import sys
from pathlib import Path
from agents.training.config import TrainingConfig
from agents.training.model import build_model, choose_placement

file, folder = Path(sys.argv[1]), Path(sys.argv[2])
config = TrainingConfig(task="sft", model=str(file))
build_model(config, file, [], choose_placement(config), cache_dir=folder, pad_token_id=0)
"""


@pytest.mark.slow
def test_a_gguf_base_is_converted_and_gets_its_adapter_in_silence(short_smollm2: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CONVERT_AND_ADAPT, str(short_smollm2), str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY, timeout=120)

    assert (done.stdout, done.stderr) == ("", "")
    assert len(list((tmp_path / "gguf-weights").iterdir())) == 1
