// The main process: it owns the child, and hands the page three functions and no more.

import path from "node:path";
import { fileURLToPath } from "node:url";

import { app, BrowserWindow, ipcMain } from "electron";
import { Edgeguard } from "edgeguard";

const here = path.dirname(fileURLToPath(import.meta.url));
// In a package the frozen program lies in resources/edgeguard, as README.md says; else on the path.
const program = path.join(process.resourcesPath, "edgeguard", process.platform === "win32" ? "edgeguard.exe" : "edgeguard");
const command = app.isPackaged ? program : JSON.parse(process.env.EDGEGUARD_COMMAND ?? '["edgeguard"]');
const model = process.env.EDGEGUARD_MODEL ?? "nano";

let guard = null;
let running = null;

function start(window) {
  const tell = (...message) => window.isDestroyed() || window.webContents.send("state", ...message);
  Edgeguard.start({ command, model, args: ["--threads", "background"], onProgress: (share) => tell("loading", share) })
    .then((started) => {
      guard = started;
      guard.on("exit", () => tell("failed", "edgeguard has ended: nothing is judged"));
      tell("ready");
    })
    .catch((error) => tell("failed", error.message));
}

ipcMain.handle("check", async (_event, text) => {
  running?.abort(); // the text has changed: the check of the last one ends
  const mine = (running = new AbortController());
  if (guard === null) return { error: "the model is not loaded" };
  try {
    return { verdict: await guard.check(text, { signal: mine.signal }) };
  } catch (error) {
    return mine.signal.aborted ? { cancelled: true } : { error: error.message };
  }
});
ipcMain.on("changed", () => running?.abort());

app.whenReady().then(() => {
  const window = new BrowserWindow({
    width: 720,
    height: 360,
    webPreferences: { preload: path.join(here, "preload.cjs"), sandbox: true, contextIsolation: true },
  });
  window.loadFile("index.html");
  window.webContents.once("did-finish-load", () => start(window));
});
app.on("window-all-closed", () => app.quit());
app.on("before-quit", (event) => {
  if (guard === null) return;
  event.preventDefault();
  const ending = guard;
  guard = null;
  ending.close().finally(() => app.quit());
});
