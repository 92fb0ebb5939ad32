"""Rows from a hub: configurations, splits, revisions and permissions as `datasets` knows them, against a small hub."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from agents.base.source_uri import HubRows, Repository, hub_rows_of
from tests.conftest import REPOSITORY
from tests.support.hub import HubOfRows, serving

SCRIPT = """
import json, sys
from pathlib import Path
from agents.base.errors import TunelineError
from agents.base.object_store import ObjectStore
from agents.base.sources import Sources
from agents.data.files.folders import row_files
from agents.data.reader import RowsReader
from agents.dataset.types import DatasetConfig
from tests.fuzz.parsers import Quiet
sources = Sources(ObjectStore("http://127.0.0.1:1", "key", "secret", "bucket"), (), Path("cache"))
for uri in json.loads(sys.argv[1]):
    try:
        reader = RowsReader(DatasetConfig(source=uri), Quiet(), row_files(sources.local(uri, "rows")))
        rows = [[row.split, row.text, row.label] for row in reader.rows()]
        print(json.dumps([rows, sorted(reader.left_out), sources.fingerprint(uri, "rows")]))
    except TunelineError as fault:
        print(json.dumps(f"{type(fault).__name__} {fault}"))
"""
LINES = b'{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n{"text": "c", "label": "x"}\n'


def parquet(texts: list[str], labels: list[int]) -> bytes:
    features = {"text": {"dtype": "string", "_type": "Value"}, "label": {"names": ["no", "yes"], "_type": "ClassLabel"}}
    table = pyarrow.table({"text": texts, "label": labels})
    out = io.BytesIO()
    pyarrow.parquet.write_table(
        table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})}), out
    )
    return out.getvalue()


CARD = """---
configs:
- config_name: de
  data_files:
  - {split: train, path: german.csv}
- config_name: en
  data_files:
  - {split: train, path: english.csv}
  - {split: test, path: held.csv}
