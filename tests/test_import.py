"""`import edgeguard` is quick and changes nothing of the program that does it."""

from __future__ import annotations

import json
import subprocess
import sys

LIMIT = 0.06
"""Seconds of processor time; of some tries the best, since the machine does other work too."""

PROGRAM = """
import json, logging, os, signal, sys, threading, time

def state():
    return [
        repr(logging.root.handlers), logging.root.level, threading.active_count(),
        [repr(signal.getsignal(s)) for s in sorted(signal.valid_signals())],
        dict(os.environ), sys.path, repr(sys.excepthook), os.getcwd(), len(os.listdir("/dev/fd")),
    ]

before, start = state(), time.process_time()
import edgeguard
seconds = time.process_time() - start
heavy = [m for m in ("llama_cpp", "numpy", "pydantic", "asyncio", "click") if m in sys.modules]
print(json.dumps({"seconds": seconds, "same": state() == before, "heavy": heavy}))
"""


def _import() -> dict[str, object]:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_it_is_quick_and_has_no_effects() -> None:
    found = [_import() for _ in range(5)]
    assert all(each["same"] for each in found)
    assert found[0]["heavy"] == []
    assert min(float(str(each["seconds"])) for each in found) < LIMIT
