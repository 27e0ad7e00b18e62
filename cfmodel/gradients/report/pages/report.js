"use strict";
// The report of one run: a slider over the sampled steps updates every picture.

const DATA = JSON.parse(document.getElementById("data").textContent);
const state = { phase: 0, what: "gradients", at: 0, flag: null, timer: null };
const byId = (id) => document.getElementById(id);
const phase = () => DATA.phases[state.phase];
const stepNow = () => phase().samples.step[state.at];
let movers = [];

const slot = (id) => [byId(id).querySelector(".chart"), byId(id).querySelector(".legend")];
const TABLES = DATA.tables;
const TOTAL = 4; // the colour of what is of no single table
const COLOURS = [0, 1, 2, 3, 5, 6, 7];
const colourOf = (table) => COLOURS[TABLES.indexOf(table) % COLOURS.length];
// Every second side is dashed.
const SIDES = [...new Set(DATA.sides)];
const isDashed = (table) => SIDES.indexOf(DATA.sides[TABLES.indexOf(table)]) % 2 === 1;

// ---- drawing ----

// Options of pictures over every step of the training, and over the sampled steps, one column each.
function overTime() {
  return { domain: [1, Math.max(phase().steps, 2)], epochs: phase().epochs, pick: goToStep, flag: state.flag };
}

function overSamples() {
  const { step, epoch } = phase().samples;
  return { columns: { labels: step.map(whole), groups: epoch, group: "epoch" }, xLabel: "sampled step" };
}

function perTable(table, extra = {}) {
  return { label: readable(table), colour: colourOf(table), dashed: isDashed(table), ...extra };
}

function series(name, options) {
  const { step, values } = phase().series;
  const found = values[name];
  return { x: step, y: found.middle, low: found.low, high: found.high, ...options };
}

// Only the highest value of each stretch of steps: a median would hide the one rating that matters.
function worst(name, options) {
  const { x, y, high } = series(name, options);
  return { x, y: high ?? y, ...options };
}

const atColumns = () => phase().samples.step.map((_, i) => i + 0.5);

function sampled(name, options) {
  return { x: atColumns(), y: phase().samples[name], ...options };
}

// Lines over the sampled steps, with a cursor at the slider's step.
function sampledLines(id, options) {
  const { step } = phase().samples;
  const move = lines(...slot(id), { ...overSamples(), domain: [0, step.length], pick: (place) => goTo(Math.floor(place)), ...options });
  movers.push((now) => move(nearest(step, now) + 0.5));
}

function drawHistograms(table) {
  const { axis, counts } = phase().histograms[table][state.what];
  const rows = counts.map((row) => shares(row, row.reduce((sum, count) => sum + count, 0)));
  const shared = { axis, rows, steps: phase().samples.step };
  const what = state.what === "gradients" ? "gradient" : "gradient norm of a row";
  movers.push(
    heat(...slot(`${table}-heat`), { ...shared, ...overSamples(), pick: goTo, yLabel: what, label: `Heat map of ${readable(table)}: share of the values in each octave, a column for each sampled step` }),
    ridge(slot(`${table}-ridge`)[0], { ...shared, xLabel: what, label: `Ridge of ${readable(table)}: the histogram at ${Math.min(14, rows.length)} steps, the first on top` }),
    bars(slot(`${table}-bars`)[0], { ...shared, xLabel: what, label: `Histogram of ${readable(table)} at the slider's step` }),
    () => describeTable(table),
  );
}

function describeTable(table) {
  const own = phase().histograms[table];
  const touched = own.rows_touched[state.at];
  const odd = ["zeros", "denormals", "infinities", "nans"].map((name) => `${whole(own[name][state.at])} ${name === "nans" ? "NaN" : name}`);
  byId(`${table}-words`).textContent =
    `Step ${whole(stepNow())}: ${whole(touched)} of ${whole(phase().rows[table])} rows looked up ` +
    `(the other ${percent(own.structural_zero_fraction[state.at])} have no gradient and are not counted); ` +
    `the values include ${odd.join(", ")}.`;
}

