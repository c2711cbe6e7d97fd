"""Tables judged by the engines that spread them over processes and machines.

    judge.py   one class for Ray Data, Daft, Spark and Dask: a table in, the same with verdicts out
    tables.py  the three forms in which they hand tables over: rows out of them, columns onto them
    guards.py  one guard a process, with the processors that the engine gave to its task

Which process judges which rows, and what happens when one dies, is the engine's to say. No engine
is imported here before one is running.
"""

from edgeguard.scale.judge import Judge

__all__ = ["Judge"]
