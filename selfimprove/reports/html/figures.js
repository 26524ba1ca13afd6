// The charts of the run.

const run = JSON.parse(place("data").textContent);
const grown = run.generations.filter((row) => row.generation > 0);

function story() {
  const [base, kept] = [run.generations[0], run.generations.find((row) => row.generation === run.kept_generation)];
  if (!base) return place("story").append("No generation is complete yet. The charts appear after the first one.");
  const done = plural(grown.length, "generation");
  if (run.test) {
    const [first, last] = [run.test.scores.base, run.test.scores.champion];
    const [low, high] = run.test.gain.interval.map((bound) => (100 * bound).toFixed(0));
    place("story").append(`On ${run.test.problems} test problems that neither trained nor chose a model, pass@1 went from ${percent(first.pass_at_1)} to ` +
      `${percent(last.pass_at_1)} (a difference of ${low} to ${high} points). `);
  }
  const went = `of ${run.eval_problems} evaluation problems solved at the first attempt`;
  let text = `In ${done}, ${run.base_model} went from ${percent(base.pass_at_1)} to ${percent(kept.pass_at_1)} ${went}.`;
  if (!grown.length) text = `${run.base_model} starts with ${percent(base.pass_at_1)} ${went}.`;
  else if (kept === base) text = `After ${done}, ${run.base_model} is still the champion, with ${percent(base.pass_at_1)} ${went}.`;
  else text += " Each generation was trained on traces with verified answers.";
  if (grown.some((row) => row.proposed?.kept)) text += " Some problems were proposed by the model itself, with the commonest of its answers as the reference.";
  for (const name of grown.length ? further : []) {
    const [before, after] = [base, kept].map((row) => row.also[name]);
    if (before && after) text += ` By the verifier ${visible(name)}, the same answers went from ${percent(before.pass_at_1)} to ${percent(after.pass_at_1)}.`;
  }
  for (const [name, found] of Object.entries(run.further_prompts)) {
    text += ` Asked by ${visible(name)}, pass@1 went from ${percent(found.base.pass_at_1)} to ${percent(found.champion.pass_at_1)}.`;
  }
  const [examples, answers] = [run.baselines.few_shot, run.baselines.answer_only];
  const others = [];
  if (examples !== null) others.push(`the base model with the prompt of generation 1 solves ${percent(examples)}`);
  if (answers !== null) others.push(`trained on answers without reasoning, it solves ${percent(answers)}`);
  if (others.length) text += ` For comparison, ${others.join("; ")}.`;
  if (run.checkpoints) text += ` ${run.checkpoints.told[0].toUpperCase()}${run.checkpoints.told.slice(1)}.`;
  if (run.stopped_early) text += ` Stopped early: ${run.stopped_early}.`;
  if (!run.complete) text += " The run is not complete.";
  else if (!run.test) text += " There was no final test: the evaluation chose the champion and also measures it.";
  place("story").append(text);
  if (grown.length) tiles(base, kept);
}

/** Names of the verifiers that judged the same evaluations besides the workflow's own. */
const further = [...new Set(run.generations.flatMap((row) => Object.keys(row.also)))];

/** One problem that the base model got wrong and the champion right. */
function example() {
  if (!run.example) return;
  const [before, after] = run.example;
  const [id, question, reference] = run.problems[before.problem];
  place("example").hidden = false;
  place("example-how").append(`An evaluation problem that the base model got wrong and the champion right: ${visible(id)}. Its reference answer is `,
    make("b", { class: "text" }, visible(reference)), ". Of all such problems, it is the one that takes the champion the fewest words.");
  place("example-question").append(make("p", { class: "text" }, visible(question.trim())));
  for (const trace of [before, after]) {
    const heading = make("h3", {}, trace.generation ? `generation ${trace.generation}` : "base model", " ", make("span", { class: trace.outcome }, trace.outcome));
    place("example-traces").append(make("div", { class: "card" }, heading, contents(trace, false)));
  }
}

