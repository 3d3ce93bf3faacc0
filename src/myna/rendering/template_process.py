"""The process that renders a base's chat template: bounded in time, memory and output.

A template is a program that came with a model. jinja2's sandbox keeps it from files and modules,
but not from loops without end or a text of many gigabytes. So it runs in a process of its own,
which the system ends at its limits:

    standard input     {"source", "date": "YYYY-MM-DD", "tokens": {name: text},
                        "conversations": [[{"role", "content"}, …], …]}
    standard output    {"error": why it cannot be used} or
                       {"rendered": [[text, ""] or [null, why it refuses]]}

Run as a script of its own, it imports nothing of myna, and so starts quickly.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any, NoReturn

CPU_SECONDS = 2
MAX_BYTES = 2**30
"""Limit of the address space; jinja2 itself takes a tenth."""
MAX_CHARS = 1_000_000
"""Longest text of all conversations together."""


def _limit() -> None:
    """Limit this process, where the system can: Windows leaves it to the parent's clock."""
    try:
        import resource
    except ModuleNotFoundError:
        return
    for kind, most in ((resource.RLIMIT_CPU, CPU_SECONDS), (resource.RLIMIT_AS, MAX_BYTES)):
        hard = resource.getrlimit(kind)[1]
        wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(kind, (wanted, hard))
        except (ValueError, OSError):
            continue  # macOS refuses some


def _refuse(why: str) -> NoReturn:
    raise ValueError(why)


def _render_all(asked: dict[str, Any]) -> dict[str, Any]:
    from jinja2 import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = datetime.fromisoformat(asked["date"]).strftime
    environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    try:
        template = environment.from_string(asked["source"])
    except (TemplateError, RecursionError) as error:
        return {"error": " ".join(str(error).split())[:200]}
    rendered: list[tuple[str | None, str]] = []
    left = MAX_CHARS
    for messages in asked["conversations"]:
        try:
            text = ""
            for piece in template.generate(
                messages=messages,
                add_generation_prompt=False,
                enable_thinking=False,
                tools=None,
                documents=None,
                **asked["tokens"],
            ):
                text += piece
                left -= len(piece)
                if left < 0:
                    return {"error": f"it writes more than {MAX_CHARS:,} characters"}
            rendered.append((text, ""))
        except MemoryError:
            return {"error": "it takes more memory than a template may"}
        except RecursionError:
            return {"error": "it calls itself without end"}
        except (TemplateError, ValueError, TypeError, LookupError, ArithmeticError) as error:
            rendered.append((None, " ".join(str(error).split())[:80]))
    return {"rendered": rendered}


if __name__ == "__main__":
    _limit()
    try:
        answer = _render_all(json.load(sys.stdin))
    except MemoryError:
        answer = {"error": "it takes more memory than a template may"}
    json.dump(answer, sys.stdout)
