// The timeline view: lanes of spans and points over time, drawn on a canvas, with a window that zooms and moves.
//
// Python sends the whole timeline at once, and again when there is more of it; which part is looked at is this view's
// own affair. A window that reaches the end follows it; one that does not stays where it is. Times are Unix seconds.

const ROW = 12; // px, one row of a lane
const ALONE = 22; // px, a lane of one row
const PAD = 5; // px above and below a lane's rows
const REACH = 6; // px around the pointer within which a point is found
const DRAG = 4; // px before a press is a drag
const SHORTEST = 1e-4; // s in sight at least
const STEPS = [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400];
const TONES = { out: "--w-out", in: "--w-in", good: "--w-good", busy: "--w-busy", bad: "--w-bad", accent: "--w-accent", quiet: "--w-quiet" };
const LANE = 0, MARK_ROW = 1, AT = 2, END = 3, KIND = 4, NOTE = 5;
const K_NAME = 0, K_LABEL = 1, K_TONE = 2, K_SHAPE = 3, K_SHADES = 4;

function render({ model, el }) {
  const view = openView(model, el, "timeline", { timeline: renew });
  const { root, signal } = view;

  let data = { start: 0, end: 1, lanes: [], kinds: [], spans: [], points: [], notes: [], left_out: 0, live: false };
  let from = 0, to = 1; // what is in sight
  let tops = []; // of the lanes
  let height = 0;
  let colours = {};
  const hidden = new Set(); // names of kinds
  let hovered = null;
  let pinned = null;
  let press = null; // a pointer that is down
  let frame = 0;

  // --- elements

  const range = h("span", { class: "waton-range", role: "status" });
  const button = (label, title, path, act) => {
    const made = h("button", { type: "button", class: "waton-button waton-small", "aria-label": label, title, onclick: act });
    made.append(icon(path));
    return made;
  };
  const shut = button("Zoom out", "Zoom out (−)", "M3.5 8h9", () => zoom(2));
  const open = button("Zoom in", "Zoom in (+)", "M3.5 8h9M8 3.5v9", () => zoom(0.5));
  const whole = h("button", { type: "button", class: "waton-button waton-small waton-whole", text: "All", title: "Show all of it (0)", onclick: all });
  const tools = h("div", { class: "waton-tools" }, range, shut, open, whole);
  const legend = h("div", { class: "waton-legend", role: "group", "aria-label": "What is shown" });
  const axis = h("canvas", { class: "waton-axis", "aria-hidden": "true" });
  const labels = h("div", { class: "waton-labels", "aria-hidden": "true" });
  const canvas = h("canvas", { class: "waton-canvas", "aria-hidden": "true" });
  const scroller = h("div", { class: "waton-scroller" }, labels, canvas);
  const card = h("div", { class: "waton-card", role: "status", hidden: true });
  const nothing = h("div", { class: "waton-nothing", text: "Nothing was recorded in this time", hidden: true });
  const plot = h("div", { class: "waton-plot", tabindex: "0", role: "application" }, axis, scroller, nothing, card);
  plot.setAttribute("aria-label", "Timeline. Plus and minus zoom, left and right move, 0 shows all, n and p go from mark to mark");
  const hint = h("span", { class: "waton-hint" });
  const foot = h("div", { class: "waton-foot" }, hint);
  root.append(tools, legend, plot, foot, view.errors);
  const probe = h("span", { hidden: true });
  root.append(probe);

  // --- from Python

  function renew(message) {
    const wasWhole = from <= data.start && to >= data.end;
    const follows = to >= data.end;
    const gained = message.end - data.end;
    const isFirst = !data.lanes.length;
    data = message;
    if (isFirst || wasWhole) [from, to] = edges();
    else if (follows) [from, to] = [from + gained, to + gained];
    [hovered, pinned] = [null, pinned && again(pinned)];
    if (!pinned) tell(null);
    drawLegend();
    layOut();
    Object.assign(root.dataset, { spans: data.spans.length, points: data.points.length, lanes: data.lanes.length });
    nothing.hidden = data.lanes.length > 0;
    hint.textContent = told();
    draw();
  }

  /** The same mark in the new data; null when it is gone. */
  function again(mark) {
    const same = (other) => other[LANE] === mark[LANE] && other[KIND] === mark[KIND] && other[AT] === mark[AT];
    return data.spans.find(same) ?? data.points.find(same) ?? null;
  }

  function told() {
    const marks = `${count(data.spans.length)} spans, ${count(data.points.length)} points`;
    const older = data.left_out ? `, ${count(data.left_out)} older ones left out` : "";
    return `${marks}${older}. Drag over a stretch, or click and turn the wheel, to zoom.`;
  }

  // --- the window

  function edges() {
    const spare = Math.max(data.end - data.start, SHORTEST) * 0.015;
    return [data.start - spare, data.end + spare];
  }

  function look(a, b) {
    const [first, last] = edges();
    const width = Math.min(Math.max(b - a, SHORTEST), last - first);
    const middle = (a + b) / 2;
    from = Math.min(Math.max(middle - width / 2, first), last - width);
    to = from + width;
    draw();
  }

  function all() {
    look(...edges());
  }

  /** factor < 1 zooms in; around: the time that stays where it is. */
  function zoom(factor, around = (from + to) / 2) {
    look(around - (around - from) * factor, around + (to - around) * factor);
  }

  function move(share) {
    const by = (to - from) * share;
    look(from + by, to + by);
  }

  // --- places

  function width() {
    return canvas.clientWidth;
  }

  function x(at) {
    return ((at - from) / (to - from)) * width();
  }

  function time(px) {
    return from + (px / width()) * (to - from);
  }

  function layOut() {
    tops = [];
    height = 0;
    for (const [, rows] of data.lanes) {
      tops.push(height);
      height += rows > 1 ? rows * ROW + 2 * PAD : ALONE + 2;
    }
    canvas.style.height = labels.style.height = `${height}px`;
    labels.replaceChildren(
      ...data.lanes.map(([label], at) => {
        const made = h("div", { class: "waton-label", text: label, title: label });
        made.style.top = `${tops[at]}px`;
        made.style.height = `${(tops[at + 1] ?? height) - tops[at]}px`;
        return made;
      }),
    );
  }

  function isAlone(lane) {
    return data.lanes[lane][1] <= 1;
  }

  function middle(mark) {
    const top = tops[mark[LANE]];
    return isAlone(mark[LANE]) ? top + ALONE / 2 + 1 : top + PAD + mark[MARK_ROW] * ROW + ROW / 2;
  }

  function isPoint(mark) {
    return data.points.includes(mark);
  }

  function endOf(span) {
    return span[END] ?? data.end;
  }

  function shown(mark) {
    return !hidden.has(data.kinds[mark[KIND]][K_NAME]);
  }

  /** What is under the pointer: points before spans, the last drawn first. */
  function find(px, py) {
    const near = (point) => Math.max(Math.abs(x(point[AT]) - px), Math.abs(middle(point) - py));
    let best = null;
    for (const point of data.points) if (shown(point) && near(point) <= REACH && (!best || near(point) <= near(best))) best = point;
    if (best) return best;
    const hit = (span) => {
      const half = isAlone(span[LANE]) ? ALONE / 2 : ROW / 2;
      const x0 = x(span[AT]);
      return Math.abs(middle(span) - py) <= half && px >= x0 - 2 && px <= Math.max(x(endOf(span)), x0 + 3) + 2;
    };
    return data.spans.filter((span) => shown(span) && hit(span)).pop() ?? null;
  }

  // --- drawing

  function draw() {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(paint);
  }

  function readColours() {
    const colour = (name) => {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    };
    probe.hidden = false;
    for (const [tone, name] of Object.entries(TONES)) colours[tone] = colour(name);
    for (const name of ["paper", "raised", "line", "ink", "dim"]) colours[name] = colour(`--w-${name}`);
    probe.hidden = true;
  }

  function fit(target, high) {
    const scale = window.devicePixelRatio || 1;
    const [wide, tall] = [Math.round(target.clientWidth * scale), Math.round(high * scale)];
    if (target.width !== wide || target.height !== tall) [target.width, target.height] = [wide, tall];
    const pen = target.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, target.clientWidth, high);
    return pen;
  }

  function paint() {
    if (!root.isConnected || !width()) return;
    readColours();
    axis.style.width = `${width()}px`; // a scroll bar makes the canvas narrower
    const pen = fit(canvas, height);
    const ticks = ticksOf(from, to, width());
    paintGround(pen, ticks);
    let drawn = 0;
    for (const span of data.spans) if (shown(span) && endOf(span) >= from && span[AT] <= to) drawn += paintSpan(pen, span);
    for (const point of data.points) if (shown(point) && point[AT] >= from && point[AT] <= to) drawn += paintPoint(pen, point);
    for (const mark of new Set([pinned, hovered])) if (mark) outline(pen, mark);
    if (press?.dragged && !press.pans) paintStretch(pen);
    paintAxis(fit(axis, axis.clientHeight), ticks);
    const [first, last] = edges();
    const times = (last - first) / (to - from);
    range.textContent = `${clockOf(from, to - from)} – ${clockOf(to, to - from)} · ${lasting(to - from)}`;
    Object.assign(root.dataset, { drawn, from: from.toFixed(6), to: to.toFixed(6), zoom: times.toFixed(2) });
    whole.disabled = shut.disabled = times < 1.0001;
  }

  function paintGround(pen, ticks) {
    tops.forEach((top, at) => {
      if (at % 2) return;
      pen.fillStyle = colours.raised;
      pen.fillRect(0, top, width(), (tops[at + 1] ?? height) - top);
    });
    for (const span of data.spans) {
      const kind = data.kinds[span[KIND]];
      if (!kind[K_SHADES] || !shown(span)) continue;
      pen.globalAlpha = 0.2;
      pen.fillStyle = colours[kind[K_TONE]];
      pen.fillRect(x(span[AT]), 0, Math.max(1, x(endOf(span)) - x(span[AT])), height);
      pen.globalAlpha = 1;
    }
    pen.fillStyle = colours.line;
    for (const { at } of ticks) pen.fillRect(Math.round(x(at)), 0, 1, height);
  }

  function paintSpan(pen, span) {
    const kind = data.kinds[span[KIND]];
    const alone = isAlone(span[LANE]);
    const left = Math.max(x(span[AT]), -10), right = Math.min(x(endOf(span)), width() + 10);
    const wide = Math.max(right - left, 2);
    const y = middle(span);
    const high = kind[K_SHAPE] === "line" ? 2 : alone ? 14 : 8;
    pen.fillStyle = colours[kind[K_TONE]];
    pen.globalAlpha = kind[K_SHAPE] === "line" ? 0.75 : 0.85;
    if (span[END] === null) pen.fillStyle = fading(pen, left, left + wide, colours[kind[K_TONE]]);
    pen.beginPath();
    pen.roundRect(left, y - high / 2, wide, high, kind[K_SHAPE] === "line" ? 1 : Math.min(3, wide / 2));
    pen.fill();
    pen.globalAlpha = 1;
    if (alone && kind[K_SHAPE] === "bar") write(pen, data.notes[span[NOTE]][0], Math.max(left, 0), Math.min(right, width()), y);
    return 1;
  }

  /** What still lasts ends in the open. */
  function fading(pen, left, right, colour) {
    const ramp = pen.createLinearGradient(Math.max(left, right - 40), 0, right, 0);
    ramp.addColorStop(0, colour);
    ramp.addColorStop(1, "transparent");
    return ramp;
  }

  function write(pen, text, left, right, y) {
    pen.font = `500 11px ${getComputedStyle(root).fontFamily}`;
    if (pen.measureText(text).width + 10 > right - left) return;
    pen.fillStyle = colours.paper;
    pen.textBaseline = "middle";
    pen.textAlign = "left";
    pen.fillText(text, left + 5, y + 0.5);
  }

  function paintPoint(pen, point) {
    const kind = data.kinds[point[KIND]];
    drawShape(pen, kind[K_SHAPE], x(point[AT]), middle(point), colours[kind[K_TONE]], colours.paper, isAlone(point[LANE]) ? 7 : 5);
    return 1;
  }

  function outline(pen, mark) {
    pen.strokeStyle = colours.ink;
    pen.lineWidth = 1.5;
    pen.beginPath();
    if (isPoint(mark)) pen.arc(x(mark[AT]), middle(mark), 7, 0, 2 * Math.PI);
    else {
      const high = isAlone(mark[LANE]) ? 17 : 11;
      const left = Math.max(x(mark[AT]), -10) - 1.5, right = Math.min(x(endOf(mark)), width() + 10) + 1.5;
      pen.roundRect(left, middle(mark) - high / 2, Math.max(right - left, 5), high, 4);
    }
    pen.stroke();
  }

  function paintStretch(pen) {
    pen.globalAlpha = 0.16;
    pen.fillStyle = colours.accent;
    pen.fillRect(Math.min(press.x, press.now), 0, Math.abs(press.now - press.x), height);
    pen.globalAlpha = 1;
    for (const at of [press.x, press.now]) pen.fillRect(at, 0, 1, height);
  }

  function paintAxis(pen, ticks) {
    pen.font = `11px ${getComputedStyle(root).fontFamily}`;
    pen.textBaseline = "middle";
    pen.textAlign = "center";
    const high = axis.clientHeight;
    for (const { at, text } of ticks) {
      pen.fillStyle = colours.line;
      pen.fillRect(Math.round(x(at)), high - 5, 1, 5);
      const half = pen.measureText(text).width / 2;
      pen.fillStyle = colours.dim;
      if (x(at) - half > 0 && x(at) + half < width()) pen.fillText(text, x(at), high / 2 - 1);
    }
  }

  // --- the card

  function tell(mark, px = 0, py = 0) {
    card.hidden = !mark;
    if (!mark) {
      delete root.dataset.told;
      return;
    }
    const kind = data.kinds[mark[KIND]];
    const [title, detail] = data.notes[mark[NOTE]];
    const isSpan = !isPoint(mark);
    const lasts = !isSpan ? "" : mark[END] === null ? ", still under way" : `, ${lasting(mark[END] - mark[AT])}`;
    const rows = [["at", `${clockOf(mark[AT], 0)}${lasts}`], ["in", data.lanes[mark[LANE]][0]], ...detail];
    card.replaceChildren(
      h("div", { class: "waton-card-title" }, swatch(kind), h("span", { text: title })),
      h("dl", {}, ...rows.flatMap(([name, value]) => [h("dt", { text: name }), h("dd", { text: value })])),
    );
    root.dataset.told = kind[K_NAME];
    const inner = plot.getBoundingClientRect();
    const left = Math.min(Math.max(px + 14, 4), inner.width - card.offsetWidth - 4);
    const below = py + 16 + card.offsetHeight < inner.height;
    card.style.left = `${Math.max(left, 4)}px`;
    card.style.top = `${below ? py + 16 : Math.max(py - card.offsetHeight - 12, 2)}px`;
  }

  /** Where a mark is, within the plot. */
  function placeOf(mark) {
    const at = isPoint(mark) ? mark[AT] : Math.max(mark[AT], from);
    return [x(at) + canvas.offsetLeft, middle(mark) + scroller.offsetTop - scroller.scrollTop];
  }

  function pin(mark) {
    pinned = mark;
    if (mark) tell(mark, ...placeOf(mark));
    else tell(null);
    draw();
  }

  /** The next or the previous mark in time. */
  function step(by) {
    const marks = [...data.spans, ...data.points].filter(shown).sort((a, b) => a[AT] - b[AT]);
    if (!marks.length) return;
    const inSight = marks.findIndex((mark) => mark[AT] >= from);
    const at = pinned ? marks.indexOf(pinned) + by : by > 0 ? Math.max(inSight, 0) : marks.length - 1;
    const mark = marks[Math.min(Math.max(at, 0), marks.length - 1)];
    if (mark[AT] < from || mark[AT] > to) look(mark[AT] - (to - from) / 2, mark[AT] + (to - from) / 2);
    const y = middle(mark);
    if (y < scroller.scrollTop || y > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = y - scroller.clientHeight / 2;
    pin(mark);
  }

  // --- the legend

  function drawLegend() {
    legend.replaceChildren(
      ...data.kinds.map((kind) => {
        const name = kind[K_NAME];
        const chip = h("button", { type: "button", class: "waton-chip", "data-kind": name, "aria-pressed": hidden.has(name) ? "false" : "true" });
        chip.title = "Show or hide";
        chip.append(swatch(kind), kind[K_LABEL]);
        chip.addEventListener("click", () => {
          if (!hidden.delete(name)) hidden.add(name);
          chip.setAttribute("aria-pressed", hidden.has(name) ? "false" : "true");
          draw();
        });
        return chip;
      }),
    );
  }

  // --- the pointer

  function place(event) {
    const inner = canvas.getBoundingClientRect();
    return [event.clientX - inner.left, event.clientY - inner.top];
  }

  function wheel(event) {
    const isMeant = event.ctrlKey || event.metaKey || root.contains(document.activeElement);
    if (!isMeant || !data.lanes.length) return;
    event.preventDefault();
    const [px] = place(event);
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (sideways || event.shiftKey) return move((sideways ? event.deltaX : event.deltaY) / width());
    zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 240))), time(Math.min(Math.max(px, 0), width())));
  }

  function down(event) {
    if (event.button !== 0) return;
    const [px] = place(event);
    plot.focus({ preventScroll: true });
    press = { x: px, now: px, from, to, dragged: false, pans: event.shiftKey || event.currentTarget === axis, id: event.pointerId };
    event.currentTarget.setPointerCapture(event.pointerId);
    event.preventDefault();
  }

  function drag(event) {
    const [px, py] = place(event);
    if (!press) return hover(event.currentTarget === canvas ? find(px, py) : null, event);
    press.now = Math.min(Math.max(px, 0), width());
    press.dragged ||= Math.abs(press.now - press.x) >= DRAG;
    if (!press.dragged) return;
    if (press.pans) {
      const by = ((press.x - px) / width()) * (press.to - press.from);
      look(press.from + by, press.to + by);
    }
    draw();
  }

  function up(event) {
    if (!press) return;
    const done = press;
    press = null;
    if (!done.dragged) return pin(find(...place(event)));
    if (!done.pans) look(time(Math.min(done.x, done.now)), time(Math.max(done.x, done.now)));
    draw();
  }

  function hover(mark, event) {
    if (mark === hovered) return;
    hovered = mark;
    canvas.style.cursor = mark ? "pointer" : "crosshair";
    const inner = plot.getBoundingClientRect();
    if (mark) tell(mark, event.clientX - inner.left, event.clientY - inner.top);
    else if (pinned) tell(pinned, ...placeOf(pinned));
    else tell(null);
    draw();
  }

  for (const target of [canvas, axis]) {
    target.addEventListener("pointerdown", down);
    target.addEventListener("pointermove", drag);
    target.addEventListener("pointerup", up);
    target.addEventListener("pointercancel", () => ((press = null), draw()));
    target.addEventListener("pointerleave", () => press || hover(null));
    target.addEventListener("dblclick", all);
  }
  plot.addEventListener("wheel", wheel, { passive: false });

  takeKeys(root, signal, (event) => {
    if (event.target !== plot) return ["Enter", " "].includes(event.key) ? "default" : false;
    const acts = {
      "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: all, Home: all,
      ArrowLeft: () => move(-0.2), ArrowRight: () => move(0.2), End: () => look(edges()[1] - (to - from), edges()[1]),
      ArrowUp: () => (scroller.scrollTop -= 3 * ROW), ArrowDown: () => (scroller.scrollTop += 3 * ROW),
      n: () => step(1), p: () => step(-1), Escape: () => pin(null),
    };
    if (!acts[event.key]) return false;
    acts[event.key]();
    return true;
  });

  const sizes = new ResizeObserver(() => draw());
  sizes.observe(plot);
  const themes = new MutationObserver(() => draw());
  themes.observe(root, { attributes: true, attributeFilter: ["data-theme"] });
  signal.addEventListener("abort", () => (sizes.disconnect(), themes.disconnect(), cancelAnimationFrame(frame)));

  view.hello();
  return view.close;
}

