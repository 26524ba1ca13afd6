// The coverage ledger: a heat map of problems by generations, explored with the pointer or the keyboard.

function heat(element, title, set) {
  const { generations, problems, solves } = set;
  const [left, rowHeight] = [46, 24];
  const canvas = make("canvas", { tabindex: "0", role: "img", "aria-label": `${title}; arrow keys move from problem to problem` });
  const readout = make("p", { class: "readout", "aria-live": "polite" }, "Point at a column or use the arrow keys to see a problem; click or press Enter to show its traces.");
  let [chosen, width] = [-1, 0];
  const share = (cell) => (cell ? cell[0] / cell[1] : null);
  const columnAt = (x) => Math.min(problems.length - 1, Math.max(0, Math.floor(((x - left) / (width - left)) * problems.length)));

  function draw() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const [sharp, height] = [window.devicePixelRatio || 1, generations.length * rowHeight];
    canvas.width = width * sharp;
    canvas.height = height * sharp;
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(sharp, sharp);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const [wideness, columns] = [(width - left) / problems.length, Math.min(problems.length, Math.ceil((width - left) * sharp))];
    const gap = wideness >= 4 ? 1 : 0;
    generations.forEach((generation, row) => {
      const top = row * rowHeight;
      pen.globalAlpha = 1;
      pen.fillStyle = colour("quiet");
      pen.fillText(named(generation), 0, top + rowHeight / 2);
      for (let column = 0; column < columns; column++) {
        // With more problems than pixels, each column shows the mean of several problems.
        const from = Math.floor((column * problems.length) / columns);
        const cells = solves[row].slice(from, Math.max(from + 1, Math.floor(((column + 1) * problems.length) / columns))).filter(Boolean);
        if (!cells.length) continue;
        const mean = cells.reduce((total, cell) => total + share(cell), 0) / cells.length;
        // Aligned to whole screen pixels: otherwise edges blur and columns seem to differ.
        const [x, end] = [column, column + 1].map((edge) => left + Math.round(((width - left) * sharp * edge) / columns) / sharp);
        const size = end - x - gap;
        pen.globalAlpha = 1;
        pen.fillStyle = colour("empty");
        pen.fillRect(x, top + 1, size, rowHeight - 2);
        pen.globalAlpha = mean;
        pen.fillStyle = colour("accent");
        pen.fillRect(x, top + 1, size, rowHeight - 2);
      }
    });
    if (chosen >= 0) {
      pen.globalAlpha = 1;
      pen.strokeStyle = colour("ink");
      pen.lineWidth = 2;
      pen.strokeRect(left + wideness * chosen - 1, 1, Math.max(wideness, 3), height - 2);
    }
  }

  function choose(column) {
    chosen = column;
    const [id, question] = run.problems[problems[column]];
    const history = generations.map((generation, row) => {
      const cell = solves[row][column];
      return `${generation ? `generation ${generation}` : "base"}: ${cell ? `${cell[0]} of ${cell[1]}` : "not sampled"}`;
    });
    readout.replaceChildren(make("b", {}, id), ` correct samples, ${history.join(", ")}. `, make("span", { class: "quiet text" }, visible(question.trim()).slice(0, 300)));
    draw();
  }

  const show = () => chosen >= 0 && document.dispatchEvent(new CustomEvent("problem", { detail: problems[chosen] }));
  canvas.addEventListener("pointermove", (event) => choose(columnAt(event.offsetX)));
  canvas.addEventListener("click", (event) => { choose(columnAt(event.offsetX)); show(); });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, PageDown: 20, PageUp: -20, Home: -problems.length, End: problems.length }[event.key];
    if (step) choose(Math.min(problems.length - 1, Math.max(0, chosen + step)));
    else if (event.key === "Enter") show();
    else return;
    event.preventDefault();
  });
  element.append(make("h3", {}, title), canvas, readout);
  drawn(canvas, (now) => { width = now; draw(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

for (const [name, title] of [["eval", "evaluation problems"], ["train", "training problems, as sampled"]]) {
  const set = run.ledger[name];
  if (set.problems.length) heat(place("ledger"), `${count(set.problems.length)} ${title}`, set);
}
for (const row of grown.filter((one) => one.coverage)) {
  const { trend, newly_solved, forgotten, never_solved } = row.coverage;
  const solved = `${newly_solved.length} newly solved, ${forgotten.length} forgotten, ${never_solved.length} never solved`;
  place("ledger").append(make("div", { class: "quiet" }, `generation ${row.generation}: ${trend}: ${solved}`));
}
if (!place("ledger").children.length) place("ledger").append(make("p", { class: "quiet" }, "No evaluation is complete yet."));