function tiles(base, kept) {
  const sum = (key) => grown.reduce((total, row) => total + (row[key] ?? 0), 0);
  const seconds = run.generations.flatMap((row) => Object.values(row.seconds)).reduce((total, each) => total + each, 0);
  const [sampled, accepted] = [sum("sampled"), sum("accepted")];
  const tested = run.test?.scores;
  const shown = [
    ...tested ? [["pass@1 in the final test", percent(tested.champion.pass_at_1),
      `${tested.champion.interval.map(percent).join(" to ")}; base ${percent(tested.base.pass_at_1)}`]] : [],
    ["pass@1 of the champion", percent(kept.pass_at_1), `${percent(kept.interval[0])} to ${percent(kept.interval[1])}; base ${percent(base.pass_at_1)}`],
    ...further.filter((name) => base.also[name] && kept.also[name]).map((name) => [`by ${visible(name)}`, percent(kept.also[name].pass_at_1),
      `${kept.also[name].interval.map(percent).join(" to ")}; base ${percent(base.also[name].pass_at_1)}`]),
    ...Object.entries(run.further_prompts).map(([name, found]) => [`asked by ${visible(name)}`, percent(found.champion.pass_at_1),
      `${found.champion.interval.map(percent).join(" to ")}; base ${percent(found.base.pass_at_1)}`]),
    ["champion", kept === base ? "base" : `generation ${kept.generation}`, `of ${grown.length}`],
    ["traces accepted", count(accepted), sampled ? `${percent(accepted / sampled)} of ${count(sampled)} sampled` : "no traces were sampled"],
    ["time", seconds < 5400 ? `${(seconds / 60).toFixed(1)}${NBSP}min` : `${(seconds / 3600).toFixed(1)}${NBSP}h`, "all stages of all generations"],
  ];
  place("tiles").append(...shown.map(([name, value, note]) => make("div", {}, make("dt", {}, name), make("dd", {}, value, make("small", {}, note)))));
}

const ticks = () => run.generations.map((row) => [row.generation, named(row.generation)]);
const spanned = (row, y, interval) => ({ x: row.generation, y, low: interval?.[0], high: interval?.[1], label: named(row.generation) });

function improvement() {
  const points = run.generations.map((row) => {
    const refused = row.generation > 0 && !row.promoted;
    return { ...spanned(row, row.pass_at_1, row.interval), hollow: refused, apart: refused, value: true, aside: Object.keys(row.also).length > 0 && row.pass_at_1 < 0.1 };
  });
  const titles = { few_shot: "base, few-shot", answer_only: "answers only" };
  const rules = new Map();
  for (const [name, row] of Object.entries(run.baseline_details)) {
    // Baselines with the same score share a line.
    rules.set(row.pass_at_1, [...rules.get(row.pass_at_1) ?? [], titles[name] ?? visible(name.replaceAll("_", " "))]);
  }
  const series = [{ name: "pass@1", colour: "var(--accent)", points }];
  further.forEach((name, n) => series.push({
    name: `by ${visible(name)}`,
    colour: ["var(--warm)", "var(--plan)", "var(--revision)"][n % 3],
    dashed: true,
    points: run.generations.filter((row) => row.also[name]).map((row) => ({
      ...spanned(row, row.also[name].pass_at_1, row.also[name].interval), hollow: row.generation > 0 && !row.promoted, apart: row.generation > 0 && !row.promoted,
    })),
  }));
  if (further.length) {
    place("improvement-how").append(" Dashed: the same answers by further verifiers; a gain that they do not show is one of form.");
    place("improvement").append(legend(series.map((one) => [one.name, one.colour])));
  }
  lines(place("improvement"), { series, rules: [...rules].map(([y, names]) => ({ y, name: names.join(", ") })), ticks: ticks(), across: "generation" });
  if (points.some((p) => p.hollow)) place("improvement").append(make("p", { class: "how" }, "Hollow points: candidates that the gate refused."));
}

