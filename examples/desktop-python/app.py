"""A text field whose border and message show the verdict while one types."""

from __future__ import annotations

import argparse
import queue
import threading
import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from edgeguard import Cancellation, CancelledError, EdgeguardError, Guard, Verdict

PAUSE = 300
"""Milliseconds without a key after which the text is judged."""
COLOURS = {"Safe": "#2e7d32", "Controversial": "#e08600", "Unsafe": "#c62828"}
PLAIN, BROKEN = "#9e9e9e", "#6a1b9a"


class Window:
    """The program's window. Everything here runs in the main thread but what `_aside` is given."""

    def __init__(self, root: tk.Tk, model: str) -> None:
        self._root = root
        self._guard: Guard | None = None
        self._cancel = Cancellation()
        self._timer: str | None = None
        self._done: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        root.title("edgeguard")
        self._border = tk.Frame(root, background=PLAIN, padx=4, pady=4)
        self._border.pack(fill="both", expand=True, padx=16, pady=(16, 8))
        self._text = tk.Text(
            self._border, width=60, height=8, wrap="word", font=("", 14), relief="flat"
        )
        self._text.pack(fill="both", expand=True)
        self._text.bind("<<Modified>>", self._changed)
        self._message = tk.Label(root, text="The model is loading …", anchor="w", font=("", 12))
        self._message.pack(fill="x", padx=16)
        self._bar = ttk.Progressbar(root, maximum=1.0)
        self._bar.pack(fill="x", padx=16, pady=(4, 16))
        root.protocol("WM_DELETE_WINDOW", self.close)
        self._aside(
            lambda: Guard(model, threads="background", on_progress=self._progress), self._ready
        )
        self._bring_home()

    def close(self) -> None:
        """End the program; a check that runs is cancelled."""
        self._cancel.cancel()
        self._root.destroy()

    def _aside(self, work: Callable[[], object], then: Callable[[object], None]) -> None:
        """Do something in another thread, and call `then` with what came of it in this one."""

        def run() -> None:
            try:
                outcome: object = work()
            except EdgeguardError as error:
                outcome = error
            self._done.put(lambda: then(outcome))

        threading.Thread(target=run, daemon=True).start()

    def _bring_home(self) -> None:
        while not self._done.empty():
            self._done.get()()
        self._root.after(15, self._bring_home)

    def _progress(self, share: float) -> None:
        self._done.put(lambda: self._bar.configure(value=share))

    def _ready(self, outcome: object) -> None:
        if isinstance(outcome, Guard):
            self._guard = outcome
            self._bar.pack_forget()
            self._show(PLAIN, "Type something.")
            self._judge()
        else:
            self._show(BROKEN, f"Nothing is judged: {outcome}")

    def _changed(self, _event: object) -> None:
        self._text.edit_modified(False)
        self._cancel.cancel()
        if self._guard is not None:
            self._show(PLAIN, "…")  # what is shown must never be the verdict of another text
        if self._timer is not None:
            self._root.after_cancel(self._timer)
        self._timer = self._root.after(PAUSE, self._judge)

    def _judge(self) -> None:
        text, guard = self._text.get("1.0", "end-1c"), self._guard
        if guard is None:
            return
        if not text.strip():
            self._show(PLAIN, "Type something.")
            return
        cancel = self._cancel = Cancellation()
        self._aside(
            lambda: guard.check(text, cancel=cancel),
            lambda outcome: None if cancel.cancelled else self._judged(outcome),
        )

    def _judged(self, outcome: object) -> None:
        if isinstance(outcome, Verdict):
            named = f": {', '.join(outcome.categories)}" if outcome.categories else ""
            share = outcome.probabilities[outcome.severity]
            self._show(COLOURS[outcome.severity], f"{outcome.severity} ({share:.0%}){named}")
        elif not isinstance(outcome, CancelledError):
            self._show(BROKEN, f"Not judged: {outcome}")

    def _show(self, colour: str, message: str) -> None:
        self._border.configure(background=colour)
        self._message.configure(text=message, foreground=colour)


def main() -> None:
    """Show the window."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano", help="a model's name, or a GGUF file")
    root = tk.Tk()
    Window(root, parser.parse_args().model)
    root.mainloop()


if __name__ == "__main__":
    main()