function drawNorms() {
  const tables = (suffix) => TABLES.map((table) => series(`${suffix}/${table}`, perTable(table)));
  const common = { ...overTime(), log: true, yLabel: "L2 norm", limit: { value: phase().max_grad_norm, label: `limit ${number(phase().max_grad_norm)}` } };
  const before = [...tables("before"), series("before/total", { label: "all tables", colour: TOTAL })];
  const after = [...tables("after"), series("after/total", { label: "all tables", colour: TOTAL })];
  const yDomain = span([...before, ...after], true, [phase().max_grad_norm]);
  movers.push(
    lines(...slot("norms-before"), { ...common, yDomain, series: before, label: "Gradient norm before clipping, by table, over steps" }),
    lines(...slot("norms-after"), { ...common, yDomain, series: after, label: "Gradient norm after clipping, by table, over steps" }),
  );
}

function drawLoss() {
  const common = { ...overTime() };
  movers.push(
    lines(...slot("loss-steps"), { ...common, log: true, yLabel: "share of the ratings' variance", label: "Loss and mean squared error over steps", series: [series("loss", { label: "loss, penalty included", colour: 2 }), series("mean_squared_error", { label: "mean squared error", colour: 0 })] }),
    lines(...slot("loss-largest"), { ...common, yLabel: "standard deviations of the ratings", label: "Largest error of a batch over steps", series: [worst("largest_error", { label: "largest error in the batch", colour: 3 })] }),
  );
}

function drawUpdates() {
  const each = (name) => TABLES.map((table) => ({ x: atColumns(), y: phase().histograms[table][name], ...perTable(table) }));
  const batch = sampled("batch_size", { label: "batch size", colour: TOTAL, dashed: true });
  const noise = [sampled("noise_scale", { label: "noise scale", colour: 0 }), batch];
  const share = { yDomain: [0, 1], yLabel: "share", format: percent, tick: (t) => `${number(100 * t)}%` };
  sampledLines("updates-ratio", { log: true, yLabel: "ratio", series: each("update_to_weight"), label: "Update to weight ratio at the sampled steps" });
  sampledLines("updates-adam", { yLabel: "learning rates", series: each("adam_step"), label: "Mean Adam step in learning rates at the sampled steps" });
  sampledLines("updates-ghost", { ...share, series: each("ghost_share"), label: "Ghost share at the sampled steps" });
  sampledLines("updates-noise", { log: true, yLabel: "ratings", series: noise, label: "Gradient noise scale at the sampled steps", format: (value) => (value === null ? "hidden" : whole(value)) });
}

function drawPopularity() {
  for (const table of TABLES) {
    const ratings = phase().ratings_by_decile[table];
    const energy = phase().histograms[table].energy_by_decile;
    movers.push(deciles(slot(`${table}-deciles`), { energy, ratings, table }));
  }
}

function deciles([place, legend], { energy, ratings, table }) {
  const most = Math.max(...energy.flat(), ...ratings, 0.01) * 1.05;
  const chart = frame(place, { height: 190, label: `Share of gradient energy by popularity, ${readable(table)}`, xLabel: "tenth of the rows, rarest first", yLabel: "share", x: (range) => scale([0, 10], range), y: (range) => scale([0, most], range) });
  leftAxis(chart, ticks(chart.y, 4).map((t) => [chart.y(t), `${number(100 * t)}%`]));
  bottomAxis(chart, ratings.map((_, i) => [chart.x(i + 0.5), String(i + 1)]));
  const made = ratings.map((_, i) => svg("rect", { class: `f${colourOf(table)}`, x: chart.x(i + 0.15), width: chart.x(0.7) - chart.x(0) }));
  const marks = ratings.map((share, i) => svg("line", { class: "cursor", x1: chart.x(i + 0.05), x2: chart.x(i + 0.95), y1: chart.y(share), y2: chart.y(share) }));
  chart.drawing.append(...made, ...marks);
  const box = svg("svg", { viewBox: "0 0 26 9", "aria-hidden": "true" }, svg("rect", { class: `f${colourOf(table)}`, x: 6, width: 14, height: 9 }));
  legend.replaceChildren(html("span", {}, box, "of the squared gradient norm"), html("span", {}, swatch(TOTAL), "of the training ratings"));
  return () => made.forEach((bar, i) => {
    bar.setAttribute("y", chart.y(energy[state.at][i]));
    bar.setAttribute("height", chart.y(0) - chart.y(energy[state.at][i]));
  });
}

