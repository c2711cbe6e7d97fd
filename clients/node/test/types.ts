// Not run: `npm run types` holds index.d.ts to how a program in TypeScript uses it.
import { Edgeguard, EdgeguardError, Watch } from "edgeguard";
import type { Info, Severity, StartOptions, Verdict, WatchState } from "edgeguard";

export async function use(signal: AbortSignal): Promise<Severity> {
  const options: StartOptions = { command: ["python", "-m", "edgeguard"], model: "nano", args: ["--threads", "1"] };
  const guard = await Edgeguard.start({ ...options, signal, onProgress: (share: number) => share.toFixed() });
  const info: Info = guard.info;
  guard.on("log", (line) => line.trim()).on("exit", (code) => code?.toFixed());
  const verdict: Verdict = await guard.check("Hello", { policy: "loose", timeout: 5, signal });
  const verdicts: Verdict[] = await guard.checkTurns([{ role: "user", content: "Hello" }], { judge: "each" });
  const watch: Watch = await guard.watch([], { interval: 80 });
  const state: WatchState = await watch.feed("A piece.");
  for await (const text of watch.over(["a", "b"])) text.trim();
  new ReadableStream<string>().pipeThrough(watch.transform());
  const span: [number, number] | null = state.span;

  // @ts-expect-error: a verdict has no such field that could be taken for "safe"
  const safe: boolean = verdict.safe;
  // @ts-expect-error: a text is a string
  await guard.check(3);
  // @ts-expect-error: there are three ways to judge
  await guard.checkTurns([], { judge: "all" });
  // @ts-expect-error: what happens is told by these events alone
  guard.on("verdict", () => {});
  // @ts-expect-error: a severity is one of three
  const severity: "safe" = verdict.severity;

  await guard.close();
  void [info, verdicts, span, safe, severity, new EdgeguardError({ code: -32000, message: "no" }).code];
  return verdict.severity;
}
