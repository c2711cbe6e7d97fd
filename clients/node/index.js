// A client of `edgeguard stdio`: a child process that judges texts, JSON-RPC over its pipes.
// docs/stdio.md describes the protocol; this file holds no logic of moderation.

import { spawn } from "node:child_process";
import { EventEmitter } from "node:events";

const PROTOCOL = 1;

/** An error that edgeguard answered with; `name` is the exception's in the library. */
export class EdgeguardError extends Error {
  constructor({ code, message, data }) {
    super(message);
    this.name = data?.exception ?? "EdgeguardError";
    this.code = code;
  }
}

/** The child. Emits "progress" (0 to 1) while the model loads, "log" (a line), and "exit". */
export class Edgeguard extends EventEmitter {
  #child;
  #waiting = new Map();
  #number = 0;
  #dead = null;

  /** Start the child and load the model. */
  static async start(options = {}) {
    const guard = new Edgeguard(options);
    if (options.onProgress) guard.on("progress", options.onProgress);
    try {
      guard.info = await guard.request("initialize", { protocol: PROTOCOL }, options);
      if (guard.info.protocol !== PROTOCOL) {
        throw new Error(`edgeguard speaks protocol ${guard.info.protocol}, not ${PROTOCOL}`);
      }
      return guard;
    } catch (error) {
      guard.kill();
      throw error;
    }
  }

  constructor({ command = "edgeguard", args = [], model, policy, env, cwd } = {}) {
    super();
    const [program, ...before] = [command].flat();
    const options = ["stdio", ...(model ? ["--model", model] : []), ...(policy ? ["--policy", policy] : [])];
    const environment = { ...(env ?? process.env), EDGEGUARD_PARENT: String(process.pid) };
    this.#child = spawn(program, [...before, ...options, ...args], {
      cwd,
      env: environment,
      stdio: ["pipe", "pipe", "pipe"],
      windowsHide: true,
    });
    this.#child.stdin.on("error", () => {}); // it has ended, which "close" says
    this.#child.on("error", (error) => this.#end(error));
    this.#child.on("close", (code, signal) =>
      this.#end(new Error(`edgeguard has ended (${signal ?? `code ${code}`})`), code),
    );
    lines(this.#child.stdout, (line) => this.#read(line));
    lines(this.#child.stderr, (line) => this.emit("log", line));
  }

  /** The child's process id. */
  get pid() {
    return this.#child.pid;
  }

  check(text, options) {
    return this.request("check", { text, ...named(options) }, options);
  }

  checkResponse(prompt, response, options) {
    return this.request("check_response", { prompt, response, ...named(options) }, options);
  }

  checkMessages(messages, options) {
    return this.request("check_messages", { messages, ...named(options) }, options);
  }

  async checkTurns(messages, options) {
    return (await this.request("check_turns", { messages, ...named(options) }, options)).verdicts;
  }

  async policies() {
    return (await this.request("policies")).policies;
  }

  async unload() {
    await this.request("unload");
  }

  /** Begin to judge a response while it is written. */
  async watch(messages = [], options) {
    const begun = await this.request("watch", { messages, ...named(options) }, options);
    return new Watch(this, begun, options?.signal);
  }

  /** End the child; resolves when it is gone. */
  async close() {
    if (this.#dead) return;
    const gone = new Promise((resolve) => this.once("exit", resolve));
    this.request("shutdown").catch(() => {});
    const late = setTimeout(() => this.kill(), 5000);
    await gone;
    clearTimeout(late);
  }

  /** End the child at once. */
  kill() {
    this.#child.kill("SIGKILL");
  }

  /** Any method of the protocol. */
  request(method, params = {}, { signal } = {}) {
    if (this.#dead) return Promise.reject(this.#dead);
    if (signal?.aborted) return Promise.reject(signal.reason);
    const id = ++this.#number;
    return new Promise((resolve, reject) => {
      const cancel = () => this.#send({ method: "cancel", params: { id } });
      signal?.addEventListener("abort", cancel, { once: true });
      const done = () => signal?.removeEventListener("abort", cancel);
      this.#waiting.set(id, {
        resolve: (result) => (done(), resolve(result)),
        // Whoever aborts gets the reason that they gave, as from fetch.
        reject: (error) => (done(), reject(signal?.aborted ? signal.reason : error)),
      });
      this.#send({ id, method, params });
    });
  }

  #send(message) {
    this.#child.stdin.write(JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n");
  }

  #read(line) {
    const message = JSON.parse(line);
    if (message.method === "progress") {
      this.emit("progress", message.params.share);
      return;
    }
    const waiting = this.#waiting.get(message.id);
    if (!waiting) return;
    this.#waiting.delete(message.id);
    if (message.error) waiting.reject(new EdgeguardError(message.error));
    else waiting.resolve(message.result);
  }

  #end(error, code = null) {
    if (this.#dead) return;
    this.#dead = error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    this.emit("exit", code);
  }
}