// How many steps the pictures show, and which is the last.
function describeSamples() {
  const { step } = phase().samples;
  const last = step.at(-1);
  const rest = last < 0.9 * phase().steps ? ` Of later steps only norms, loss and largest error were recorded; see below.` : "";
  byId("sampled").textContent = `${whole(step.length)} of ${whole(phase().steps)} steps are shown, one column each; the last is step ${whole(last)}.${rest}`;
}

function draw() {
  movers = [];
  document.documentElement.style.setProperty("--bar", `${document.querySelector(".controls").offsetHeight}px`);
  describeSamples();
  for (const table of TABLES) drawHistograms(table);
  drawNorms();
  drawLoss();
  drawUpdates();
  drawPopularity();
  goTo(state.at);
}

// ---- moving ----

function goTo(at) {
  state.at = Math.min(Math.max(at, 0), phase().samples.step.length - 1);
  const { step, epoch } = phase().samples;
  const total = phase().series.values;
  const here = nearest(phase().series.step, stepNow());
  const slider = byId("slider");
  slider.max = step.length - 1;
  slider.value = state.at;
  const place = `step ${whole(stepNow())} of ${whole(phase().steps)}, epoch ${epoch[state.at]} of ${phase().epochs.length}`;
  slider.setAttribute("aria-valuetext", place);
  byId("readout").textContent = `${place}: gradient norm ${measured(total["before/total"].middle[here])} before clipping, ${measured(total["after/total"].middle[here])} after`;
  for (const move of movers) move(stepNow());
}

function goToStep(step) {
  goTo(nearest(phase().samples.step, step));
}

function stop() {
  clearInterval(state.timer);
  state.timer = null;
  byId("play").textContent = "▶ play";
}

function play() {
  if (state.timer) { stop(); return; }
  if (state.at === phase().samples.step.length - 1) goTo(0);
  byId("play").textContent = "❚❚ pause";
  state.timer = setInterval(() => {
    goTo(state.at + 1);
    if (state.at === phase().samples.step.length - 1) stop();
  }, 120);
}

function choose(name, value) {
  if (name === "phase") {
    const progress = stepNow() / phase().steps;
    state.phase = Number(value);
    state.flag = null;
    state.at = nearest(phase().samples.step, progress * phase().steps);
  } else state.what = value;
  for (const button of document.querySelectorAll(`button[data-${name}]`)) button.setAttribute("aria-pressed", String(button.dataset[name] === String(value)));
  draw();
}

// A verdict points at a phase, a step and a picture. Links are followed here: a sandboxed frame has no address.
function follow(event) {
  const link = event.target.closest("a[data-to]");
  if (!link) return;
  event.preventDefault();
  const { to, step, phase: name } = link.dataset;
  const wanted = DATA.phases.findIndex((one) => one.name === name);
  if (wanted >= 0 && wanted !== state.phase) choose("phase", wanted);
  if (step && DATA.phases.length) {
    state.flag = Number(step);
    draw();
    goToStep(state.flag);
  }
  const target = byId(to);
  target?.scrollIntoView();
  target?.focus({ preventScroll: true });
}

function onKey(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, select, summary, .scroll")) return;
  const last = phase().samples.step.length - 1;
  const target = { ArrowLeft: state.at - 1, ArrowRight: state.at + 1, Home: event.shiftKey ? 0 : null, End: event.shiftKey ? last : null }[event.key];
  if (target === undefined || target === null) return;
  event.preventDefault();
  stop();
  goTo(target);
}

function start() {
  document.addEventListener("click", follow);
  if (!DATA.phases.length) return;
  document.addEventListener("keydown", onKey);
  byId("slider").addEventListener("input", (event) => { stop(); goTo(Number(event.target.value)); });
  byId("play").addEventListener("click", play);
  for (const name of ["phase", "what"])
    for (const button of document.querySelectorAll(`button[data-${name}]`)) button.addEventListener("click", () => choose(name, button.dataset[name]));
  DARK.addEventListener("change", draw);
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; draw(); } });
  state.at = phase().samples.step.length - 1;
  draw();
}

start();
