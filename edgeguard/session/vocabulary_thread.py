"""A vocabulary that is loaded in a thread of its own, while weights are read and modules imported.

It is the same file, read by the same library, so the ids are the same. This module does not know
what else happens meanwhile.
"""

from __future__ import annotations

import threading
from pathlib import Path

from edgeguard.session.interface import VocabularyFacts
from edgeguard.session.stop_flag import StopFlag
from edgeguard.session.vocabulary import LoadedVocabulary


class VocabularyThread:
    """The load of a vocabulary, begun; ``close`` it unless ``result`` was asked for."""

    def __init__(self, path: Path, facts: VocabularyFacts, flag: StopFlag) -> None:
        """``facts``: what an earlier load of this file found; ``flag`` ends the load."""
        self.facts = facts
        self._path = path
        self._flag = flag
        self._found: LoadedVocabulary | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._load, name="edgeguard-vocabulary", daemon=True)
        self._thread.start()

    def result(self) -> LoadedVocabulary:
        """Wait for the vocabulary, which is the caller's to close.

        Raises ModelError for a file that llama.cpp refuses, CancelledError.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        found, self._found = self._found, None
        assert found is not None, "a vocabulary has one owner"
        return found

    def close(self) -> None:
        """Wait for the thread, and free what nobody has asked for."""
        self._thread.join()
        if self._found is not None:
            self._found.close()
            self._found = None

    def _load(self) -> None:
        try:
            self._found = LoadedVocabulary(self._path, self._flag, self.facts)
        except BaseException as error:  # raised again where the result is asked for
            self._error = error