---
# Two languages
"""
LAUGHS = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
REPOSITORIES = {
    "org/lines": {"README.md": b"# Rows\n", "data/train.jsonl": LINES, "data/test.jsonl": LINES[:28]},
    "org/classes": {"data/train-00000-of-00001.parquet": parquet(["a", "b"], [1, 0])},
    "org/languages": {
        "README.md": CARD.encode(),
        "german.csv": b"text,label\nja,x\nnein,y\n",
        "english.csv": b"text,label\nyes,x\nno,y\n",
        "held.csv": b"text,label\nmaybe,x\n",
    },
    "org/scripted": {"scripted.py": b"raise SystemExit('run')", "train.csv": b"text,label\na,x\n"},
    "org/gated": {"README.md": b"", "train.jsonl": LINES},
    "org/outside": {"README.md": b"---\nconfigs:\n- {config_name: a, data_files: /etc/hostname}\n---\n"},
    "org/elsewhere": {"README.md": b"---\nconfigs:\n- {config_name: a, data_files: 'http://127.0.0.1:1/x.csv'}\n---\n"},
    "org/upwards": {"README.md": b"---\nconfigs:\n- {config_name: a, data_files: ../lines/data/train.jsonl}\n---\n"},
    "org/laughs": {"README.md": f"---\na0: &a0 [x]\n{LAUGHS}---\n".encode()},
    "org/pictures": {"train/a.png": b"\x89PNG", "train/b.png": b"\x89PNG"},
    "org/packed": {"train.zip": b"PK\x05\x06" + b"\x00" * 18},
}


def ask(folder: Path, uris: list[str], **settings: str) -> list[Any]:
    env = {**os.environ, "HF_HOME": str(folder / "home"), "PYTHONPATH": str(REPOSITORY), **settings}
    command = [sys.executable, "-c", SCRIPT, json.dumps(uris)]
    answer = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr[-3000:]
    return [json.loads(line) for line in answer.stdout.splitlines()]


def test_rows_of_a_hub_come_by_configuration_split_and_revision_and_again_without_a_network(tmp_path: Path) -> None:
    hub = HubOfRows(REPOSITORIES, gated=frozenset({"org/gated"}))
    said = {
        "hf://org/languages": "InvalidData 'hf://org/languages' has several configurations, or not this one: de, en.",
        "hf://org/languages?config=fr": "InvalidData 'hf://org/languages' has several configurations, or not this one",
        "hf://org/lines?split=dev": "InvalidData 'hf://org/lines' has no split 'dev'; it has: test, train.",
        "hf://org/scripted": "InvalidData 'hf://org/scripted' is a script, which is never run.",
        "hf://org/gated": "NotAllowed 'hf://org/gated' is gated. Ask its owner for access on its page, and set",
        "hf://org/absent": "InvalidData The hub has no 'hf://org/absent'.",
        "hf://org/lines@other": "InvalidData The hub's repository has no such revision: 'hf://org/lines@other'.",
        "hf://org/outside": "NotAllowed README.md of 'hf://org/outside' names data outside of it: '/etc/hostname'.",
        "hf://org/elsewhere": "NotAllowed README.md of 'hf://org/elsewhere' names data outside of it: 'http://127",
        "hf://org/upwards": "NotAllowed README.md of 'hf://org/upwards' names data outside of it: '../lines/data",
        "hf://org/laughs": "InvalidData README.md of 'hf://org/laughs' can't be read as YAML: more than",
        "hf://org/pictures": "InvalidData 'hf://org/pictures' holds no rows of text: `datasets` reads it as image",
        "hf://org/packed": "InvalidData 'hf://org/packed'",
        "hf://org/lines?rows=0": "InvalidData 'hf://org/lines?rows=0' asks for something else than config, split and",
    }
    lines = ["train a x", "train b y", "train c x", "test a x"]
    read = {
        "hf://org/lines": lines,
        "hf://org/lines@main?rows=1": ["train a x", "test a x"],
        "hf://org/lines?split=test": ["None a x"],
        "hf://org/classes": ["train a yes", "train b no"],
        "hf://org/languages?config=de": ["train ja x", "train nein y"],
        "hf://org/languages?config=en": ["train yes x", "train no y", "test maybe x"],
    }
    with serving(hub) as url:
        found = ask(tmp_path, [*said, *read], HF_ENDPOINT=url)
        again = ask(tmp_path, ["hf://org/gated"], HF_ENDPOINT=url, HF_TOKEN=hub.token)
    for (uri, sentence), answer in zip(said.items(), found, strict=False):
        assert isinstance(answer, str), uri
        assert answer.startswith(sentence)
    rows = dict(zip(read, found[len(said) :], strict=True))
    assert {uri: [" ".join(map(str, row)) for row in answer[0]] for uri, answer in rows.items()} == read
    assert again[0][0] == [["train", *row] for row in (["a", "x"], ["b", "y"], ["c", "x"])]
    offline = ask(tmp_path, [*read, "hf://org/unknown"], HF_HUB_OFFLINE="1")
    assert offline[:-1] == list(rows.values())
    assert offline[-1].startswith("InvalidData 'hf://org/unknown' can't be fetched: it needs network or a local cache.")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("org/name", HubRows(Repository("org/name", None))),
        (
            "org/name@v1?config=en-US&split=train_sft&rows=10",
            HubRows(Repository("org/name", "v1"), "en-US", "train_sft", 10),
        ),
        ("org/name?config=20220301.en", HubRows(Repository("org/name", None), "20220301.en")),
        *(
            (f"org/name?{query}", None)
            for query in ("", "x=1", "split=a/b", "config=../x", "config=a&config=b", "rows=x")
        ),
        *((name, None) for name in ("name", "org/../x", "org/name@..", "org/name?split=")),
    ],
)
def test_what_is_asked_of_a_hub_is_checked_by_its_text(text: str, expected: HubRows | None) -> None:
    if expected is not None:
        assert hub_rows_of(text) == expected
        return
    with pytest.raises(ValueError, match=r"is not the name of|asks for something else"):
        hub_rows_of(text)