function wide() {
  const most = Math.max(...run.generations.map((row) => Object.keys(row.pass_at_k).length));
  // With one sample per problem there is only pass@1, which has its own chart.
  if (most < 2) return;
  place("pass-at-k").hidden = false;
  const shown = (k) => Number.isInteger(Math.log2(k)) || k === most;
  const series = run.generations.map((row, n) => ({
    name: row.generation ? `generation ${row.generation}` : "base",
    colour: `color-mix(in oklab, var(--accent) ${Math.round(100 * (n + 1) / run.generations.length)}%, var(--warm))`,
    points: Object.entries(row.pass_at_k).filter(([k]) => shown(Number(k))).map(([k, y]) => ({ x: Math.log2(k), y, low: row.pass_at_k_interval[k]?.[0], high: row.pass_at_k_interval[k]?.[1], label: `k = ${k}` })),
  }));
  place("wide").append(legend(series.map((one) => [one.name, one.colour])));
  const ks = Array.from({ length: Math.floor(Math.log2(most)) + 1 }, (_, n) => [n, String(2 ** n)]);
  lines(place("wide"), { series, ticks: ks, across: "samples k" });
}

/** The evaluation by level, from light to dark, and which level each generation learnt from. */
function levels() {
  const names = [...new Set(run.generations.flatMap((row) => Object.keys(row.levels)))];
  if (!names.length) return;
  place("leveled").hidden = false;
  const series = names.map((name, n) => ({
    name: `level ${name}`,
    colour: `color-mix(in oklab, var(--accent) ${Math.round((100 * (n + 1)) / names.length)}%, var(--warm))`,
    points: run.generations.filter((row) => row.levels[name]).map((row) =>
      ({ ...spanned(row, row.levels[name].pass_at_1, row.levels[name].interval), hollow: String(row.level) !== name })),
  }));
  place("levels").append(legend(series.map((one) => [one.name, one.colour])));
  lines(place("levels"), { series, ticks: ticks(), across: "generation", height: 230 });
}

function guards() {
  const names = [...new Set(run.generations.flatMap((row) => Object.keys(row.guards)))];
  if (!names.length) return;
  place("guarded").hidden = false;
  const series = names.map((name, n) => ({
    name: visible(name),
    colour: ["var(--accent)", "var(--warm)", "var(--plan)", "var(--revision)"][n % 4],
    dashed: n > 3,
    points: run.generations.filter((row) => row.guards[name]).map((row) => {
      const one = row.guards[name];
      return { ...spanned(row, one.pass_at_1, one.interval), hollow: one.loss?.refuses };
    }),
  }));
  place("guards").append(legend(series.map((one) => [one.name, one.colour])));
  lines(place("guards"), { series, ticks: ticks(), across: "generation", height: 230 });
  const points = (share) => (100 * share).toFixed(1);
  const lost = grown.flatMap((row) => Object.entries(row.guards).filter(([, one]) => one.loss).map(([name, { loss }]) => [String(row.generation), visible(name),
    `${points(loss.loss)} (${points(loss.low)} to ${points(loss.high)})`, points(loss.margin), loss.p.toPrecision(2), loss.refuses ? "refused" : ""]));
  if (lost.length) place("guards").append(make("div", { class: "wide", style: { marginTop: "14px" } },
    table(["generation", "guard", `points lost (90${NBSP}%)`, "margin", "p", ""], lost)));
}

/** The same problems with thinking and after an empty block of it, and what an answer takes in tokens. */
function off() {
  const rows = run.generations.filter((row) => row.thinking);
  if (!rows.length) return;
  place("off").hidden = false;
  const series = [["on", "thinking on", "var(--accent)"], ["off", "thinking off", "var(--warm)"]].map(([key, name, colour]) => ({
    name, colour,
    points: rows.map((row) => ({ ...spanned(row, row.thinking[key].pass_at_1, row.thinking[key].interval), hollow: row.generation > 0 && !row.promoted })),
  }));
  place("off-lines").append(legend(series.map((one) => [one.name, one.colour])));
  lines(place("off-lines"), { series, ticks: ticks(), across: "generation", height: 230 });
  const cells = rows.map((row) => [row.generation ? String(row.generation) : "base", row.thinking.on.tokens.toFixed(1), row.thinking.off.tokens.toFixed(1),
    row.direct === undefined ? "" : `${count(row.direct)} of ${count(row.trained_on)}`]);
  place("off-lines").append(make("div", { class: "wide", style: { marginTop: "14px" } },
    table(["generation", "tokens on", "off", "rows without thinking"], cells)));
}

