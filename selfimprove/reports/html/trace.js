// One trace as a list of what it consists of. All its content is inserted as text.

const colourOf = (behaviour) => `var(--${behaviour})`;

/** The text with control characters, and characters that change the writing direction, replaced by their codes: a browser would obey them. */
function visible(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, (sign) => (sign === "\n" || sign === "\t" ? sign : `\\u{${sign.codePointAt(0).toString(16)}}`));
}

function contents(trace, asked = true) {
  const [id, question, reference] = run.problems[trace.problem];
  const body = make("dl");
  const say = (name, ...content) => body.append(make("dt", {}, name), make("dd", {}, ...content));
  const text = (words, kind = "") => make("div", { class: `text ${kind}` }, visible(words));
  if (asked) {
    say("problem", visible(id));
    say("question", text(question.trim()));
  }
  if (trace.before.trim()) say("before", text(trace.before.trim()));
  const thoughts = trace.thoughts.map(([behaviour, words, probed]) => make("div", { class: "thought", style: { color: colourOf(behaviour) } },
    make("small", {}, behaviour + (probed ? ` → ${probed} correct` : "")), text(words.replace(/^\n+|\n+$/g, ""))));
  if (trace.left) thoughts.push(make("p", { class: "quiet" }, `${count(trace.left)} more characters are not on this page.`));
  if (thoughts.length) say("thoughts", ...thoughts);
  if (trace.after.trim() && trace.after.trim() !== trace.answer) say("after", text(trace.after.trim()));
  say("answer", trace.answer === null ? make("span", { class: "quiet" }, "none") : text(trace.answer, trace.outcome));
  for (const [verifier, outcome] of trace.also) say("also", `${visible(verifier)}: `, make("span", { class: outcome }, outcome));
  if (trace.outcome !== "correct") say("reference", text(reference));
  return body;
}
