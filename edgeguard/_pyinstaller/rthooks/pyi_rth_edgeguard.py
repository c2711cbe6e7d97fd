"""Runs before the frozen program's own code; a child that edgeguard started serves and exits."""

import os
import sys


def _serve_or_go_on() -> None:
    module = os.environ.pop("EDGEGUARD_CHILD_MODULE", None)
    if module is not None:
        from edgeguard import child_process

        child_process.serve(module)
    setattr(sys, "_edgeguard_children", True)  # noqa: B010 - child_process.HOOKED; nothing is imported here


_serve_or_go_on()