/** Both candidates of each generation that averages its candidate with its start. */
function candidates() {
  const both = grown.flatMap((row) => Object.entries(row.tried).map(([name, one]) => [String(row.generation), name, `${(100 * one.pass_at_1).toFixed(1)}${NBSP}%`,
    one.drift ? one.drift.kl.toFixed(3) : "", Object.entries(one.guards).map(([guard, found]) => `${visible(guard)} ${(100 * found.pass_at_1).toFixed(1)}${NBSP}%`).join(", "),
    `${one.passed ? "let through" : "refused"}${one.chosen ? (one.passed ? ", chosen" : ", the better one") : ""}`]));
  if (!both.length) return;
  place("tried").hidden = false;
  place("candidates").append(make("div", { class: "wide" }, table(["generation", "candidate", "pass@1", "KL from base", "guards", ""], both)));
}

/** How a fixed text reads to each candidate, and how far its predictions there are from the base model's. */
function drift() {
  const rows = run.generations.filter((row) => row.drift);
  if (rows.length < 2) return;
  place("drift").hidden = false;
  place("drift-how").append(`Each candidate on a fixed text of ${count(rows.at(-1).drift.tokens)} tokens, in nats per token: how far its predictions are from ` +
    "the base model's (forward KL), and its negative log-likelihood. The more they rise, the more has probably been forgotten beyond these problems.");
  for (const [key, name, colour] of [["kl", "KL from base", "var(--warm)"], ["nll", "negative log-likelihood", "var(--accent)"]]) {
    const points = rows.map((row) => ({ ...spanned(row, row.drift[key]), hollow: row.generation > 0 && !row.promoted, apart: row.generation > 0 && !row.promoted, value: true }));
    const top = 1.2 * Math.max(...points.map((p) => p.y)) || 1;
    place(`drift-${key}`).append(legend([[name, colour]]));
    lines(place(`drift-${key}`), { series: [{ name, colour, points }], ticks: ticks(), top, format: (y) => y.toFixed(top < 0.05 ? 4 : 2), across: "generation", height: 210 });
  }
}

function funnel() {
  const outcomes = new Set(run.outcomes);
  // Rows are dropped for their length after selection, earlier generations' rows among them.
  const tooLong = (reason) => reason.endsWith("longer than trainer.max_length");
  for (const row of grown.filter((one) => one.sampled)) {
    const steps = [["sampled", row.sampled], ["verified", row.verified], ["accepted", row.accepted], ["distinct", row.distinct]];
    const reasons = Object.entries(row.drops).sort(([, one], [, other]) => other - one);
    const listed = (wanted) => {
      const lost = reasons.filter(([reason, number]) => number && wanted(reason)).map(([reason, number]) => make("li", {}, `− ${count(number)} ${reason}`));
      return lost.length ? [make("ul", { class: "drops" }, ...lost)] : [];
    };
    const [sampled, verified, accepted, distinct] = steps.map(([name, number]) => bar(name, [[number, "var(--accent)", `${number} ${name}`]], row.sampled, count(number)));
    place("funnel").append(make("div", { class: "card" },
      make("h3", {}, `generation ${row.generation}`),
      sampled, ...listed((reason) => outcomes.has(reason)),
      verified, ...listed((reason) => !outcomes.has(reason) && !tooLong(reason)),
      accepted, distinct, ...listed(tooLong),
      ...(row.off_policy === undefined ? [] : [make("p", { class: "how" }, `Off-policy: ${count(row.off_policy)} of the accepted, from the champion before the last.`)]),
      make("p", { class: "how" }, `Trained on ${plural(row.trained_on, "row")}${row.earlier_rows ? `, ${count(row.earlier_rows)} of them from earlier generations` : ""}${row.general ? `, ${count(row.general)} of general instruction data` : ""}.`)));
  }
  if (!place("funnel").children.length) place("funnel").append(make("p", { class: "quiet" }, "No traces have been sampled."));
}

