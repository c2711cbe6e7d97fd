"""In a process of its own: each damaged file is loaded and asked, and what came of it printed.

    python mutants.py WHOLE FOLDER ours|foreign PART PARTS

A line of JSON for each, written before the next one is tried: where the process dies, the last line
names the file. The parts of a run share the files between them.
"""

from __future__ import annotations

import json
import logging
import sys
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Any

from gguf_files import foreign, random_damage, structural

from edgeguard.errors import EdgeguardError
from edgeguard.loading import Options, load, prepare
from edgeguard.protocol.messages import Message
from edgeguard.session.stop_flag import StopFlag
from edgeguard.store.model_file import ModelFile

QUESTION = (Message("user", "What is the capital of France?"),)
OPTIONS = Options(threads=1, n_ctx=1024, device="cpu", allow_random_weights=True)


def outcome(path: Path) -> dict[str, Any]:
    """What a file says, or why it says nothing; no child tries it first."""
    try:
        plan = prepare(ModelFile(path, "mutant", None, None, built_in=False), OPTIONS)
        loaded = load(plan, StopFlag(), None)
        with closing(loaded.session):
            (question,) = loaded.windows.questions(QUESTION)
            decoded = loaded.decoder.decode(question, fresh=True)
    except EdgeguardError as error:
        return {"error": type(error).__name__, "why": str(error)}
    return {"severity": decoded.answer.severity, "shares": decoded.probabilities}


def main() -> None:
    whole, folder, whose, part, parts = sys.argv[1:]
    logging.disable(logging.WARNING)
    data = Path(whole).read_bytes()
    if whose == "foreign":
        data = foreign(data)
        files = chain([("whole", data)], structural(data))
    else:
        files = chain([("whole", data)], structural(data), random_damage(data, 7, 100))
    path = Path(folder) / "mutant.gguf"
    for name, mutant in islice(files, int(part), None, int(parts)):
        print(json.dumps({"name": name}), flush=True)
        path.write_bytes(mutant)
        print(json.dumps({"name": name, "same": mutant == data, **outcome(path)}), flush=True)


if __name__ == "__main__":
    main()