/** One response being judged; places count Unicode characters, see `slice`. */
export class Watch {
  #guard;
  #stream;
  #signal;
  #ended = null;

  constructor(guard, { stream, prompt }, signal) {
    this.#guard = guard;
    this.#stream = stream;
    this.#signal = signal;
    this.prompt = prompt;
    this.state = null;
  }

  /** Add a piece, cut anywhere; the state after it. */
  async feed(piece) {
    const params = { stream: this.#stream, piece };
    this.state = await this.#guard.request("feed", params, { signal: this.#signal });
    return this.state;
  }

  /** Judge the rest: `{verdict, state}`. */
  end() {
    this.#ended ??= this.#end(true);
    return this.#ended;
  }

  /** Judge no more. */
  async cancel() {
    this.#ended ??= this.#end(false);
    await this.#ended.catch(() => {});
  }

  /** Pass on what may be shown of an async iterable of pieces; stops where it is flagged. */
  async *over(pieces) {
    const shown = new Shown();
    try {
      for await (const piece of pieces) {
        shown.add(piece);
        const state = await this.feed(piece);
        const text = shown.upTo(state.safe_to);
        if (text) yield text;
        if (state.flagged) break;
      }
      const { state } = await this.end();
      this.state = state;
      const text = shown.upTo(state.safe_to);
      if (text) yield text;
    } finally {
      await this.cancel();
    }
  }

  /** The same as a web TransformStream of strings. */
  transform() {
    const shown = new Shown();
    const pass = (state, controller) => {
      const text = shown.upTo(state.safe_to);
      if (text) controller.enqueue(text);
    };
    return new TransformStream({
      transform: async (piece, controller) => {
        shown.add(piece);
        const state = await this.feed(piece);
        pass(state, controller);
        if (state.flagged) {
          await this.end();
          controller.terminate();
        }
      },
      flush: async (controller) => {
        const { state } = await this.end();
        this.state = state;
        pass(state, controller);
      },
    });
  }

  async #end(judge) {
    const params = { stream: this.#stream, judge };
    return this.#guard.request("end", params, { signal: judge ? this.#signal : undefined });
  }
}

/** The text so far by characters: JavaScript counts halves of some, edgeguard does not. */
class Shown {
  #waiting = "";
  #done = 0;

  add(piece) {
    this.#waiting += piece;
  }

  upTo(place) {
    let units = 0;
    for (; this.#done < place && units < this.#waiting.length; this.#done++) {
      units += this.#waiting.codePointAt(units) > 0xffff ? 2 : 1;
    }
    const text = this.#waiting.slice(0, units);
    this.#waiting = this.#waiting.slice(units);
    return text;
  }
}

function named({ signal: _signal, ...params } = {}) {
  return params;
}

function lines(stream, take) {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (data) => {
    const parts = (rest + data).split("\n");
    rest = parts.pop();
    parts.forEach(take);
  });
}
