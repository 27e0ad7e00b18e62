"use strict";
// Pictures of histograms whose buckets are octaves: a heat map over steps, a ridge, and the bars of one step.
//
// An axis is {signed, low, octaves}. Its cells run from the largest negative octave through zero to the largest
// positive one, or from zero if it is not signed; the first octave right of zero is [2^low, 2^(low + 1)).

const cells = ({ signed, octaves }) => (signed ? 2 * octaves + 1 : octaves + 1);
const zeroCell = ({ signed, octaves }) => (signed ? octaves : 0);

function placeOf(axis, value) {
  const away = Math.log2(Math.abs(value)) - axis.low;
  return value > 0 ? zeroCell(axis) + 1 + away : zeroCell(axis) - away;
}

function bounds(axis, cell) {
  const away = cell - zeroCell(axis);
  if (away === 0) return `0 or below ${number(2 ** axis.low)}`;
  const inner = 2 ** (axis.low + Math.abs(away) - 1);
  return away > 0 ? `${number(inner)} to ${number(2 * inner)}` : `${number(-2 * inner)} to ${number(-inner)}`;
}

// Powers of ten with at least `room` pixels between labels, as [coordinate, text].
function octaveTicks(axis, to, room) {
  const pixels = Math.abs(to(1) - to(0));
  const every = Math.max(1, Math.ceil(room / (pixels * Math.log2(10))));
  const found = [[to(zeroCell(axis) + 0.5), "0"]];
  for (let power = Math.ceil(axis.low / Math.log2(10)); power * Math.log2(10) < axis.low + axis.octaves; power++) {
    if (power % every || (power * Math.log2(10) - axis.low + 1) * pixels < room * 0.9) continue;
    found.push([to(placeOf(axis, 10 ** power)), `10${raised(power)}`]);
    if (axis.signed) found.push([to(placeOf(axis, -(10 ** power))), `−10${raised(power)}`]);
  }
  return found;
}

function zeroLine(chart, from, to) {
  chart.drawing.append(svg("line", { class: "epoch", x1: from[0], y1: from[1], x2: to[0], y2: to[1] }));
}

const shares = (counts, total) => counts.map((count) => (total ? count / total : 0));

// ---- heat map ----

function mixed(ramp, share) {
  const at = Math.min(Math.max(share, 0), 1) * (ramp.length - 1);
  const [from, to] = [ramp[Math.floor(at)], ramp[Math.min(Math.floor(at) + 1, ramp.length - 1)]];
  const channel = (text, i) => parseInt(text.slice(1 + 2 * i, 3 + 2 * i), 16);
  const blend = [0, 1, 2].map((i) => Math.round(channel(from, i) + (channel(to, i) - channel(from, i)) * (at % 1)));
  return `rgb(${blend.join(" ")})`;
}

const ramp = () => RAMPS[DARK.matches ? "dark" : "light"];