/** What became of the questions that the champion proposed. */
function proposals() {
  const rows = grown.filter((row) => row.proposed);
  if (!rows.length) return;
  place("proposals").hidden = false;
  const share = (value) => (value === null ? "" : percent(value));
  const heads = ["generation", "proposed", "kept", "mean agreement", "of kept", "false labels", "accepted traces", "dropped"];
  place("proposed").append(make("div", { class: "wide" }, table(heads, rows.map(({ generation, proposed: one }) => [
    String(generation), count(one.proposed), count(one.kept), share(one.agreement), share(one.agreement_kept),
    one.checked === null ? "" : `${count(one.falsely_labelled)} of ${count(one.checked)}`, count(one.accepted),
    Object.entries(one.dropped).sort(([, a], [, b]) => b - a).map(([reason, number]) => `${count(number)} ${reason}`).join(", ")]))));
}

function lengths() {
  const kinds = [[true, "correct", "var(--right)"], [false, "not correct", "var(--wrong)"]];
  const series = kinds.map(([right, name, colour]) => ({
    name,
    colour,
    points: run.lengths.filter((one) => one.right === right).map((one) => ({ x: one.generation, y: one.middle, low: one.low, high: one.high })),
  })).filter((one) => one.points.length);
  if (!series.length) return place("lengths").append(make("p", { class: "quiet" }, "No traces have been sampled."));
  place("lengths").append(legend(series.map((one) => [one.name, one.colour])));
  const top = 1.05 * Math.max(...run.lengths.map((one) => one.high));
  const at = [...new Set(run.lengths.map((one) => one.generation))].map((generation) => [generation, String(generation)]);
  lines(place("lengths"), { series, ticks: at, top, format: (y) => count(Math.round(y)), across: "generation", height: 230 });
}

function firstAttempts() {
  const rows = run.generations.filter((row) => "right_revised" in row.first_attempts);
  if (!rows.length) return;
  place("attempts").hidden = false;
  const change = { right: "spoilt", wrong: "corrected" };
  place("first-attempts").append(table(["first attempt", "revised", "confirmed", "neither", ""], rows.flatMap((row) => ["right", "wrong", "unknown"].map((first) => [
    `${row.generation ? `generation ${row.generation}` : "base"}, ${first}`,
    ...["revised", "confirmed", "neither"].map((kind) => count(row.first_attempts[`${first}_${kind}`])),
    change[first] ? `${count(row.first_attempts[change[first]])} ${change[first]}` : ""]))));
}

function behaviours() {
  const rows = grown.filter((row) => "thoughts" in row.anatomy);
  if (!rows.length) return place("behaviours").append(make("p", { class: "quiet" }, "No traces have been sampled."));
  const most = Math.max(...rows.map((row) => row.anatomy.thoughts));
  // Behaviours that no trace shows, and a table of nothing but 0 %, say nothing.
  const seen = run.behaviours.filter((m) => rows.some((row) => row.anatomy[`${m}_share`] > 0));
  const shown = seen.filter((m) => m !== "step");
  place("behaviours-how").append(`Mean number of thoughts in a sampled trace${shown.length ? ", by reasoning behaviour" : "; none is more than a step"}.`);
  if (shown.length) place("behaviours").append(legend(seen.map((behaviour) => [behaviour, colourOf(behaviour)])));
  for (const row of rows) {
    const parts = seen.map((m) => [row.anatomy[m], colourOf(m), `${m}: ${row.anatomy[m].toFixed(2)} per trace, in ${percent(row.anatomy[`${m}_share`])} of traces`]);
    place("behaviours").append(bar(`generation ${row.generation}`, parts, most || 1, row.anatomy.thoughts.toFixed(1)));
  }
  if (!shown.length) return;
  const shares = table(["share of traces with", ...shown],
    rows.map((row) => [`generation ${row.generation}`, ...shown.map((m) => percent(row.anatomy[`${m}_share`]))]));
  place("behaviours").append(make("div", { class: "wide", style: { marginTop: "14px" } }, shares));
}

