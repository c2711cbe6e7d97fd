// A stand-in for Electron, with the names that examples/electron uses, and a browser as its window.
//
// A window's page is served on loopback, its preload.cjs before the page's own scripts, in one world
// and not in an isolated one. Messages between the page and the main process go as JSON: invoke and
// send as POST, webContents.send as server-sent events. GET /close closes the window.

import { EventEmitter } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import path from "node:path";

process.resourcesPath = "/nowhere";
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };
const handlers = new Map();

class App extends EventEmitter {
  isPackaged = false;
  whenReady() {
    return Promise.resolve();
  }
  quit() {
    let waits = false;
    this.emit("before-quit", { preventDefault: () => (waits = true) });
    if (!waits) process.exit(0);
  }
}
export const app = new App();
export const ipcMain = {
  handle: (name, handler) => handlers.set(name, handler),
  on: (name, handler) => handlers.set(name, handler),
};

const bridge = (preload) => `(() => {
  const heard = new Map();
  new EventSource("/events").onmessage = ({ data }) => {
    const [channel, ...message] = JSON.parse(data);
    heard.get(channel)?.({}, ...message);
  };
  const post = (...message) => fetch("/message", { method: "POST", body: JSON.stringify(message) });
  const ipcRenderer = {
    invoke: async (...message) => (await post(...message)).json(),
    send: (...message) => void post(...message),
    on: (channel, listener) => heard.set(channel, listener),
  };
  const contextBridge = { exposeInMainWorld: (name, api) => (window[name] = api) };
  ((require) => {
    ${preload}
  })(() => ({ contextBridge, ipcRenderer }));
})();`;

export class BrowserWindow {
  #listeners = new Set();

  constructor({ webPreferences: { preload, sandbox, contextIsolation } }) {
    if (!sandbox || !contextIsolation) throw new Error("the page is not kept apart");
    this.preload = readFileSync(preload, "utf8");
    this.webContents = new EventEmitter();
    this.webContents.send = (...message) => {
      for (const response of this.#listeners) response.write(`data: ${JSON.stringify(message)}\n\n`);
    };
  }

  isDestroyed() {
    return false;
  }

  loadFile(page) {
    const server = http.createServer((request, response) => this.#answer(page, request, response));
    server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
  }

  async #answer(page, request, response) {
    const place = new URL(request.url, "http://page").pathname;
    if (place === "/events") {
      response.writeHead(200, { "content-type": "text/event-stream" });
      this.#listeners.add(response);
      this.webContents.emit("did-finish-load");
    } else if (place === "/message") {
      let body = "";
      for await (const part of request) body += part;
      const [name, ...message] = JSON.parse(body);
      response.end(JSON.stringify((await handlers.get(name)({}, ...message)) ?? null));
    } else if (place === "/close") {
      response.end(() => app.emit("window-all-closed"));
    } else if (place === "/preload.js") {
      response.writeHead(200, { "content-type": "text/javascript" }).end(bridge(this.preload));
    } else {
      const name = place === "/" ? page : path.basename(place);
      this.#file(name, response);
    }
  }

  #file(name, response) {
    try {
      const text = readFileSync(name, "utf8").replace("</head>", '<script src="/preload.js"></script></head>');
      response.writeHead(200, { "content-type": TYPES[path.extname(name)] }).end(text);
    } catch {
      response.writeHead(404).end();
    }
  }
}
