"""Small agents for tests of the engine: each does one thing that a real agent may do."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from agents import AgentEntry
from agents.base.agent import Agent, Context
from agents.base.errors import InvalidData, StopRequested, Unavailable
from agents.base.records import Artifact, Config, DeviceNeed, Output
from agents.base.sources import Sources


class EchoConfig(Config):
    """What the echo says."""

    say: str = "hello"
    level: int = 1


class EchoOutput(Output):
    """What was said, and by whom before."""

    said: str
    level: int
    heard: list[str]
    artifact: Artifact
    model_name: str = "echo"
    version: int = 0
    verdict: str = "PROMOTE"
    champion_version: int | None = None


class EchoAgent(Agent[EchoConfig, EchoOutput]):
    """Says its text, stores it as an artifact, and hands on what it heard."""

    config_type = EchoConfig
    output_type = EchoOutput

    def run(self, config: EchoConfig, context: Context) -> EchoOutput:
        context.log("said", text=config.say)
        context.progress(1, 1)
        artifact = context.objects.put_artifact(config.say.encode())
        heard = [given.output["said"] for given in context.inputs]
        return EchoOutput(said=config.say, level=config.level, heard=heard, artifact=artifact)


class AnythingConfig(Config):
    """A value of any kind."""

    value: str | int | float | bool | None = None


class AnythingAgent(Agent[AnythingConfig, EchoOutput]):
    """Takes whatever a matrix may have."""

    config_type = AnythingConfig
    output_type = EchoOutput

    def run(self, config: AnythingConfig, context: Context) -> EchoOutput:
        artifact = context.objects.put_artifact(repr(config.value).encode())
        return EchoOutput(said=repr(config.value), level=1, heard=[], artifact=artifact)


class VersionAgent(EchoAgent):
    """Makes a model version, as export does."""

    makes_version: ClassVar[bool] = True
    reads_champion: ClassVar[bool] = True

    def run(self, config: EchoConfig, context: Context) -> EchoOutput:
        said = super().run(config, context)
        version, champion = context.version or 0, (context.champion or {}).get("version")
        manifest = {"version": version, "verdict": "PROMOTE", "reasons": [], "metrics": {}, "formats": {}}
        context.objects.put_manifest(f"models/echo/versions/{version:06d}/manifest.json", manifest)
        return said.model_copy(update={"version": version, "champion_version": champion})


class FailConfig(Config):
    """How to fail."""

    kind: str = "data"
    times: int = 100


class FailAgent(Agent[FailConfig, EchoOutput]):
    """Fails the way its config says, for its first attempts."""

    config_type = FailConfig
    output_type = EchoOutput
    cacheable: ClassVar[bool] = False

    def run(self, config: FailConfig, context: Context) -> EchoOutput:
        if context.attempt <= config.times:
            fail(config.kind)
        artifact = context.objects.put_artifact(b"at last")
        return EchoOutput(said="at last", level=context.attempt, heard=[], artifact=artifact)


def fail(kind: str) -> None:
    """Fail as `kind` says."""
    if kind == "data":
        raise InvalidData("Row 3 has no text.", cure="Write one.")
    if kind == "away":
        raise Unavailable("The hub doesn't answer.")
    if kind == "memory":
        raise MemoryError("no room")
    if kind == "bug":
        raise ZeroDivisionError("division by zero")
    if kind == "full":
        # A device of Linux whose every write finds no room.
        Path("/dev/full").write_bytes(b"x")
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)


class WaitConfig(Config):
    """Whether a stop is answered at all."""

    deaf: bool = False
    helper: bool = False
    """Whether it starts a process of its own that outlives it if nobody ends it."""
    mib: int | None = None
    """What it needs of a GPU."""


class WaitAgent(Agent[WaitConfig, EchoOutput]):
    """Runs in a process of its own until it is told to stop; its first attempt only, then it ends."""

    config_type = WaitConfig
    output_type = EchoOutput
    heavy: ClassVar[bool] = True
    cacheable: ClassVar[bool] = False

    def run(self, config: WaitConfig, context: Context) -> EchoOutput:
        helper = subprocess.Popen(["sleep", "1000"]).pid if config.helper else None
        gpu = {
            "devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "mib": context.device_mib,
            "torch": "torch" in sys.modules,
        }
        context.log("waiting", pid=os.getpid(), attempt=context.attempt, helper=helper, **gpu)
        if context.attempt == 1:
            self._wait(config, context)
        artifact = context.objects.put_artifact(b"done")
        return EchoOutput(said="done", level=context.attempt, heard=[], artifact=artifact)

    def device_need(self, config: WaitConfig, context: Context) -> DeviceNeed:
        return DeviceNeed(mib=config.mib)

    @staticmethod
    def _wait(config: WaitConfig, context: Context) -> None:
        pause = threading.Event()
        while True:
            pause.wait(0.05)
            if not config.deaf and (kind := context.stop_requested()):
                context.log("checkpoint_saved")
                raise StopRequested(kind)


class LightWaitAgent(WaitAgent):
    """The same inside the worker's own process."""

    heavy: ClassVar[bool] = False


class ChatterConfig(Config):
    """How much to say; `gates`: a folder whose file `N` must be there before record N is said."""

    records: int
    gates: str
    gate_every: int


