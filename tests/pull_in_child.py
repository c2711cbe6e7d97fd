"""`edgeguard` with a small checkpoint in the place of gen-0.6b, for tests that need a process.

    python pull_in_child.py FOLDER pull ...

FOLDER holds the checkpoint that the hub at HF_ENDPOINT serves.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hub import release_of
from huggingface_hub import constants

from edgeguard.cli import main
from edgeguard.store import registry

constants.DOWNLOAD_CHUNK_SIZE = 1 << 14
registry.RELEASES = (release_of(Path(sys.argv.pop(1))),)
if limit := os.environ.get("FILE_SIZE_LIMIT"):
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
main()
