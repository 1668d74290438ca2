"use strict";
// Draws what /dashboard.json says, once a second. All text is set as text: names come from upstreams and settings.
const KEY = "autobatch-key", HISTORY_S = 600, ZOOMS = [[30, "30 s"], [60, "1 m"], [180, "3 m"], [600, "10 m"]];
const REASONS = { full: "full", shaped: "one more would not pay", alone: "shares no call", due: "waited long enough",
  idle: "upstream was idle", drain: "stopping" };
const MARKS = { good: "\u25cf", warn: "\u25b2", bad: "\u2716" };
const history = new Map(); // second -> what was answered, waiting, refused and failed in it
let zoomS = 60, last = null;
const at = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...inside) {
  const isSvg = ["svg", "path", "rect", "line", "text", "title", "g"].includes(tag);
  const made = isSvg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...inside.filter((each) => each !== null));
  return made;
}
const number = (value) => value >= 10000 ? (value / 1000).toFixed(value >= 100000 ? 0 : 1) + "k"
  : value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString("en") : value.toFixed(1);
const ms = (value) => value === null ? "\u2013" : value >= 1000 ? (value / 1000).toFixed(value >= 10000 ? 0 : 1) + " s"
  : value.toFixed(value >= 100 ? 0 : 1) + " ms";
const percent = (value) => value === null ? "\u2013" : Math.round(value * 100) + " %";
const ago = (sinceMs) => sinceMs ? age(last.now_ms - sinceMs) : "";
function age(ofMs) {
  const s = Math.max(0, Math.round(ofMs / 1000));
  return s < 120 ? s + " s" : s < 7200 ? Math.round(s / 60) + " m" : s < 172800 ? Math.round(s / 3600) + " h" : Math.round(s / 86400) + " d";
}
const CLOCK_OFF_MS = 5000, isOff = (offMs) => Math.abs(offMs) >= CLOCK_OFF_MS; // as in the sentences above the tiles
const apart = (offMs) => Math.abs(offMs) < 1000 ? Math.abs(offMs) + " ms" : age(Math.abs(offMs));
const clockName = (offMs) => isOff(offMs) ? `a clock is ${offMs < 0 ? "behind" : "ahead of"} Redis's` : "clock difference";
const clock = (line) => [isOff(line.clock_ahead_ms) ? apart(line.clock_ahead_ms) : null, line.clock_ahead_ms > 0 ? "behind Redis's clock" : "ahead of Redis's clock"];
const nice = (value) => {
  const step = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 2.5, 5, 10].map((times) => times * step).find((each) => each >= value && (step > 1 || each % 1 === 0));
};

function drawStats(view) {
  const shown = [
    [number(view.requests_per_s), "answers / s"], [number(view.refused_per_s), "refused / s", view.refused_per_s ? "warn" : ""],
    [number(view.failed_per_s), "failed / s", view.failed_per_s ? "bad" : ""],
    [ms(view.took.p50_ms), "p50 of answers"], [ms(view.took.p99_ms), "p99 of answers"], [number(view.waiting), "texts waiting", "down"],
    [number(view.texts_per_s), "texts / s", "up"],
    [view.batches.length ? number(view.batches.reduce((sum, each) => sum + each.inputs, 0) / view.batches.length) : "\u2013", "texts a call"],
    [percent(view.padding), "padding"], [apart(view.clock_off_ms), clockName(view.clock_off_ms), isOff(view.clock_off_ms) ? "warn" : ""],
  ];
  at("stats").replaceChildren(...shown.map(([value, name, look]) => make("div", {}, make("b", { class: look || "" }, value), make("span", {}, name))));
}

