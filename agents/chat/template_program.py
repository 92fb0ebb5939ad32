"""The program that renders chat templates, in a process of its own: a template is a program of whoever made the model.

It is started by its path (`agents/chat/template_process.py`), imports nothing of Tuneline, so that it is there soon,
and has neither keys nor files open. Requests and answers are JSON, each behind its length, on standard input
and output.
What templates find is what transformers gives them, so that both write the same.
"""

import ctypes
import json
import resource
import struct
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, BinaryIO

from jinja2 import Template, TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

LENGTH = struct.Struct(">I")
#: Of prctl(2), by <linux/prctl.h>.
SET_NO_NEW_PRIVILEGES = 38
REASON_CHARACTERS = 500
FILES_OPEN_MOST = 16
#: The date of the request.
_today: list[datetime] = []


def serve(limits: Mapping[str, int]) -> None:
    """Answer requests until there are no more. `limits`: of memory in MiB, of processor time in s for each request.

    A request is `{"template", "variables", "messages", "tools", "date", "opens_answer", "characters_most"}`; its answer
    has one of `text`, `refused` (by the template, with its reason) and `limit` (what it went beyond).
    """
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    # Nothing that a template has printed can get among the answers.
    sys.stdout = sys.stderr
    _shut_in(limits["memory_mib"])
    while head := requests.read(LENGTH.size):
        request = json.loads(requests.read(LENGTH.unpack(head)[0]))
        _allow(limits["cpu_s"])
        _send(answers, _answer(request))


def _shut_in(memory_mib: int) -> None:
    prctl: Callable[..., int] = getattr(ctypes.CDLL(None), "prctl", lambda *_: 0)
    prctl(SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    memory = memory_mib << 20
    bounds = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: FILES_OPEN_MOST,
    }
    for bound, most in bounds.items():
        resource.setrlimit(bound, (most, most))


def _allow(cpu_s: int) -> None:
    """Bound the processor time from here on; past it the kernel ends this process, also where nobody waits any more."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + cpu_s, hard))


def _send(answers: BinaryIO, answer: Mapping[str, str]) -> None:
    written = json.dumps(answer).encode()
    answers.write(LENGTH.pack(len(written)) + written)
    answers.flush()


def _answer(request: Mapping[str, Any]) -> dict[str, str]:
    try:
        return _rendered(request)
    except MemoryError:
        return {"limit": "memory"}
    except Exception as fault:
        # Whatever a template does wrong, such as a division by nothing, is its refusal.
        reason = str(fault) or type(fault).__name__
        return {"refused": reason[:REASON_CHARACTERS].encode(errors="replace").decode()}


def _rendered(request: Mapping[str, Any]) -> dict[str, str]:
    pieces, left = [], request["characters_most"]
    _today[:] = [datetime.fromisoformat(request["date"])]
    found = _template(request["template"]).generate(
        messages=request["messages"],
        tools=request["tools"],
        documents=None,
        add_generation_prompt=request["opens_answer"],
        **request["variables"],
    )
    for piece in found:
        pieces.append(piece)
        left -= len(piece)
        if left < 0:
            return {"limit": "characters"}
    text = "".join(pieces)
    # Half of a character can't be sent, nor learned.
    return {"text": text.encode(errors="replace").decode()}


# -- what templates find ----------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _template(text: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals |= {
        "raise_exception": _raise_exception,
        "strftime_now": _strftime_now,
        "dict": _Dict(),
        "namespace": _Namespace,
    }
    return environment.from_string(text)


class _Generation(Extension):
    """`{% generation %}`, by which some templates mark answers; nothing here asks what is marked."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_written"), [], [], body).set_lineno(line)

    def _written(self, caller: Callable[[], str]) -> str:
        return caller()


class _Dict:
    """`dict`, without what else the class has."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


class _Namespace(Namespace):
    """`namespace`, whose names have no underscore in front."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        # Without names of its own, so that a template may set `self`.
        self, given = args[0], dict(*args[1:], **kwargs)
        for name in given:
            _Namespace._check_name(name)
        Namespace.__init__(self, given)

    def __setitem__(self, name: str, value: Any) -> None:
        _Namespace._check_name(name)
        super().__setitem__(name, value)

    @staticmethod
    def _check_name(name: Any) -> None:
        if isinstance(name, str) and name.startswith("_"):
            raise SecurityError(f"a namespace has no names such as {name!r}")


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: Any = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own writes HTML's characters as escapes.
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _strftime_now(form: str) -> str:
    # The clock would make other tokens of the same conversation tomorrow.
    return _today[0].strftime(form)


if __name__ == "__main__":
    serve(json.loads(sys.argv[3]))
