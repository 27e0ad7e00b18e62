"use strict";
// Lines over steps, with marks for a limit, the slider's step, and the first step of a verdict.

const nearest = (sorted, value) => {
  let low = 0;
  let high = sorted.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= value) low = middle;
    else high = middle;
  }
  return Math.abs(sorted[low] - value) <= Math.abs(sorted[high] - value) ? low : high;
};

const drawable = (value, log) => Number.isFinite(value) && (!log || value > 0);

function path(chart, xs, ys) {
  let open = false;
  let text = "";
  xs.forEach((value, i) => {
    if (!drawable(ys[i], chart.y.log)) { open = false; return; }
    text += `${open ? "L" : "M"}${chart.x(value).toFixed(1)} ${chart.y(ys[i]).toFixed(1)}`;
    open = true;
  });
  return text;
}

function bandPath(chart, { x, low, high }) {
  const kept = x.map((_, i) => i).filter((i) => drawable(low[i], chart.y.log) && drawable(high[i], chart.y.log));
  if (kept.length < 2) return "";
  const point = (ys) => (i) => `${chart.x(x[i]).toFixed(1)} ${chart.y(ys[i]).toFixed(1)}`;
  return `M${kept.map(point(high)).join("L")}L${kept.reverse().map(point(low)).join("L")}Z`;
}

function span(series, log, extra = []) {
  const values = [...extra, ...series.flatMap((one) => [...one.y, ...(one.low ?? []), ...(one.high ?? [])])].filter((v) => drawable(v, log));
  if (!values.length) return log ? [0.1, 1] : [0, 1];
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
  if (log) return [low / 1.25, high * 1.25];
  const room = (high - low || Math.abs(high) || 1) * 0.05;
  return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
}

function swatch(index, dashed) {
  return svg("svg", { viewBox: "0 0 26 9", "aria-hidden": "true" },
    svg("line", { class: `curve s${index}`, x1: 0, x2: 26, y1: 5, y2: 5, ...(dashed ? { "stroke-dasharray": "6 3" } : {}) }));
}

// If there are few points, each gets a dot: a line alone would suggest known values in between.
const MOST_DOTS = 40;

function dots(chart, { x, y, colour }) {
  if (x.length > MOST_DOTS) return;
  x.forEach((value, i) => {
    if (drawable(y[i], chart.y.log)) chart.drawing.append(svg("circle", { class: `f${colour}`, cx: chart.x(value), cy: chart.y(y[i]), r: 2.5 }));
  });
}

// series: [{label, x, y, low?, high?, colour, dashed?}]. The legend shows each line's value at the cursor.
// With `columns` instead of `epochs`, x counts columns, see columnAxis.
function lines(place, legend, { series, log, domain, yDomain, epochs, columns, limit, flag, label, xLabel, yLabel, pick, height = 230, format = measured, tick = brief }) {
  const dark = series.filter((one) => one.x.length);
  const bounds = yDomain ?? span(dark, log, limit ? [limit.value] : []);
  const chart = frame(place, { height, label, xLabel: xLabel ?? "step", yLabel, x: (range) => scale(domain, range), y: (range) => scale(bounds, range, log) });
  leftAxis(chart, ticks(chart.y, 5).map((t) => [chart.y(t), tick(t)]));
  if (columns) columnAxis(chart, columns);
  else stepAxis(chart, epochs ?? []);
  for (const one of dark) if (one.low) chart.drawing.append(svg("path", { class: `band f${one.colour}`, d: bandPath(chart, one) }));
  for (const one of dark) chart.drawing.append(svg("path", { class: `curve s${one.colour}`, d: path(chart, one.x, one.y), ...(one.dashed ? { "stroke-dasharray": "6 3" } : {}) }));
  for (const one of dark) dots(chart, one);
  if (limit) limitLine(chart, limit);
  if (flag) flagLine(chart, flag);
  const move = cursor(chart, pick);
  const values = dark.map((one) => html("b", {}));
  legend.replaceChildren(...dark.map((one, i) => html("span", {}, swatch(one.colour, one.dashed), `${one.label} `, values[i])));
  return (step) => {
    move(step);
    dark.forEach((one, i) => { values[i].textContent = format(one.y[nearest(one.x, step)]); });
  };
}

function limitLine(chart, { value, label }) {
  const at = chart.y(value);
  if (at < chart.box.top || at > chart.box.bottom) return;
  chart.drawing.append(
    svg("line", { class: "limit", x1: chart.box.left, x2: chart.box.right, y1: at, y2: at }),
    svg("text", { x: chart.box.right - 4, y: at - chart.box.top < 16 ? at + 13 : at - 4, "text-anchor": "end" }, label),
  );
}

// The exact first step of a verdict: the slider has only the sampled steps.
function flagLine(chart, step) {
  const at = chart.x(step);
  const left = at - chart.box.left > 110;
  chart.drawing.append(
    svg("line", { class: "flag", x1: at, x2: at, y1: chart.box.top, y2: chart.box.bottom }),
    svg("text", { class: "flagged", x: left ? at - 5 : at + 5, y: chart.box.bottom - 6, "text-anchor": left ? "end" : "start" }, `verdict: step ${whole(step)}`),
  );
}