// One column per row, grey if the row is null, with a gap between columns that are wide enough.
function paint(place, chart, { axis, rows, colour }) {
  const dots = globalThis.devicePixelRatio || 1;
  const { left, right, top, bottom } = chart.box;
  const canvas = html("canvas", { width: Math.round((right - left) * dots), height: Math.round((bottom - top) * dots), "aria-hidden": "true" });
  Object.assign(canvas.style, { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
  const context = canvas.getContext("2d");
  const across = Array.from({ length: rows.length + 1 }, (_, column) => Math.round((chart.x(column) - left) * dots));
  const gap = across[1] - across[0] >= 12 * dots ? Math.round(dots) : 0;
  const down = Array.from({ length: cells(axis) + 1 }, (_, cell) => Math.round((chart.y(cell) - top) * dots));
  const unseen = getComputedStyle(document.body).getPropertyValue("--grid");
  rows.forEach((row, i) => {
    if (row) return;
    context.fillStyle = unseen;
    context.fillRect(across[i], 0, across[i + 1] - across[i], canvas.height);
  });
  rows.forEach((row, i) => row?.forEach((value, cell) => {
    if (!value) return;
    context.fillStyle = colour(value);
    context.fillRect(across[i], down[cell + 1], Math.max(across[i + 1] - across[i] - gap, 1), Math.max(down[cell] - down[cell + 1], 1));
  }));
  place.prepend(canvas);
}

// rows: the share of each cell at each sampled step. The colour depends on the square root of the share.
function heat(place, legend, { axis, steps, rows, columns, label, xLabel, yLabel, pick, height = 270 }) {
  const chart = frame(place, { height, label, xLabel, yLabel, margin: { left: 62 }, x: (range) => scale([0, rows.length], range), y: (range) => scale([0, cells(axis)], range) });
  const most = Math.max(1e-9, ...rows.flat());
  leftAxis(chart, octaveTicks(axis, chart.y, 22), false);
  paint(place, chart, { axis, rows, colour: (share) => mixed(ramp(), Math.sqrt(share / most)) });
  columnAxis(chart, columns);
  const middle = chart.y(zeroCell(axis) + 0.5);
  zeroLine(chart, [chart.box.left, middle], [chart.box.right, middle]);
  rampLegend(legend, (share) => mixed(ramp(), Math.sqrt(share)), "colour: share of the values,", "above 0%", percent(most));
  hint(chart, (x, y) => {
    const at = Math.min(Math.floor(chart.x.invert(x)), rows.length - 1);
    const cell = Math.min(Math.max(Math.floor(chart.y.invert(y)), 0), cells(axis) - 1);
    return `step ${whole(steps[at])}: ${percent(rows[at][cell])} of the values are ${bounds(axis, cell)}`;
  });
  const move = cursor(chart, (place) => pick(Math.floor(place)));
  return (step) => move(nearest(steps, step) + 0.5);
}

function rampLegend(legend, colour, text, low, high) {
  const canvas = html("canvas", { width: 90, height: 1, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  for (let i = 0; i < 90; i++) { context.fillStyle = colour(i / 89); context.fillRect(i, 0, 1, 1); }
  legend.replaceChildren(html("span", {}, `${text} ${low}`, canvas, high));
}

// The browser's own tooltip, with a text for the place under the pointer.
function hint(chart, text) {
  const title = svg("title", {});
  chart.drawing.prepend(title);
  chart.drawing.addEventListener("pointermove", (event) => {
    const corner = chart.drawing.getBoundingClientRect();
    const by = chart.width / corner.width;
    const [x, y] = [(event.clientX - corner.left) * by, (event.clientY - corner.top) * by];
    const { left, right, top, bottom } = chart.box;
    title.textContent = x > left && x < right && y > top && y < bottom ? text(x, y) : "";
  });
}

// ---- ridge ----

function outline(chart, row, base, tall, most) {
  const points = row.map((share, cell) => `${chart.x(cell + 0.5).toFixed(1)} ${(base - (tall * share) / most).toFixed(1)}`);
  return `M${chart.x(0).toFixed(1)} ${base.toFixed(1)}L${points.join("L")}L${chart.x(row.length).toFixed(1)} ${base.toFixed(1)}Z`;
}

const spread = (length, wanted) => {
  const kept = Math.min(length, wanted);
  return Array.from({ length: kept }, (_, i) => Math.round((i * (length - 1)) / Math.max(kept - 1, 1)));
};

// The first step is at the back, on top; the slider's step is drawn over its neighbours.
function ridge(place, { axis, steps, rows, label, xLabel, height = 270 }) {
  const chart = frame(place, { height, label, xLabel, yLabel: "step", margin: { left: 62, top: 16 }, x: (range) => scale([0, cells(axis)], range) });
  const most = Math.max(1e-9, ...rows.flat());
  const shown = spread(rows.length, 14);
  const tall = Math.min(60, (chart.box.bottom - chart.box.top) * 0.3);
  const base = (at) => chart.box.top + tall + ((chart.box.bottom - chart.box.top - tall - 2) * at) / Math.max(rows.length - 1, 1);
  bottomAxis(chart, octaveTicks(axis, chart.x, 38));
  const labelled = spread(shown.length, shown.length > 7 ? 5 : 7).map((i) => shown[i]);
  leftAxis(chart, labelled.map((at) => [base(at), whole(steps[at])]), false);
  const now = svg("path", { class: "ridge now" });
  for (const at of shown) chart.drawing.append(svg("path", { class: "ridge", d: outline(chart, rows[at], base(at), tall, most) }));
  chart.drawing.append(now);
  return (step) => {
    const at = nearest(steps, step);
    now.setAttribute("d", outline(chart, rows[at], base(at), tall, most));
  };
}

// ---- bars of one step ----

function bars(place, { axis, steps, rows, most, label, xLabel, height = 270 }) {
  const top = 1.05 * (most ?? Math.max(1e-9, ...rows.flat()));
  const chart = frame(place, { height, label, xLabel, yLabel: "share of the values", x: (range) => scale([0, cells(axis)], range), y: (range) => scale([0, top], range) });
  leftAxis(chart, ticks(chart.y, 5).map((t) => [chart.y(t), `${number(100 * t)}%`]));
  bottomAxis(chart, octaveTicks(axis, chart.x, 38));
  const made = Array.from({ length: cells(axis) }, (_, cell) => svg("rect", { class: cell === zeroCell(axis) ? "bar zero" : "bar", x: chart.x(cell) + 0.4, width: Math.max(chart.x(1) - chart.x(0) - 0.8, 0.6) }, svg("title", {})));
  chart.drawing.append(...made);
  return (step) => {
    const row = rows[nearest(steps, step)];
    made.forEach((bar, cell) => {
      bar.setAttribute("y", chart.y(row[cell]));
      bar.setAttribute("height", chart.y(0) - chart.y(row[cell]));
      bar.firstChild.textContent = `${percent(row[cell])} of the values are ${bounds(axis, cell)}`;
    });
  };
}