function drawChart(view) {
  const svg = at("chart"), width = svg.clientWidth, height = svg.clientHeight, left = 40, right = 8, foot = 16;
  if (!width) return;
  const endS = view.chart[view.chart.length - 1].at_s, seconds = [];
  for (let s = endS - zoomS + 1; s <= endS; s++) seconds.push(history.get(s) || null);
  const top = nice(Math.max(...seconds.map((each) => each ? each.answered : 0), 1));
  const deep = nice(Math.max(...seconds.map((each) => each ? each.waiting : 0), 1));
  const middle = (height - foot) * 0.58, x = (place) => left + place / (zoomS - 1) * (width - left - right);
  const up = (value) => middle - value / top * (middle - 8), down = (value) => middle + value / deep * (height - foot - middle - 4);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const parts = [[up(top), number(top)], [up(top / 2), number(top / 2)], [down(deep), number(deep)], [middle, "0"]].map(([y, text]) => make("g", {},
    make("line", { class: y === middle ? "axis centre" : "axis", x1: left, x2: width - right, y1: y, y2: y }),
    make("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, text)));
  for (const [name, y, value] of [["up", up, "answered"], ["down", down, "waiting"]]) {
    for (const run of runs(seconds)) {
      const line = run.map(([place, each]) => `${x(place).toFixed(1)},${y(each[value]).toFixed(1)}`).join("L");
      parts.push(make("path", { class: `area-${name}`, d: `M${x(run[0][0])},${middle}L${line}L${x(run[run.length - 1][0])},${middle}Z` }));
      parts.push(make("path", { class: `line-${name}`, d: `M${line}` }));
    }
  }
  seconds.forEach((each, place) => {
    for (const kind of ["failed", "refused"]) {
      if (!each || !each[kind]) continue;
      parts.push(make("rect", { class: kind, x: x(place) - 1.5, y: middle - (kind === "failed" ? 7 : 0), width: 3, height: 7 }, make("title", {}, `${each[kind]} ${kind}`)));
    }
  });
  for (let part = 0; part <= 4; part++) {
    const back = Math.round(zoomS * (4 - part) / 4);
    parts.push(make("text", { x: x((zoomS - 1) * part / 4), y: height - 2, "text-anchor": part === 0 ? "start" : part === 4 ? "end" : "middle" }, back ? `\u2212${back} s` : "now"));
  }
  svg.replaceChildren(...parts);
}
function runs(seconds) { // what is known without a gap
  const found = [];
  seconds.forEach((each, place) => {
    if (!each) return;
    if (place === 0 || !seconds[place - 1]) found.push([]);
    found[found.length - 1].push([place, each]);
  });
  return found;
}

function drawLatency(view) {
  const rows = ["p50_ms", "p99_ms"].map((name) => [name.slice(0, 3), view.took[name], view.queue[name], view.upstream[name]]);
  const longest = Math.max(...rows.map(([, took, queue, call]) => Math.max(took || 0, (queue || 0) + (call || 0))), 0.001);
  const bars = rows.map(([name, took, queue, call]) => {
    // The parts are percentiles of their own, so together they may be more than the whole.
    const own = Math.max(0, (took || 0) - (queue || 0) - (call || 0));
    const svg = make("svg", { viewBox: "0 0 1000 26", preserveAspectRatio: "none" });
    let x = 0;
    for (const [part, value, text] of [["queue", queue, "waited in the queue"], ["call", call, "call of the upstream"], ["own", own, "everything else"]]) {
      const width = (value || 0) / longest * 1000;
      svg.append(make("rect", { class: `part-${part}`, x, y: 0, width, height: 26 }, make("title", {}, `${text}: ${ms(value)}`)));
      x += width;
    }
    return make("div", { class: "bar" }, make("span", {}, name), svg, make("b", {}, ms(took)));
  });
  const legend = make("p", { class: "legend" }, ...[["part-queue", `queue ${ms(view.queue.p50_ms)} / ${ms(view.queue.p99_ms)}`],
    ["part-call", `upstream ${ms(view.upstream.p50_ms)} / ${ms(view.upstream.p99_ms)}`], ["part-own", "everything else"]].map(swatch));
  at("latency").replaceChildren(...bars, legend);
}
const swatch = ([look, text]) => make("span", {}, make("svg", { viewBox: "0 0 10 10" }, make("rect", { class: look, width: 10, height: 10, rx: 2 })), text);

function drawBatches(view) {
  const svg = at("batches"), width = svg.clientWidth, height = svg.clientHeight - 14, count = Math.min(view.batches.length, width < 420 ? 18 : 32);
  if (!width) return;
  const shown = view.batches.slice(view.batches.length - count), step = width / Math.max(count, 12), most = Math.max(...shown.map((each) => computed(each)), 1);
  const scale = Math.min(nice(most), Math.max(...shown.map((each) => each.room), most));
  svg.setAttribute("viewBox", `0 0 ${width} ${height + 14}`);
  svg.replaceChildren(...shown.flatMap((each, place) => {
    const x = place * step + 1, wide = Math.max(step - 3, 2), tall = (value) => Math.max(value / scale * (height - 14), 1);
    const look = each.failed ? "failed" : each.reason in REASONS ? each.reason : "other";
    const told = `${each.inputs} texts of at most ${each.room}, ${each.jobs} jobs, ${percent(each.padding)} padding; left: ${REASONS[each.reason] || each.reason}; `
      + `waited ${ms(each.waited_ms)}, took ${ms(each.took_ms)}${each.failed ? `; ${each.failed} failed` : ""}\n${each.upstream}`;
    return [
      make("rect", { class: "room", x, y: 0, width: wide, height, rx: 2 }, make("title", {}, told)),
      make("rect", { class: `padding reason-${look}`, x: x + 0.75, y: height - tall(computed(each)), width: wide - 1.5, height: tall(computed(each)), rx: 2 }),
      make("rect", { class: `text reason-${look}`, x, y: height - tall(each.inputs), width: wide, height: tall(each.inputs), rx: 2 }, make("title", {}, told)),
      step >= 14 ? make("text", { x: x + wide / 2, y: height + 12, "text-anchor": "middle" }, String(each.inputs)) : null,
    ].filter((part) => part !== null);
  }));
  at("batches-note").textContent = view.fill === null ? "none yet" : `texts in each; dashed: what padding adds; ${percent(view.fill)} of their room`;
  const kinds = [...new Set(shown.map((each) => each.failed ? "failed" : each.reason))];
  at("reasons").replaceChildren(...kinds.map((kind) => swatch([`reason-${kind in REASONS || kind === "failed" ? kind : "other"}`, REASONS[kind] || kind])));
}
const computed = (batch) => batch.padding < 1 ? batch.inputs / (1 - batch.padding) : batch.inputs; // texts' worth of work, padding included

function line(each, name, facts, more) {
  const told = facts.filter((fact) => fact[0] !== null && fact[0] !== "").map(([value, text]) => make("span", {}, make("b", {}, String(value)), " " + text));
  return make("div", { class: "line" }, make("span", { class: "name" }, name),
    make("span", { class: `state ${each.level}` }, `${MARKS[each.level]} ${each.state} ${ago(each.since_ms)}`),
    make("span", { class: "facts" }, ...told), more ? make("span", { class: "more" }, more) : null);
}
function drawLines(view) {
  const named = (model) => model ? ` (${model})` : "";
  const fill = (id, lines) => at(id).replaceChildren(...(lines.length ? lines : [make("p", { class: "empty" }, "none")]));
  fill("models", view.models.map((each) => line(each, each.name || each.served || "(no name)", [
    [number(each.queued), "texts queued"], [number(each.queued_bulk), "bulk"], [each.expired ? number(each.expired) : null, "of them past their deadline"], [each.drain_s ? each.drain_s + " s" : null, "until all is answered"],
    [each.dimension, "dimensions"], [each.dead || null, "jobs given up"], [each.fingerprint, "identity"]], each.name && each.served !== each.name ? each.served : "")));
  fill("upstreams", view.upstreams.map((each) => line(each, each.url + named(each.model), [
    [number(each.texts_per_s), "texts/s"], [number(each.calls_per_s), "calls/s"], [ms(each.took.p50_ms), "p50"], [ms(each.took.p99_ms), "p99"],
    [number(each.in_flight), "in flight"]], each.reason || [each.failed, `${each.served ? each.served + ": " : ""}${each.tuner}`].filter(Boolean).join("; "))));
  fill("batchers", view.batchers.map((each) => line(each, each.id + named(each.model), [
    [number(each.texts_per_s), "texts/s"], [number(each.held), "held"], [number(each.in_flight), "in flight"], clock(each), [percent(each.cpu_share), "CPU"],
    [age(each.alive_ms), "old"]])));
  fill("workers", view.workers.map((each) => line(each, each.id, [
    [number(each.requests_per_s), "answers/s"], [each.refused_per_s ? number(each.refused_per_s) : null, "refused/s"],
    [each.failed_per_s ? number(each.failed_per_s) : null, "failed/s"], [number(each.waiting), "waiting"], clock(each), [ms(each.took.p50_ms), "p50"], [ms(each.took.p99_ms), "p99"],
    [percent(each.cpu_share), "CPU"], [ms(each.redis_ms), "Redis"], [age(each.alive_ms), "old"]])));
}

function draw(view) {
  last = view;
  for (const each of view.chart) history.set(each.at_s, each);
  for (const s of history.keys()) if (s < view.chart[0].at_s - HISTORY_S) history.delete(s);
  const worst = view.troubles.length ? view.troubles[0].level : "good";
  say(worst, view.troubles.length ? `${view.troubles.length} to look at` : "all is well");
  at("troubles").hidden = !view.troubles.length;
  at("troubles").replaceChildren(...view.troubles.map((each) => make("li", { class: each.level }, `${MARKS[each.level]} `, make("span", {}, each.text))));
  at("clock").textContent = new Date(view.now_ms).toLocaleTimeString();
  for (const part of [drawStats, drawChart, drawLatency, drawBatches, drawLines]) part(view);
}
function say(level, text) {
  at("verdict").className = level;
  at("verdict").textContent = `${MARKS[level]} ${text}`;
}

async function look() {
  const key = sessionStorage.getItem(KEY);
  try {
    const answer = await fetch("dashboard.json", { headers: key ? { Authorization: `Bearer ${key}` } : {}, signal: AbortSignal.timeout(5000) });
    at("key-form").hidden = answer.status !== 401;
    if (answer.status === 401) say("warn", key ? "this key is not known here" : "an API key is needed");
    else if (!answer.ok) say("bad", answer.status === 503 ? "Redis is unavailable: nothing can be answered" : `status ${answer.status}`);
    else draw(await answer.json());
    document.body.classList.toggle("stale", !answer.ok);
  } catch {
    at("key-form").hidden = true;
    say("bad", "no answer from this server");
    document.body.classList.add("stale");
  }
}
async function watch() {
  // While a key is asked for there is nothing to ask the server: it would refuse each time, and count that.
  if (!document.hidden && at("key-form").hidden) await look();
  setTimeout(watch, 1000);
}

at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, at("key").value.trim());
  at("key").value = "";
  look();
});
at("zoom").replaceChildren(...ZOOMS.map(([seconds, name]) => {
  const button = make("button", { type: "button", "aria-pressed": String(seconds === zoomS) }, name);
  button.addEventListener("click", () => {
    zoomS = seconds;
    for (const each of at("zoom").children) each.setAttribute("aria-pressed", String(each === button));
    if (last) drawChart(last);
  });
  return button;
}));
addEventListener("resize", () => last && draw(last));
document.addEventListener("visibilitychange", () => document.hidden || look());
watch();