// --- shapes

/** A mark of its kind around a place; size is half its height. */
function drawShape(pen, shape, x, y, colour, paper, size) {
  pen.fillStyle = pen.strokeStyle = colour;
  pen.lineWidth = 1.8;
  pen.beginPath();
  if (shape === "tick") {
    pen.fillRect(x - 0.75, y - size, 1.5, 2 * size);
  } else if (shape === "cross") {
    const arm = size * 0.72;
    pen.moveTo(x - arm, y - arm), pen.lineTo(x + arm, y + arm);
    pen.moveTo(x + arm, y - arm), pen.lineTo(x - arm, y + arm);
    pen.strokeStyle = paper;
    pen.lineWidth = 4.5;
    pen.stroke();
    pen.strokeStyle = colour;
    pen.lineWidth = 2;
    pen.stroke();
  } else if (shape === "diamond") {
    pen.moveTo(x, y - size), pen.lineTo(x + size, y), pen.lineTo(x, y + size), pen.lineTo(x - size, y);
    pen.closePath();
    pen.fill();
    pen.strokeStyle = paper;
    pen.lineWidth = 1;
    pen.stroke();
  } else {
    pen.arc(x, y, size * (shape === "ring" ? 0.72 : 0.7), 0, 2 * Math.PI);
    if (shape === "ring") pen.fillStyle = paper;
    pen.fill();
    if (shape !== "ring") (pen.strokeStyle = paper), (pen.lineWidth = 1);
    pen.stroke();
  }
}

