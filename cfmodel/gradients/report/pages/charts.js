"use strict";
// What all pictures share. SVG draws axes, lines, bars and ridges; a canvas draws the cells of a heat map.

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { top: 16, right: 10, bottom: 36, left: 60 };
const RAMPS = {
  light: ["#eef3f9", "#b5d3ea", "#5fa2d3", "#1c69a8", "#062a5e"],
  dark: ["#15263a", "#164a7b", "#2a86c8", "#7cc8f2", "#fff1bd"],
};
const DARK = matchMedia("(prefers-color-scheme: dark)");

function svg(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes ?? {})) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function html(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// ---- numbers and names ----

const readable = (name) => name.replaceAll("_", " ");

const SUPERSCRIPTS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const raised = (power) => [...String(power)].map((digit) => SUPERSCRIPTS[digit]).join("");
const whole = (value) => Math.round(value).toLocaleString("en-US");
const percent = (share) => (share === null ? "–" : share > 0 && share < 0.001 ? "<0.1%" : `${(100 * share).toFixed(1)}%`);

function number(value) {
  if (value === null || value === undefined) return "–";
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const sign = value < 0 ? "−" : "";
  if (Number.isInteger(value) && size < 1e7) return sign + size.toLocaleString("en-US");
  if (size >= 1e-3 && size < 1e6) return sign + Number(size.toPrecision(3)).toLocaleString("en-US", { maximumSignificantDigits: 3 });
  const power = Math.floor(Math.log10(size));
  const lead = Number((size / 10 ** power).toPrecision(2));
  return `${sign}${lead === 1 ? "" : `${lead}·`}10${raised(power)}`;
}

// A measured value always has three digits, so that a legend does not jump as the slider moves.
function measured(value) {
  const size = Math.abs(value);
  return Number.isFinite(value) && size >= 1e-3 && size < 1000 ? `${value < 0 ? "−" : ""}${size.toPrecision(3)}` : number(value);
}

// Short numbers for an axis: 20 K, 1.5 M.
function brief(value) {
  const [by, unit] = [[1e6, " M"], [1e3, " K"]].find(([by]) => Math.abs(value) >= by * (by === 1e3 ? 10 : 1)) ?? [1, ""];
  return `${number(value / by)}${unit}`;
}

function scale(domain, range, log = false) {
  const bend = log ? Math.log10 : (value) => value;
  const [low, high] = domain.map(bend);
  const span = high - low || 1;
  const to = (value) => range[0] + ((bend(value) - low) / span) * (range[1] - range[0]);
  to.invert = (place) => {
    const value = low + ((place - range[0]) / (range[1] - range[0])) * span;
    return log ? 10 ** value : value;
  };
  return Object.assign(to, { domain, range, log });
}

function ticks({ domain: [low, high], log }, wanted = 5) {
  if (log) return logTicks(low, high, wanted);
  const rough = (high - low || 1) / wanted;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((by) => by * unit).find((size) => size >= rough);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

function logTicks(low, high, wanted) {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  const every = Math.max(1, Math.ceil((last - first + 1) / wanted));
  const leads = last - first < 2 ? [1, 2, 5] : [1];
  const found = [];
  for (let power = first - 1; power <= last; power += every)
    for (const lead of leads) if (lead * 10 ** power >= low * 0.999 && lead * 10 ** power <= high * 1.001) found.push(lead * 10 ** power);
  return found;
}

// ---- frame and axes ----

function frame(place, { height, label, x, y, xLabel, yLabel, margin = {} }) {
  const edge = { ...MARGIN, ...margin };
  const width = Math.max(place.clientWidth, 240);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label });
  place.replaceChildren(drawing);
  const box = { left: edge.left, right: width - edge.right, top: edge.top, bottom: height - edge.bottom };
  const toX = x?.([box.left, box.right]);
  const toY = y?.([box.bottom, box.top]);
  drawing.append(
    svg("text", { class: "axis", x: (box.left + box.right) / 2, y: height - 4, "text-anchor": "middle" }, xLabel ?? ""),
    svg("text", { class: "axis", transform: `translate(12 ${(box.top + box.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, yLabel ?? ""),
    svg("rect", { class: "frame", x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top }),
  );
  return { drawing, box, x: toX, y: toY, width, height };
}

function bottomAxis(chart, places) {
  for (const [at, text] of places) {
    chart.drawing.append(
      svg("line", { class: "frame", x1: at, x2: at, y1: chart.box.bottom, y2: chart.box.bottom + 4 }),
      svg("text", { x: at, y: chart.box.bottom + 16, "text-anchor": "middle" }, text),
    );
  }
}

function leftAxis(chart, places, lines = true) {
  for (const [at, text] of places) {
    if (lines) chart.drawing.append(svg("line", { class: "grid", x1: chart.box.left, x2: chart.box.right, y1: at, y2: at }));
    chart.drawing.append(svg("text", { x: chart.box.left - 6, y: at + 4, "text-anchor": "end" }, text));
  }
}

function epochLines(chart, epochs) {
  const every = Math.ceil(epochs.length / Math.max(1, (chart.box.right - chart.box.left) / 30));
  epochs.forEach(({ epoch, step }) => {
    if (epoch % every) return;
    const at = chart.x(step);
    chart.drawing.append(
      svg("line", { class: "epoch", x1: at, x2: at, y1: chart.box.top, y2: chart.box.bottom }),
      svg("text", { x: at, y: chart.box.top - 4, "text-anchor": "end" }, epoch === every ? `epoch ${epoch}` : `${epoch}`),
    );
  });
}

function stepAxis(chart, epochs) {
  epochLines(chart, epochs);
  bottomAxis(chart, ticks(chart.x, Math.max(3, Math.floor((chart.box.right - chart.box.left) / 75))).filter((t) => Number.isInteger(t)).map((t) => [chart.x(t), t < 1e5 ? whole(t) : brief(t)]));
}

// Columns of equal width, one per sampled step: on an axis of steps the first ones would overlap.
// `labels` are drawn below the columns, `groups` (epochs) above the first column of each.
function columnAxis(chart, { labels, groups, group }) {
  const wide = chart.x(1) - chart.x(0);
  const every = Math.max(1, Math.ceil((Math.max(...labels.map((text) => text.length)) * 6.6 + 10) / wide));
  const shown = labels.map((_, i) => i).filter((i) => i % every === 0);
  const last = labels.length - 1;
  if (last - shown.at(-1) >= every * 0.8) shown.push(last);
  bottomAxis(chart, shown.map((i) => [chart.x(i + 0.5), labels[i]]));
  let free = -Infinity;
  groups?.forEach((name, i) => {
    if (i && groups[i - 1] === name) return;
    const at = chart.x(i);
    if (i) chart.drawing.append(svg("line", { class: "epoch", x1: at, x2: at, y1: chart.box.top, y2: chart.box.bottom }));
    if (at < free) return;
    const text = i ? `${name}` : `${group} ${name}`;
    chart.drawing.append(svg("text", { x: at, y: chart.box.top - 4 }, text));
    free = at + text.length * 6.6 + 6;
  });
}

function cursor(chart, pick) {
  const line = svg("line", { class: "cursor", y1: chart.box.top, y2: chart.box.bottom });
  chart.drawing.append(line);
  if (pick) {
    chart.drawing.style.cursor = "crosshair";
    chart.drawing.addEventListener("click", (event) => {
      const corner = chart.drawing.getBoundingClientRect();
      pick(chart.x.invert(((event.clientX - corner.left) / corner.width) * chart.width));
    });
  }
  return (step) => {
    const at = Math.min(Math.max(chart.x(step), chart.box.left), chart.box.right);
    line.setAttribute("x1", at);
    line.setAttribute("x2", at);
  };
}
