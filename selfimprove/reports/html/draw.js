"use strict";
// Functions that draw the charts. Text is only ever inserted as text: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element with properties (attributes, or an object for `style`) and children: elements or text. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  return dress(element, properties, children);
}

function shape(tag, properties = {}, ...children) {
  return dress(document.createElementNS(SVG, tag), properties, children);
}

function dress(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    // Not the `style` attribute, which the page's security policy forbids.
    if (name === "style") Object.assign(element.style, value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const place = (id) => document.getElementById(id);
const NBSP = "\u00a0"; // between a number and its unit, which stay on one line
const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.0995 ? 1 : 0)}${NBSP}%`;
const count = (number) => number.toLocaleString("en");
const named = (generation) => (generation === 0 ? "base" : String(generation));
const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

/** Draw now, and again whenever the width of the element changes. */
function drawn(element, draw) {
  let width = 0;
  new ResizeObserver(() => {
    if (element.clientWidth && element.clientWidth !== width) draw((width = element.clientWidth));
  }).observe(element);
}

function legend(entries) {
  const items = entries.map(([name, colour]) => make("li", {}, make("i", { style: { background: colour } }), name));
  return make("ul", { class: "legend" }, ...items);
}

/** About `wanted` round numbers from 0 to `most`. */
function rounded(most, wanted) {
  const rough = most / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, n) => n * step);
}

/**
 * Draws points with intervals, connected by lines, on a grid.
 * series: [{name, colour, points: [{x, y, low, high, label, hollow, apart, value, aside}], dashed, unjoined}]; a point that is `apart` is off the line.
 * rules: [{y, name}], horizontal lines. ticks: [[x, text]]. top: the highest y. format: formats y. across: label of the x axis.
 */
function lines(element, { series, rules = [], ticks, top = 1, format = percent, across, height = 280 }) {
  const label = series.flatMap((one) => one.points.map((p) => `${one.name} ${p.label ?? p.x}: ${format(p.y)}`)).join("; ");
  const holder = make("div");
  element.append(holder);
  drawn(holder, (width) => {
    const [left, right, above, below] = [46, 8, 24, 42];
    const from = Math.min(...ticks.map(([x]) => x), ...series.flatMap((one) => one.points.map((p) => p.x)));
    const to = Math.max(...ticks.map(([x]) => x), ...series.flatMap((one) => one.points.map((p) => p.x)), from + 1e-9);
    const inset = Math.min(40, width / 12);
    const atX = (x) => left + inset + ((x - from) / (to - from)) * (width - left - right - 2 * inset);
    const atY = (y) => above + (1 - y / top) * (height - above - below);
    const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label });
    for (const y of rounded(top, 5)) {
      svg.append(shape("line", { class: "grid", x1: left, x2: width - right, y1: atY(y), y2: atY(y) }));
      svg.append(shape("text", { x: left - 8, y: atY(y) + 4, "text-anchor": "end" }, format(y)));
    }
    for (const [x, text] of ticks) svg.append(shape("text", { x: atX(x), y: height - below + 18, "text-anchor": "middle" }, text));
    svg.append(shape("text", { x: left + (width - left - right) / 2, y: height - 4, "text-anchor": "middle" }, across));
    for (const rule of rules) svg.append(shape("line", { class: "rule", x1: left, x2: width - right, y1: atY(rule.y), y2: atY(rule.y) }));
    series.forEach((one, number) => {
      // Points at the same place are drawn side by side.
      const shift = series.length > 1 ? (number - (series.length - 1) / 2) * Math.min(6, inset / series.length) : 0;
      plot(svg, one, (x) => atX(x) + shift, atY, format);
    });
    // Between the last two points where their distance leaves room, over the lines there; names that would touch share a line.
    const [before, last] = ticks.slice(-2).map(([x]) => atX(x));
    const at = last - before > 200 ? { x: (before + last) / 2, "text-anchor": "middle" } : { x: width - right, "text-anchor": "end" };
    const names = new Map();
    for (const { y, name } of [...rules].sort((one, other) => other.y - one.y)) {
      const close = [...names.keys()].find((above) => atY(y) - atY(above) < 14);
      names.set(close ?? y, [...names.get(close) ?? [], name]);
    }
    for (const [y, several] of names) svg.append(shape("text", { class: "rule-name", y: atY(y) - 5, ...at }, several.join("; ")));
    holder.replaceChildren(svg);
  });
}

function plot(svg, one, atX, atY, format) {
  const stroke = { stroke: one.colour };
  const joined = one.points.filter((p) => !p.apart);
  if (!one.unjoined) {
    const d = joined.map((p, n) => `${n ? "L" : "M"}${atX(p.x).toFixed(1)} ${atY(p.y).toFixed(1)}`).join("");
    svg.append(shape("path", { d, style: stroke, "stroke-dasharray": one.dashed ? "5 4" : null }));
  }
  for (const p of one.points) {
    const title = `${one.name} ${p.label ?? p.x}: ${format(p.y)}${p.low === undefined ? "" : ` (${format(p.low)} to ${format(p.high)})`}`;
    const group = shape("g", {}, shape("title", {}, title));
    if (p.low !== undefined) group.append(shape("line", { class: "span", x1: atX(p.x), x2: atX(p.x), y1: atY(p.low), y2: atY(p.high), style: stroke }));
    const style = p.hollow ? stroke : { fill: one.colour };
    group.append(shape("circle", { cx: atX(p.x), cy: atY(p.y), r: 4.5, class: p.hollow ? "hollow" : null, style }));
    // Beside the point where another series has one above it.
    const at = p.aside ? { x: atX(p.x) - 9, y: atY(p.y) + 4, "text-anchor": "end" } : { x: atX(p.x), y: atY(p.high ?? p.y) - 9, "text-anchor": "middle" };
    if (p.value) group.append(shape("text", { class: "value", ...at }, format(p.y)));
    svg.append(group);
  }
}

/** A horizontal bar of parts, [[size, colour, title]]; a total size of `whole` fills it. */
function track(parts, whole) {
  const pieces = parts.map(([size, colour, title]) => make("span", { title, style: { width: `${(100 * size) / whole}%`, background: colour } }));
  return make("span", { class: "track" }, ...pieces);
}

function bar(name, parts, whole, value) {
  return make("div", { class: "bar" }, make("span", {}, name), track(parts, whole), make("b", {}, value));
}

function table(heads, rows) {
  const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
  const body = rows.map((row) => make("tr", {}, ...row.map((text) => make("td", {}, text))));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
}
