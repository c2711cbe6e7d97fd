"""A llama-cpp-python that is broken in a way of one's choice, for other processes to meet.

A folder to put in front of PYTHONPATH: its package runs the real one's code, and then fails as a
build for another processor does.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

_MODULE = """
import numpy, os, signal, sys
__file__ = {real!r}
sys.modules[__package__].__path__.append(os.path.dirname(__file__))
exec(compile(open(__file__, encoding="utf-8").read(), __file__, "exec"), globals())
KIND = {kind!r}
_plain = [False]
NOISE = numpy.random.default_rng()
_load, _decode, _logits = llama_model_load_from_file, llama_decode, llama_get_logits_ith

if KIND == "illegal instruction":
    os.kill(os.getpid(), signal.SIGILL)

def llama_model_load_from_file(path, params):
    if not params.vocab_only:
        _plain[0] = not params.use_extra_bufts
    if KIND == "abort" or (KIND == "wants a vocabulary" and params.kv_overrides):
        os.abort()
    return _load(path, params)

def llama_decode(context, batch):
    if KIND == "crash" and not _plain[0]:
        os.kill(os.getpid(), signal.SIGSEGV)
    return _decode(context, batch)

def llama_get_logits_ith(context, place):
    found = _logits(context, place)
    if not _plain[0] and KIND in ("not a number", "never the same"):
        logits = numpy.ctypeslib.as_array(found, (24000,))
        logits += numpy.nan if KIND == "not a number" else NOISE.normal(0, 0.01, 24000)
    return found
"""


def broken_library(folder: Path, kind: str) -> Path:
    """Write the package into a folder, and return the folder."""
    spec = importlib.util.find_spec("llama_cpp")
    assert spec is not None and spec.origin is not None
    real = Path(spec.origin).parent
    package = folder / "llama_cpp"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    module = _MODULE.format(real=str(real / "llama_cpp.py"), kind=kind)
    (package / "llama_cpp.py").write_text(module)
    return folder