/** The sign of a kind, for the legend and the card. */
function swatch(kind) {
  const drawn = {
    bar: () => s("rect", { x: 1, y: 4, width: 14, height: 8, rx: 2, class: "waton-fill" }),
    line: () => s("rect", { x: 1, y: 7, width: 14, height: 2, rx: 1, class: "waton-fill" }),
    dot: () => s("circle", { cx: 8, cy: 8, r: 4, class: "waton-fill" }),
    ring: () => s("circle", { cx: 8, cy: 8, r: 3.8, class: "waton-stroke" }),
    diamond: () => s("path", { d: "M8 3l5 5-5 5-5-5z", class: "waton-fill" }),
    cross: () => s("path", { d: "M4 4l8 8M12 4l-8 8", class: "waton-stroke" }),
    tick: () => s("path", { d: "M8 3v10", class: "waton-stroke" }),
  };
  const shape = drawn[kind[K_SHAPE]] ?? drawn.dot;
  return s("svg", { viewBox: "0 0 16 16", class: "waton-swatch", "data-tone": kind[K_TONE], "aria-hidden": "true" }, shape());
}

// --- time

function ticksOf(from, to, width) {
  const step = STEPS.find((step) => ((to - from) / step) * 84 <= width) ?? STEPS[STEPS.length - 1];
  const ticks = [];
  for (let at = Math.ceil(from / step) * step; at <= to && ticks.length < 200; at += step) ticks.push({ at, text: clockOf(at, step * 2) });
  return ticks;
}

/** Local time of day, with as many decimals as a stretch of so many seconds needs; 0: milliseconds. */
function clockOf(at, seconds) {
  const digits = seconds === 0 ? 3 : seconds >= 8 ? 0 : seconds >= 0.8 ? 1 : seconds >= 0.08 ? 2 : seconds >= 0.008 ? 3 : 4;
  const scale = 10 ** digits;
  const rounded = Math.round(at * scale) / scale;
  const part = Math.round((rounded - Math.floor(rounded)) * scale);
  return timeOfDay(Math.floor(rounded)) + (digits ? `.${String(part).padStart(digits, "0")}` : "");
}

function lasting(seconds) {
  if (seconds < 0.001) return `${(seconds * 1e6).toFixed(0)} µs`;
  if (seconds < 1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  return seconds < 7200 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

export default { render };
