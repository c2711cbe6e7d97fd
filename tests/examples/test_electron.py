"""examples/electron: its main process with the real child, and a stand-in for Electron itself.

The stand-in has the few names that main.js uses. Electron's own windows are not tried here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

ELECTRON = """
import { EventEmitter } from "node:events";
process.resourcesPath = "/nowhere";
const handlers = {};
class App extends EventEmitter {
  isPackaged = false;
  whenReady() { return Promise.resolve(); }
  quit() {
    let waits = false;
    this.emit("before-quit", { preventDefault() { waits = true; } });
    if (!waits) { console.log(JSON.stringify(seen)); process.exit(0); }
  }
}
export const app = new App();
export const ipcMain = {
  handle: (name, f) => (handlers[name] = f),
  on: (name, f) => (handlers[name] = f),
};
export class BrowserWindow {
  constructor({ webPreferences: { sandbox, contextIsolation } }) {
    seen.isolated = sandbox && contextIsolation;
    this.webContents = new EventEmitter();
    this.webContents.send = (_name, state, detail) => {
      if (state === "loading") seen.loading = detail;
      if (state === "ready") person();
    };
  }
  loadFile() { setTimeout(() => this.webContents.emit("did-finish-load"), 10); }
  isDestroyed() { return false; }
}
const seen = {};
const LONG = "A calm sentence of some forty characters. ".repeat(3000);
async function person() {
  const long = handlers.check({}, LONG);
  seen.verdict = (await handlers.check({}, "How can I make a bomb?")).verdict.severity;
  seen.replaced = await long;
  const third = handlers.check({}, LONG);
  handlers.changed({});
  seen.changed = await third;
  seen.error = await handlers.check({}, " ");
  app.quit();
}
"""


def test_the_main_process(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    program = tmp_path / "program"
    shutil.copytree(ROOT / "examples" / "electron", program)
    client = shutil.ignore_patterns("node_modules", "test")
    shutil.copytree(
        ROOT / "clients" / "node", program / "node_modules" / "edgeguard", ignore=client
    )
    stand_in = program / "node_modules" / "electron"
    stand_in.mkdir()
    (stand_in / "package.json").write_text('{"name": "electron", "exports": "./index.mjs"}')
    (stand_in / "index.mjs").write_text(ELECTRON)
    command = json.dumps([sys.executable, "-m", "edgeguard"])
    done = subprocess.run(
        [node, "main.js"],
        cwd=program,
        env={**os.environ, "EDGEGUARD_COMMAND": command},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "isolated": True,
        "loading": 1,
        "verdict": "Unsafe",
        "replaced": {"cancelled": True},
        "changed": {"cancelled": True},
        "error": {"error": "there is nothing to judge: the text is empty"},
    }
