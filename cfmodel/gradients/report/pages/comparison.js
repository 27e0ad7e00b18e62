"use strict";
// The comparison of runs: a slider over progress updates every picture, and a list chooses the run compared with the base.

const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const state = { other: 0, at: 0 };
const slot = (id) => [byId(id).querySelector(".chart"), byId(id).querySelector(".legend")];
const progress = () => DATA.pairs[state.other].progress;
const PERCENT = [0, 100];
const points = (value) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${number(Math.abs(100 * value))} points`;
const UNSAMPLED = "the other run has no sampled step near this progress";
let movers = [];

const styled = (run, options) => ({ label: DATA.runs[run], colour: run % 8, dashed: run >= 4, ...options });

// ---- learning curves ----

function drawCurves(id, key, label) {
  const series = DATA.curves.map((curves, run) => styled(run, { x: curves[key].map(([epoch]) => epoch), y: curves[key].map(([, value]) => value) }));
  const last = Math.max(2, ...series.flatMap((one) => one.x));
  const [place, legend] = slot(id);
  lines(place, legend, { series, domain: [1, last], epochs: [], xLabel: "epoch", yLabel: "RMSE (rating units)", label });
  place.querySelector(".cursor").remove();
  const shown = series.filter((one) => one.x.length);
  legend.querySelectorAll("b").forEach((value, i) => { value.textContent = number(Math.min(...shown[i].y)); });
}

// ---- gradients ----

const diverging = () => (DARK.matches ? ["#ffb067", "#0f1318", "#6cc3f5"] : ["#b34700", "#ffffff", "#005a94"]);
const bent = (share) => Math.sign(share) * Math.sqrt(Math.abs(share));

function drawTable(table) {
  const { axis, base, others } = DATA.tables[table];
  const { other, difference } = others[state.other];
  const most = Math.max(1e-9, ...difference.flatMap((row) => row ?? []).map(Math.abs));
  const colour = (share) => mixed(diverging(), (bent(share / most) + 1) / 2);
  const [place, legend] = slot(`${table}-heat`);
  const chart = frame(place, { height: 250, label: `Difference of the gradients of ${readable(table)}, a column for each sampled step of the base run`, xLabel: "progress at the sampled steps", yLabel: "gradient", x: (range) => scale([0, difference.length], range), y: (range) => scale([0, cells(axis)], range) });
  leftAxis(chart, octaveTicks(axis, chart.y, 22), false);
  paint(place, chart, { axis, rows: difference, colour });
  columnAxis(chart, { labels: progress().map(percent) });
  rampLegend(legend, (share) => mixed(diverging(), (bent(2 * share - 1) + 1) / 2), "difference:", points(-most), points(most));
  hint(chart, (x, y) => {
    const at = Math.min(Math.floor(chart.x.invert(x)), difference.length - 1);
    if (!other[at]) return UNSAMPLED;
    const cell = Math.min(Math.max(Math.floor(chart.y.invert(y)), 0), cells(axis) - 1);
    return `${percent(progress()[at])} done, ${bounds(axis, cell)}: ${percent(base[at][cell])} in the base run, ${percent(other[at][cell])} in the other`;
  });
  const move = cursor(chart, (place) => goTo(Math.floor(place)));
  movers.push(() => move(state.at + 0.5), drawBoth(table, axis, base, other), drawBars(table, axis, difference, most));
}

function drawBoth(table, axis, base, other) {
  const [place, legend] = slot(`${table}-both`);
  const top = Math.max(1e-9, ...base.flat(), ...other.flatMap((row) => row ?? [])) * 1.05;
  const chart = frame(place, { height: 250, label: `Histograms of ${readable(table)} in both runs`, xLabel: "gradient", yLabel: "share of the values", x: (range) => scale([0, cells(axis)], range), y: (range) => scale([0, top], range) });
  leftAxis(chart, ticks(chart.y, 5).map((t) => [chart.y(t), `${number(100 * t)}%`]));
  bottomAxis(chart, octaveTicks(axis, chart.x, 38));
  const [mine, theirs] = ["curve s2", "curve s0"].map((look) => svg("path", { class: look }));
  chart.drawing.append(mine, theirs);
  legend.replaceChildren(html("span", {}, swatch(2), "base"), html("span", {}, swatch(0), "other"));
  const stairs = (row) => row && `M${row.map((share, cell) => `${chart.x(cell).toFixed(1)} ${chart.y(share).toFixed(1)}L${chart.x(cell + 1).toFixed(1)} ${chart.y(share).toFixed(1)}`).join("L")}`;
  return () => { mine.setAttribute("d", stairs(base[state.at])); theirs.setAttribute("d", stairs(other[state.at]) ?? ""); };
}

function drawBars(table, axis, difference, most) {
  const place = slot(`${table}-bars`)[0];
  const chart = frame(place, { height: 250, label: `Difference of the histograms of ${readable(table)}`, xLabel: "gradient", yLabel: "percentage points", x: (range) => scale([0, cells(axis)], range), y: (range) => scale([-most, most], range) });
  leftAxis(chart, ticks(chart.y, 5).map((t) => [chart.y(t), number(100 * t)]));
  bottomAxis(chart, octaveTicks(axis, chart.x, 38));
  const made = Array.from({ length: cells(axis) }, (_, cell) => svg("rect", { x: chart.x(cell) + 0.4, width: Math.max(chart.x(1) - chart.x(0) - 0.8, 0.6) }, svg("title", {})));
  chart.drawing.append(...made);
  return () => made.forEach((bar, cell) => {
    const share = difference[state.at]?.[cell] ?? 0;
    bar.setAttribute("class", share > 0 ? "bar plus" : "bar minus");
    bar.setAttribute("y", chart.y(Math.max(share, 0)));
    bar.setAttribute("height", chart.y(Math.min(share, 0)) - chart.y(Math.max(share, 0)));
    bar.firstChild.textContent = difference[state.at] ? `${bounds(axis, cell)}: ${points(share)}` : UNSAMPLED;
  });
}

function drawNorms(id, key) {
  const series = DATA.norms.map(({ run, curves }) => styled(run, { x: curves[key].map(([done]) => 100 * done), y: curves[key].map(([, norm]) => norm) }));
  const move = lines(...slot(id), { series, log: true, domain: PERCENT, epochs: [], xLabel: "progress (% of the steps)", yLabel: "L2 norm", label: `Gradient norms, ${readable(key)}`, pick: (done) => goTo(nearest(progress().map((p) => 100 * p), done)) });
  movers.push(() => move(100 * progress()[state.at]));
}

// ---- moving ----

function draw() {
  movers = [];
  const bar = document.querySelector(".controls");
  if (bar) document.documentElement.style.setProperty("--bar", `${bar.offsetHeight}px`);
  drawCurves("curves-val", "val/rmse", "RMSE on val by epoch");
  drawCurves("curves-train", "train/rmse", "RMSE on train by epoch");
  if (!DATA.pairs.length) return;
  Object.keys(DATA.tables).forEach(drawTable);
  drawNorms("norms-total", "total");
  for (const table of Object.keys(DATA.tables)) drawNorms(`norms-${table}`, table);
  goTo(state.at);
}

function goTo(at) {
  const slider = byId("slider");
  state.at = Math.min(Math.max(at, 0), progress().length - 1);
  slider.max = progress().length - 1;
  slider.value = state.at;
  const done = `${percent(progress()[state.at])} of the steps done`;
  slider.setAttribute("aria-valuetext", done);
  const apart = Object.entries(DATA.tables).map(([table, { others }]) => `${readable(table)} ${percent(others[state.other].distance[state.at])}`);
  const seen = Object.values(DATA.tables)[0].others[state.other].other[state.at];
  byId("readout").textContent = seen ? `${done}; distance: ${apart.join(", ")}` : `${done}; ${UNSAMPLED}`;
  for (const move of movers) move();
}

function follow(event) {
  const link = event.target.closest("a[data-to]");
  const target = link && byId(link.dataset.to);
  if (!link) return;
  event.preventDefault();
  target?.scrollIntoView();
  target?.focus({ preventScroll: true });
}

function onKey(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, select, summary, .scroll")) return;
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by || !DATA.pairs.length) return;
  event.preventDefault();
  goTo(state.at + by);
}

function start() {
  document.addEventListener("click", follow);
  document.addEventListener("keydown", onKey);
  byId("slider")?.addEventListener("input", (event) => goTo(Number(event.target.value)));
  byId("other")?.addEventListener("change", (event) => { state.other = Number(event.target.value); draw(); });
  DARK.addEventListener("change", draw);
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; draw(); } });
  const seen = Object.values(DATA.tables)[0]?.others[0].other;
  state.at = seen ? seen.findLastIndex((row) => row) : 0;
  draw();
}

start();
