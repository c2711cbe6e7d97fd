import { EventEmitter } from "node:events";

export type Severity = "Safe" | "Unsafe" | "Controversial";

export interface Message {
  role: string;
  content: unknown;
  [field: string]: unknown;
}

/** verdict.schema.json describes it; fields are only ever added. */
export interface Verdict {
  mode: "prompt" | "response";
  severity: Severity;
  probabilities: Record<Severity, number>;
  categories: string[];
  refusal: "Yes" | "No" | null;
  policy: string;
  flagged: boolean;
  answer: string;
  model: ModelId;
  device: string;
  tokens: number;
  windows: number;
  seconds: number;
  [field: string]: unknown;
}

export interface ModelId {
  name: string;
  type: string;
  sha256: string;
}

/** Places count Unicode characters, and not the units of a JavaScript string. */
export interface WatchState {
  flagged: boolean;
  judged_to: number;
  safe_to: number;
  span: [number, number] | null;
  severity: Severity;
  categories: string[];
  probabilities: Record<Severity, number>;
  reason: string;
  windows: number;
}

export interface Info {
  protocol: number;
  edgeguard: string;
  llama_cpp_python: string;
  capabilities: string[];
  model: ModelId;
  device: string;
  policy: string;
}

export interface StartOptions {
  /** The program, perhaps with arguments before `stdio`; "edgeguard" unless given. */
  command?: string | string[];
  /** More options of `edgeguard stdio`, such as ["--threads", "background"]. */
  args?: string[];
  model?: string;
  policy?: string;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
}

export interface CheckOptions {
  policy?: string;
  /** Seconds. */
  timeout?: number;
  signal?: AbortSignal;
}

/** How messages are read, under the library's names. */
export interface MessagesOptions extends CheckOptions {
  strict_messages?: boolean;
  tool_calls?: boolean;
  skip_media?: boolean;
}

export class EdgeguardError extends Error {
  constructor(error: { code: number; message: string; data?: { exception: string; message: string } });
  /** JSON-RPC's; -32000 is an exception of the library, whose name is `name`. */
  readonly code: number;
}

export class Edgeguard extends EventEmitter {
  static start(
    options?: StartOptions & { signal?: AbortSignal; onProgress?: (share: number) => void },
  ): Promise<Edgeguard>;
  constructor(options?: StartOptions);
  readonly info: Info;
  readonly pid: number | undefined;
  check(text: string, options?: CheckOptions): Promise<Verdict>;
  checkResponse(prompt: string, response: string, options?: CheckOptions): Promise<Verdict>;
  checkMessages(messages: Message[], options?: MessagesOptions & { fresh?: boolean }): Promise<Verdict>;
  checkTurns(
    messages: Message[],
    options?: MessagesOptions & { fresh?: boolean; judge?: "each" | "exchange" | "last" },
  ): Promise<Verdict[]>;
  watch(messages?: Message[], options?: MessagesOptions & { interval?: number; in_a_row?: number; category_probabilities?: boolean }): Promise<Watch>;
  policies(): Promise<string[]>;
  unload(): Promise<void>;
  request(method: string, params?: object, options?: { signal?: AbortSignal }): Promise<unknown>;
  close(): Promise<void>;
  kill(): void;
  on(event: "progress", listener: (share: number) => void): this;
  on(event: "log", listener: (line: string) => void): this;
  on(event: "exit", listener: (code: number | null) => void): this;
}

export class Watch {
  /** The verdict of the conversation before the response; null without one. */
  readonly prompt: Verdict | null;
  readonly state: WatchState | null;
  feed(piece: string): Promise<WatchState>;
  end(): Promise<{ verdict: Verdict | null; state: WatchState }>;
  cancel(): Promise<void>;
  over(pieces: Iterable<string> | AsyncIterable<string>): AsyncGenerator<string, void, void>;
  transform(): TransformStream<string, string>;
}