function thinking() {
  const kinds = [["under_thinking", "under-thinking", "var(--wrong)"], ["over_thinking", "over-thinking", "var(--accent)"]];
  const series = kinds.map(([key, name, colour]) => ({
    name,
    colour,
    points: grown.filter((row) => key in row.anatomy).map((row) => ({ ...spanned(row, row.anatomy[key], [row.anatomy[`${key}_low`], row.anatomy[`${key}_high`]]), value: true })),
  })).filter((one) => one.points.length);
  if (!series.length) return;
  place("under").hidden = false;
  place("under-thinking").append(legend(series.map((one) => [one.name, one.colour])));
  lines(place("under-thinking"), { series, ticks: ticks().filter(([x]) => x), across: "generation", height: 230 });
}

function budget() {
  if (!run.budget_curve) return;
  const colours = ["var(--accent)", "var(--warm)"];
  const series = run.budget_curve.map((one, n) => ({
    name: one.method,
    colour: colours[n % 2],
    dashed: n > 0,
    points: one.points.filter((p) => p.thinking_tokens !== null).sort((a, b) => a.thinking_tokens - b.thinking_tokens)
      .map((p) => ({ x: p.thinking_tokens, y: p.accuracy, low: p.interval[0], high: p.interval[1], label: p.setting })),
  })).filter((one) => one.points.length);
  if (!series.length) return;
  place("budget").hidden = false;
  place("budget-curve").append(legend(series.map((one) => [one.name, one.colour])));
  const at = rounded(Math.max(...series.flatMap((one) => one.points.map((p) => p.x))), 5).map((x) => [x, count(x)]);
  lines(place("budget-curve"), { series, ticks: at, across: "mean thinking tokens" });
}

function figures() {
  const counts = ["sampled", "verified", "accepted", "distinct", "trained_on"];
  const heads = ["generation", "pass@1", `95${NBSP}% interval`, ...further.map((name) => `by ${visible(name)}`), ...counts.map((key) => key.replace("_", " ")), "minutes", "gate"];
  const minutes = (row) => (Object.values(row.seconds).reduce((total, each) => total + each, 0) / 60).toFixed(1);
  const value = (one) => (one ? one.pass_at_1.toFixed(3) : "");
  const scored = (row) => [value(row), row.interval.map((bound) => bound.toFixed(2)).join("–"), ...further.map((name) => value(row.also[name]))];
  const rows = run.generations.map((row) => (row.generation
    ? [String(row.generation), ...scored(row), ...counts.map((key) => count(row[key])), minutes(row), `${row.promoted ? "kept" : "refused"}: ${row.why}`]
    : ["base", ...scored(row), ...counts.map(() => ""), minutes(row), ""]));
  for (const [name, row] of Object.entries(run.baseline_details)) rows.push([name.replace("_", "-"), ...scored(row), ...counts.map(() => ""), minutes(row), ""]);
  place("figures").append(table(heads, rows));
  const left = new Map();
  for (const [stage, bytes] of run.generations.flatMap((row) => Object.entries(row.gpu_memory_left))) left.set(stage, Math.max(bytes, left.get(stage) ?? 0));
  const held = [...left].map(([stage, bytes]) => `${stage} ${(bytes / 2 ** 30).toFixed(1)}${NBSP}GiB`).join(", ");
  if (held) place("figures").append(make("p", { class: "how" }, `Most GPU memory that torch held after a stage: ${held}.`));
}

story();
if (run.generations.length) {
  [example, improvement, wide, levels, guards, off, candidates, drift, funnel, proposals, lengths, behaviours, firstAttempts, thinking, budget, figures].forEach((draw) => draw());
}
