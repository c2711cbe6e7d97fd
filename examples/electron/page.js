// The page: it shows verdicts, judges nothing, and never shows the verdict of another text.

const PAUSE = 300; // milliseconds without a key after which the text is judged
const field = document.getElementById("text");
const message = document.getElementById("message");
const bar = document.getElementById("bar");
let timer;
let ready = false;

function show(kind, words) {
  document.body.className = kind;
  message.textContent = words;
}

async function judge() {
  const text = field.value;
  if (!ready) return;
  if (!text.trim()) return show("", "Type something.");
  const { verdict, error, cancelled } = await window.guard.check(text);
  if (cancelled || text !== field.value) return;
  if (error) return show("failed", `Not judged: ${error}`);
  const share = Math.round(100 * verdict.probabilities[verdict.severity]);
  const named = verdict.categories.length ? `: ${verdict.categories.join(", ")}` : "";
  show(verdict.severity, `${verdict.severity} (${share}%)${named}`);
}

field.addEventListener("input", () => {
  if (ready) show("", "…");
  window.guard.changed();
  clearTimeout(timer);
  timer = setTimeout(judge, PAUSE);
});

window.guard.onState((state, detail) => {
  if (state === "loading") bar.value = detail;
  if (state === "failed") {
    ready = false;
    show("failed", `Nothing is judged: ${detail}`);
  }
  if (state === "ready") {
    ready = true;
    bar.hidden = true;
    show("", "Type something.");
    judge();
  }
});
