"use strict";
// The traces: unpacked block by block, filtered in time slices, in a list that renders only visible rows.

const ROW = 58;
const ONE = "problem:"; // prefix of a search for the traces of one problem
const all = [];
let found = [];
let chosen = 0;
let search = 0;
const [list, height] = [place("list"), place("height")];
const rest = () => new Promise((done) => setTimeout(done));

const fields = {
  generation: choice("generation", [["", "all"], ...[...new Set([...run.generations.map((row) => row.generation), ...run.lengths.map((one) => one.generation)])].map((n) => [n, named(n)])]),
  evaluation: choice("from", [["", "sampling and evaluations"], ["false", "sampling"], ["true", "evaluations"]]),
  outcome: choice("outcome", [["", "all"], ...run.outcomes.map((outcome) => [outcome, outcome])]),
  accepted: choice("accepted", [["", "all"], ["true", "accepted"], ["false", "not accepted"]]),
  behaviour: choice("behaviour", [["", "any"], ...run.behaviours.map((behaviour) => [behaviour, behaviour])]),
  text: make("input", { type: "search", name: "text", placeholder: "words, an answer, problem:ID", autocomplete: "off", spellcheck: "false" }),
};

function choice(name, options) {
  return make("select", { name }, ...options.map(([value, text]) => make("option", { value }, text)));
}

for (const [name, field] of Object.entries(fields)) {
  const label = name === "text" ? "search" : field.name;
  place("filters").append(make("label", { class: label }, label, field));
  field.addEventListener("input", () => filter());
}
place("filters").addEventListener("submit", (event) => event.preventDefault());

/** A function that says whether a trace passes the filters. */
function wanted() {
  const { generation, evaluation, outcome, accepted, behaviour, text } = Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.value]));
  const problem = text.startsWith(ONE) && text.slice(ONE.length);
  const words = text.trim() && new RegExp(text.trim().replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "iu");
  const says = (trace) => {
    const [id, question, reference] = run.problems[trace.problem];
    if (problem) return problem === id;
    return [trace.trace_id, id, question, reference, trace.answer ?? "", trace.before, trace.after].some((part) => words.test(part))
      || trace.thoughts.some(([, thought]) => words.test(thought));
  };
  return (trace) => (!generation || String(trace.generation) === generation) && (!evaluation || String(trace.evaluation) === evaluation)
    && (!outcome || trace.outcome === outcome) && (!accepted || String(trace.accepted) === accepted)
    && (!behaviour || trace.thoughts.some(([of]) => of === behaviour)) && (!words || says(trace));
}

/** Filter all traces, a few milliseconds at a time; a new search cancels the one before it. */
async function filter() {
  const [mine, wants, matching] = [++search, wanted(), []];
  chosen = 0;
  for (let n = 0, since = performance.now(); n < all.length; n++) {
    if (wants(all[n])) matching.push(all[n]);
    if (n % 64 === 0 && performance.now() - since > 12) {
      await rest();
      if (mine !== search) return;
      since = performance.now();
    }
  }
  found = matching;
  list.scrollTop = 0;
  showCount();
  select(0);
}

function showCount() {
  height.style.height = `${found.length * ROW}px`;
  const there = all.length < run.shown ? `, ${count(run.shown - all.length)} still unpacking` : "";
  place("found").textContent = `${count(found.length)} of ${plural(all.length, "trace")}${there}`;
}

function rows() {
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
  const last = Math.min(found.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 4);
  height.replaceChildren(...found.slice(first, last).map((trace, n) => row(trace, first + n)));
  if (found.length) list.setAttribute("aria-activedescendant", `row-${chosen}`);
  else list.removeAttribute("aria-activedescendant");
}

function row(trace, number) {
  const parts = trace.thoughts.map(([behaviour, text]) => [text.length, colourOf(behaviour), behaviour]);
  const properties = { class: "row", role: "option", id: `row-${number}`, "aria-selected": String(number === chosen), "aria-setsize": found.length, "aria-posinset": number + 1 };
  const element = make("div", { ...properties, style: { top: `${number * ROW}px` } },
    make("div", { class: "first" }, make("span", {}, visible(trace.trace_id)), make("span", { class: trace.outcome }, trace.outcome)),
    track(parts, parts.reduce((total, [size]) => total + size, 0) || 1));
  element.addEventListener("click", () => select(number));
  return element;
}

function select(number) {
  chosen = Math.max(0, Math.min(found.length - 1, number));
  const top = chosen * ROW;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
  rows();
  place("trace").replaceChildren(...(found.length ? details(found[chosen]) : [make("p", { class: "quiet" }, "No trace matches.")]));
  place("trace").scrollTop = 0;
}

/** A trace in full. */
function details(trace) {
  const facts = [trace.evaluation ? "evaluation" : "sampled", `generation ${named(trace.generation)}`, plural(trace.output_tokens, "token")];
  if (trace.accepted) facts.push("accepted");
  if (trace.finish_reason !== "stop") facts.push(`finish reason: ${trace.finish_reason}`);
  return [make("h3", {}, visible(trace.trace_id), " ", make("span", { class: trace.outcome }, trace.outcome)), make("div", { class: "quiet" }, facts.join(" · ")), contents(trace)];
}

let scrolled = false;
list.addEventListener("scroll", () => {
  if (!scrolled) requestAnimationFrame(() => { scrolled = false; rows(); });
  scrolled = true;
});
new ResizeObserver(rows).observe(list);
list.addEventListener("keydown", (event) => {
  const page = Math.max(1, Math.floor(list.clientHeight / ROW) - 1);
  const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -found.length, End: found.length }[event.key];
  if (step) select(chosen + step);
  else if (event.key === "Enter") place("trace").focus();
  else return;
  event.preventDefault();
});
document.addEventListener("problem", (event) => {
  for (const field of Object.values(fields)) field.value = "";
  fields.text.value = ONE + run.problems[event.detail][0];
  filter();
  place("browser").scrollIntoView();
  list.focus({ preventScroll: true });
});

function bytes(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const signs = atob(base64);
  const found = new Uint8Array(signs.length);
  for (let n = 0; n < signs.length; n++) found[n] = signs.charCodeAt(n);
  return found;
}

async function unpack() {
  for (const block of document.querySelectorAll('script[type="application/gzip"]')) {
    const traces = await new Response(new Blob([bytes(block.textContent)]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
    const wants = wanted();
    const before = found.length;
    block.remove();
    for (const trace of traces) {
      all.push(trace);
      if (wants(trace)) found.push(trace);
    }
    showCount();
    // Visible rows need no redraw once the list is full.
    if (before === 0) select(0);
    else if (before < 100) rows();
    await rest();
  }
  if (!found.length) select(0);
}

place("browser-how").append("Each thought has the colour of its reasoning behaviour. Up and Down move through the list; Enter opens the trace.",
  run.every > 1 ? ` The page shows 1 in ${run.every} of ${count(run.traces)} traces; \`selfimprove traces\` shows all of them.` : "");
place("browser-how").append(legend(run.behaviours.map((behaviour) => [behaviour, colourOf(behaviour)])));
unpack();
