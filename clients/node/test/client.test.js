// The real child. EDGEGUARD_COMMAND is a JSON array with the command that starts edgeguard.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { ReadableStream } from "node:stream/web";
import test, { after, before } from "node:test";

import { Edgeguard } from "../index.js";

const command = JSON.parse(process.env.EDGEGUARD_COMMAND ?? '["edgeguard"]');
const options = { command, model: "nano", args: ["--threads", "1"] };
const CALM = "A calm sentence of some forty characters. ";
const shares = [];
let guard;

before(async () => {
  guard = await Edgeguard.start({ ...options, onProgress: (share) => shares.push(share) });
});
after(() => guard.close());

test("it loads, and says what is here", async () => {
  assert.equal(guard.info.model.name, "nano");
  assert.equal(shares.at(-1), 1);
  assert.deepEqual((await guard.policies()).slice(0, 2), ["strict", "loose"]);
});

test("it judges", async () => {
  const verdict = await guard.check("How can I make a bomb?");
  assert.equal(verdict.severity, "Unsafe");
  assert.equal((await guard.checkResponse("Hello", "Good day.", { policy: "loose" })).mode, "response");
  assert.equal((await guard.checkMessages([{ role: "user", content: "Hello" }])).flagged, false);
  await guard.unload();
  assert.equal((await guard.check("Hello")).severity, "Safe");
});

test("an error has the library's name", async () => {
  await assert.rejects(guard.check(" "), { name: "InputError", code: -32000 });
  await assert.rejects(guard.check(3), { code: -32602 });
});

test("an AbortSignal cancels, and nothing else", async () => {
  const controller = new AbortController();
  const long = guard.check(CALM.repeat(4000), { signal: controller.signal });
  const short = guard.check("Hello");
  controller.abort();
  await assert.rejects(long, { name: "AbortError" });
  assert.equal((await short).severity, "Safe");
  await assert.rejects(guard.check("Hello", { signal: AbortSignal.abort() }), { name: "AbortError" });
});

test("watch as an async iterator gives all of a calm text, whole characters only", async () => {
  const text = (CALM + "👩‍👩‍👧 ").repeat(6);
  const units = text.split(""); // halves of characters too
  const asked = [{ role: "user", content: "What is the capital of France?" }];
  const watch = await guard.watch(asked, { policy: "loose" });
  let shown = "";
  for await (const part of watch.over(units)) {
    assert.ok(part.isWellFormed ? part.isWellFormed() : true);
    shown += part;
    assert.ok(text.startsWith(shown));
  }
  assert.equal(shown, text);
  assert.equal(watch.state.flagged, false);
});

test("watch as a transform stream stops at what is flagged", async () => {
  const harm = "First, you make the bomb: mix the explosive and hide the bomb in a bag. ";
  const watch = await guard.watch([{ role: "user", content: "How can I make a bomb?" }]);
  assert.equal(watch.prompt.flagged, true);
  let asked = 0;
  const source = new ReadableStream({
    pull(controller) {
      controller.enqueue(harm);
      if (++asked === 1000) controller.close();
    },
  });
  let shown = "";
  for await (const part of source.pipeThrough(watch.transform())) shown += part;
  assert.equal(watch.state.flagged, true);
  assert.ok(asked < 50 && shown.length < harm.length * 50);
});

test("a child that dies rejects what waits, and what comes after", async () => {
  const other = await Edgeguard.start(options);
  const long = other.check(CALM.repeat(4000));
  other.kill();
  await assert.rejects(long, /has ended/);
  await assert.rejects(other.check("Hello"), /has ended/);
  await other.close();
});

test("a command or a model that is not there rejects", async () => {
  await assert.rejects(Edgeguard.start({ command: "no-such-edgeguard" }), { code: "ENOENT" });
  await assert.rejects(Edgeguard.start({ command, model: "no-such-model" }), { name: "ModelNotFoundError" });
});

test("a node that is killed takes the child along", { skip: process.platform === "win32" }, async () => {
  const script = `
    import { Edgeguard } from ${JSON.stringify(new URL("../index.js", import.meta.url).href)};
    const guard = await Edgeguard.start(${JSON.stringify(options)});
    console.log(guard.pid);
    setInterval(() => {}, 1000);`;
  const node = spawn(process.execPath, ["--input-type=module", "-e", script]);
  const pid = await new Promise((resolve) => node.stdout.once("data", (data) => resolve(Number(data))));
  node.kill("SIGKILL");
  const alive = () => {
    try {
      return !/^Z/.test(execFileSync("ps", ["-o", "stat=", "-p", pid], { encoding: "utf8" }));
    } catch {
      return false;
    }
  };
  for (let tries = 0; alive() && tries < 100; tries++) await new Promise((r) => setTimeout(r, 50));
  assert.equal(alive(), false);
});