class ChatterAgent(Agent[ChatterConfig, EchoOutput]):
    """Says many numbered records."""

    config_type = ChatterConfig
    output_type = EchoOutput
    cacheable: ClassVar[bool] = False

    def run(self, config: ChatterConfig, context: Context) -> EchoOutput:
        pause = threading.Event()
        for number in range(config.records):
            gate = Path(config.gates, str(number))
            while number and number % config.gate_every == 0 and not gate.exists():
                pause.wait(0.005)
            context.log("said", number=number, attempt=context.attempt)
        artifact = context.objects.put_artifact(b"all said")
        return EchoOutput(said="all said", level=context.attempt, heard=[], artifact=artifact)


class CarelessOutput(Output):
    """Figures as they come."""

    figures: dict[str, float]
    said: str
    anything: Any = None


class CarelessConfig(Config):
    """How long a text to return; whether to fail instead."""

    size: int = 0
    fail: bool = False


class CarelessAgent(Agent[CarelessConfig, CarelessOutput]):
    """Says and returns what JSON can't hold."""

    config_type = CarelessConfig
    output_type = CarelessOutput
    cacheable: ClassVar[bool] = False

    def run(self, config: CarelessConfig, context: Context) -> CarelessOutput:
        half = "half \ud800"
        context.log("diverged", level="warn", loss=float("nan"), text=half, where=Path("/a"), **{half: {1, 2}})
        context.log("loud", level="shout", long="x" * 100_000)
        context.progress(float("nan"), float("inf"), loss=float("-inf"), kind="none")
        context.progress(1, 2, text=half)
        if config.fail:
            raise InvalidData(f"Row 3: {half} " + "y" * 50_000, details=[{"path": 3, "message": half, "seen": {1}}])
        figures = CarelessOutput.model_validate(context.inputs[0].output).figures if context.inputs else {}
        figures |= {"f1": float("nan"), "loss": float("inf"), "rows": 3.0}
        return CarelessOutput(figures=figures, said="x" * config.size, anything=[half, float("-inf")])


class HeavyCarelessAgent(CarelessAgent):
    """The same in a process of its own."""

    heavy: ClassVar[bool] = True


class StubbornConfig(Config):
    """What it does, and whether it does so while it is asked what its step's key is made of."""

    how: str
    early: bool = False


class StubbornAgent(Agent[StubbornConfig, EchoOutput]):
    """Does in the worker's own process what no agent should."""

    config_type = StubbornConfig
    output_type = EchoOutput

    def cache_inputs(self, config: StubbornConfig, sources: Sources) -> dict[str, str]:
        if config.early:
            STUBBORN[config.how]()
        return {}

    def run(self, config: StubbornConfig, context: Context) -> EchoOutput:
        context.log("waiting", pid=os.getpid(), attempt=context.attempt)
        STUBBORN[config.how]()
        artifact = context.objects.put_artifact(b"done")
        return EchoOutput(said="done", level=context.attempt, heard=[], artifact=artifact)


class HeavyStubbornAgent(StubbornAgent):
    """The same in a process of its own."""

    heavy: ClassVar[bool] = True


def loop_in_c() -> None:
    """Hold the interpreter's lock: no other thread and no signal's handler runs."""
    re.match(r"(a+)+$", "a" * 60 + "b")


def catch_everything() -> None:
    while True:
        try:
            threading.Event().wait(0.05)
            raise ValueError
        except BaseException:
            continue


def read_what_never_comes() -> None:
    os.read(os.pipe()[0], 1)


def ignore_signals() -> None:
    for number in {signal.SIGTERM, signal.SIGALRM, signal.SIGINT}:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    catch_everything()


def leave_an_alarm() -> None:
    """Return with a timer that would end the process, or break into the next agent."""
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0.1)


def fill_memory() -> None:
    kept = []
    while True:
        kept.append(bytearray(b"x") * (4 << 20))
        threading.Event().wait(0.01)


def throw(fault: BaseException) -> None:
    raise fault


class OwnEnd(BaseException):
    """An exception that only `except BaseException` catches."""


STUBBORN: dict[str, Callable[[], object]] = {
    "loops in C": loop_in_c,
    "catches everything": catch_everything,
    "reads what never comes": read_what_never_comes,
    "ignores signals": ignore_signals,
    "stops its process": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "leaves an alarm": leave_an_alarm,
    "fills memory": fill_memory,
    "sys.exit": lambda: sys.exit(3),
    "sys.exit with a text": lambda: sys.exit("no more"),
    "KeyboardInterrupt": lambda: throw(KeyboardInterrupt()),
    "GeneratorExit": lambda: throw(GeneratorExit()),
    "own BaseException": lambda: throw(OwnEnd("over")),
    "os._exit": lambda: os._exit(7),
    "os._exit(0)": lambda: os._exit(0),
    "abort": os.abort,
    "SIGALRM": lambda: (signal.signal(signal.SIGALRM, signal.SIG_DFL), signal.raise_signal(signal.SIGALRM)),
    "SIGSEGV": lambda: signal.raise_signal(signal.SIGSEGV),
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


class KilledAgent(FailAgent):
    """Fails in a process of its own."""

    heavy: ClassVar[bool] = True


NAMES = (
    *("echo", "version", "fail", "wait", "light_wait", "killed", "chatter", "anything", "careless", "heavy_careless"),
    *("stubborn", "heavy_stubborn"),
)
TEST_AGENTS: dict[str, AgentEntry] = {
    name: AgentEntry(f"tests.support.agents:{name.title().replace('_', '')}Agent", "default") for name in NAMES
}


def spec(nodes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a spec with these nodes."""
    return {"name": "test", "nodes": nodes, **fields}


def echo(*needs: str, **fields: Any) -> dict[str, Any]:
    """Return an echo node."""
    return {"agent": "echo", "needs": list(needs), **fields}
