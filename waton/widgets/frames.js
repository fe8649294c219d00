// The frames view: a window on the newest rows, drawn by a pool of row elements.
//
// Following: rows come in batches, each acknowledged once it is drawn; the list stays at its end. Held (paused, or the
// reader has scrolled up): only counters come, and nothing moves under the reader. Rows further back are fetched when the
// reader gets there.

const ROW = 24; // px, as in frames.css
const KEPT = 5000; // rows in this browser
const SPARE = 6; // rows drawn beyond each edge
const NEAR_TOP = 40; // rows; closer than that, older ones are fetched
const DEBOUNCE = 120; // ms after the last key before the filter goes to the kernel
const INTENT = 700; // ms within which a scroll counts as the reader's
const COLUMNS = ["Time", "", "Tag", "Id", "Type", "From / to", "Size"];
const ARROWS = { in: "←", out: "→", local: "·" };
const SEQ = 0, AT = 1, WAY = 2, NAME = 3, ID = 4, KIND = 5, XMLNS = 6, PEER = 7, SIZE = 8;

function render({ model, el }) {
  const view = openView(model, el, "frames", { window: renew, rows: add, older: prepend, detail, filter_error: refuse, ask_again: hello });
  const { root, signal } = view;

  let rows = [];
  let more = false; // older ones can be had
  let asking = false; // for older ones
  let following = true;
  let turn = 0; // the reader's last word on following or holding; what Python sent before it heard is out of date
  let paused = false; // by the button; scrolling to the end does not undo it
  let selected = null; // seq
  let opened = null; // seq whose detail is shown
  let intent = 0;
  let kept = 0; // scrollTop, for when the notebook detaches and re-attaches us
  let frame = 0;
  let acks = 0;

  // --- elements

  const filter = h("input", { class: "waton-input waton-filter", type: "text", spellcheck: "false", autocomplete: "off" });
  filter.placeholder = "Filter: words, tag:iq, xmlns:encrypt, way:out, -ping";
  filter.setAttribute("aria-label", "Filter");
  const pauseIcon = icon("M5.5 3.5v9M10.5 3.5v9");
  const playIcon = icon("M5 3.2l7.5 4.8L5 12.8z");
  const pauseText = h("span", { text: "Pause" });
  const pause = h("button", { type: "button", class: "waton-button waton-pause", title: "Pause or follow (space)", onclick: toggle });
  pause.append(pauseIcon, pauseText);
  const problem = h("div", { class: "waton-problem", role: "alert", hidden: true });

  const head = h("div", { class: "waton-row waton-head", role: "row" });
  head.append(...COLUMNS.map((text, at) => h("div", { class: `waton-c${at}`, role: "columnheader", text: text || " " })));
  const spacer = h("div", { class: "waton-spacer", role: "presentation" });
  const scroller = h("div", { class: "waton-scroller", role: "rowgroup" }, spacer);
  const nothing = h("div", { class: "waton-nothing" });
  const jump = h("button", { type: "button", class: "waton-button waton-jump", hidden: true, onclick: follow });
  const pane = h("div", { class: "waton-pane" }, scroller, nothing, jump);
  const grid = h("div", { class: "waton-grid", role: "grid", tabindex: "0", "aria-label": "Frames" }, head, pane);
  grid.setAttribute("aria-colcount", COLUMNS.length);
  const detailTitle = h("span", { class: "waton-detail-title" });
  const detailText = h("pre", { class: "waton-detail-text", tabindex: "0" });
  const copy = h("button", { type: "button", class: "waton-button waton-small", text: "Copy", onclick: copyDetail });
  const shut = h("button", { type: "button", class: "waton-button waton-small", "aria-label": "Close", title: "Close (Esc)", onclick: close });
  shut.append(icon("M4 4l8 8M12 4l-8 8"));
  const detailPane = h("div", { class: "waton-detail", hidden: true });
  detailPane.append(h("div", { class: "waton-detail-head" }, detailTitle, copy, shut), detailText);
  const status = h("div", { class: "waton-status", role: "status" });
  const counters = h("span", { class: "waton-counters" });
  const mode = h("span", { class: "waton-mode" });
  status.append(mode, counters);
  root.append(h("div", { class: "waton-tools" }, filter, pause), problem, grid, detailPane, status, view.errors);
  const pool = new Map(); // seq -> row element
  const spare = []; // row elements without a row

  // --- from Python

  function hello() {
    turn = 0; // Python knows nothing of us
    view.send("hello");
  }

  function renew(message) {
    if (message.turn !== turn && !message.answer) return pass(message);
    rows = message.rows;
    more = message.more;
    asking = false;
    if (message.turn === turn) following = message.following;
    if (following && paused) hold(true);
    if (document.activeElement !== filter) filter.value = message.filter;
    complain("");
    told(message);
    nothing.textContent = message.filter ? "Nothing passes the filter yet" : "Nothing recorded yet";
    clearPool();
    draw(() => acknowledge());
  }

  function add(message) {
    if (message.turn !== turn) return pass(message);
    if (message.following) {
      rows.push(...message.rows);
      if (rows.length > KEPT) {
        rows.splice(0, rows.length - KEPT);
        more = true;
      }
    }
    told(message);
    draw(() => acknowledge());
  }

  /** What was under way when the reader held the view: counted, not shown; following fetches it again. */
  function pass(message) {
    const { fresh } = last;
    told(message);
    last = { ...last, fresh };
    draw(() => acknowledge());
  }

  function prepend(message) {
    asking = false;
    const known = rows.length ? rows[0][SEQ] : Infinity;
    const older = message.rows.filter((row) => row[SEQ] < known);
    more = message.more;
    rows = older.concat(rows);
    if (rows.length > KEPT && !following) rows.length = KEPT;
    size();
    scrollTo(scroller.scrollTop + older.length * ROW);
    draw();
  }

  function detail(message) {
    if (message.seq !== opened) return;
    detailText.replaceChildren(...colour(message.text));
    detailPane.dataset.seq = message.seq;
  }

  function refuse(message) {
    complain(`${message.text} (at character ${message.start + 1}); the last filter that reads stays on`);
  }

  function complain(text) {
    problem.textContent = text;
    problem.hidden = !text;
    filter.setAttribute("aria-invalid", text ? "true" : "false");
  }

  function acknowledge() {
    acks += 1;
    view.send("ack", { n: acks });
  }

  let last = { matched: 0, fresh: 0, total: 0, older: 0, recorded: 0, rate: 0 };
  function told(message) {
    last = message.counters;
    Object.assign(root.dataset, { matched: last.matched, total: last.total, recorded: last.recorded, rate: last.rate });
  }

  // --- drawing

  function draw(then) {
    if (then) waiting.push(then);
    frame ||= requestAnimationFrame(paint);
  }
  const waiting = [];

  function paint() {
    frame = 0;
    size();
    if (following) scrollTo(scroller.scrollHeight);
    place();
    say();
    while (waiting.length) waiting.shift()();
  }

  function size() {
    spacer.style.height = `${rows.length * ROW}px`;
    nothing.hidden = rows.length > 0;
    grid.setAttribute("aria-rowcount", rows.length + 1);
    head.style.paddingRight = `${12 + scroller.offsetWidth - scroller.clientWidth}px`;
    root.dataset.rows = rows.length;
  }

  function scrollTo(top) {
    scroller.scrollTop = top;
    kept = scroller.scrollTop;
  }

  function place() {
    const first = Math.max(0, Math.floor(scroller.scrollTop / ROW) - SPARE);
    const end = Math.min(rows.length, Math.ceil((scroller.scrollTop + scroller.clientHeight) / ROW) + SPARE);
    const wanted = new Set();
    for (let at = first; at < end; at += 1) wanted.add(rows[at][SEQ]);
    for (const [seq, element] of pool) {
      if (wanted.has(seq)) continue;
      pool.delete(seq);
      spare.push(element);
    }
    for (let at = first; at < end; at += 1) {
      const seq = rows[at][SEQ];
      const element = pool.get(seq) ?? fillRow(take(), rows[at]);
      pool.set(seq, element);
      element.style.transform = `translateY(${at * ROW}px)`;
      element.setAttribute("aria-rowindex", at + 2);
      mark(element, seq);
    }
    for (const element of spare) element.hidden = true;
    while (spare.length > 64) spare.pop().remove();
    if (first < NEAR_TOP && more && !asking && !following && rows.length) {
      asking = true;
      view.send("older", { before: rows[0][SEQ] });
    }
  }

  function clearPool() {
    for (const element of pool.values()) spare.push(element);
    pool.clear();
  }

  function take() {
    const element = spare.pop() ?? newRow();
    element.hidden = false;
    return element;
  }

  function newRow() {
    const element = h("div", { class: "waton-row", role: "row" });
    COLUMNS.forEach((_, at) => element.append(h("div", { class: `waton-c${at}`, role: "gridcell" })));
    element.children[4].append(h("span"), h("span", { class: "waton-xmlns" }));
    spacer.append(element);
    return element;
  }

  function fillRow(element, row) {
    const [time, way, tag, id, type, peer, bytes] = element.children;
    element.dataset.seq = row[SEQ];
    element.id = `${root.dataset.name}-${row[SEQ]}`;
    element.dataset.way = row[WAY];
    element.dataset.tag = row[NAME];
    time.textContent = `${timeOfDay(row[AT])}.${String(Math.floor((row[AT] % 1) * 1000)).padStart(3, "0")}`;
    way.textContent = ARROWS[row[WAY]] ?? row[WAY];
    way.setAttribute("aria-label", row[WAY]);
    tag.textContent = row[NAME];
    id.textContent = row[ID];
    type.firstChild.textContent = row[KIND];
    type.lastChild.textContent = row[XMLNS];
    peer.textContent = row[PEER];
    bytes.textContent = count(row[SIZE]);
    for (const cell of [id, type, peer]) cell.title = cell.textContent;
    return element;
  }

  function mark(element, seq) {
    element.setAttribute("aria-selected", seq === selected ? "true" : "false");
    if (seq === selected) grid.setAttribute("aria-activedescendant", element.id);
  }

  function say() {
    const held = last.total === last.matched ? "" : `${count(last.matched)} pass the filter`;
    const total = `${count(last.total)} ${last.total === 1 ? "row" : "rows"}`;
    const older = last.older ? `the first ${count(last.older)} only in the journal` : "";
    const parts = [held, total, older, `${count(last.recorded)} traces recorded`, `${count(last.rate)}/s`];
    counters.textContent = parts.filter(Boolean).join("  ·  ");
    mode.textContent = following ? "Following" : paused ? "Paused" : "Held";
    root.dataset.mode = mode.textContent.toLowerCase();
    pause.replaceChildren(following ? pauseIcon : playIcon, pauseText);
    pauseText.textContent = following ? "Pause" : "Follow";
    jump.hidden = following || last.fresh === 0;
    jump.textContent = `↓ ${count(last.fresh)} new`;
  }

  // --- following and holding

  function toggle() {
    if (following) hold(true);
    else follow();
  }

  function lastSeq() {
    return rows.length ? rows[rows.length - 1][SEQ] : 0;
  }

  function hold(byButton) {
    following = false;
    paused = byButton;
    turn += 1;
    last = { ...last, fresh: 0 };
    view.send("hold", { turn, after: lastSeq() });
    draw();
  }

  function follow() {
    following = true;
    paused = false;
    turn += 1;
    view.send("follow", { turn, after: lastSeq() });
    draw();
  }

  function scrolled() {
    if (!scroller.isConnected || scroller.clientHeight === 0) return;
    if (performance.now() - intent < INTENT) {
      const atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < ROW / 2;
      if (following && !atEnd) hold(false);
      else if (!following && !paused && atEnd) follow();
    }
    kept = scroller.scrollTop;
    place();
  }

  const meant = () => (intent = performance.now());
  for (const type of ["wheel", "touchmove", "pointerdown"]) {
    scroller.addEventListener(type, meant, { passive: true, signal });
  }
  scroller.addEventListener("pointermove", (event) => event.buttons && meant(), { passive: true, signal });
  scroller.addEventListener("scroll", scrolled, { passive: true, signal });

  // --- choosing a row

  spacer.addEventListener("click", (event) => {
    const element = event.target.closest(".waton-row");
    if (!element) return;
    grid.focus({ preventScroll: true });
    choose(Number(element.dataset.seq));
    open();
  });

  function choose(seq) {
    selected = seq;
    root.dataset.selected = seq;
    for (const [known, element] of pool) mark(element, known);
  }

  function move(by) {
    if (!rows.length) return;
    if (following) hold(false);
    const at = rows.findIndex((row) => row[SEQ] === selected);
    const from = at < 0 ? (by > 0 ? Math.ceil(scroller.scrollTop / ROW) - 1 : Math.floor((scroller.scrollTop + scroller.clientHeight) / ROW)) : at;
    const to = Math.min(rows.length - 1, Math.max(0, from + by));
    choose(rows[to][SEQ]);
    const top = to * ROW;
    if (top < scroller.scrollTop) scrollTo(top);
    else if (top + ROW > scroller.scrollTop + scroller.clientHeight) scrollTo(top + ROW - scroller.clientHeight);
    draw();
    if (opened !== null) open();
  }

  function open() {
    if (selected === null) return;
    const row = rows.find((candidate) => candidate[SEQ] === selected);
    if (!row) return;
    if (following) hold(false); // what one reads should stay where it is
    const title = [`#${row[SEQ]}`, ARROWS[row[WAY]], row[NAME], row[ID], `${count(row[SIZE])} bytes`];
    detailTitle.textContent = title.filter(Boolean).join("  ");
    opened = selected;
    detailPane.hidden = false;
    view.send("detail", { seq: selected });
  }

  function close() {
    opened = null;
    detailPane.hidden = true;
    delete detailPane.dataset.seq;
    grid.focus({ preventScroll: true });
  }

  async function copyDetail() {
    await navigator.clipboard.writeText(detailText.textContent);
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy"), 1200);
  }

  // --- keys and filter

  const page = () => Math.max(1, Math.floor(scroller.clientHeight / ROW) - 1);
  const keys = {
    j: () => move(1),
    ArrowDown: () => move(1),
    k: () => move(-1),
    ArrowUp: () => move(-1),
    PageDown: () => move(page()),
    PageUp: () => move(-page()),
    Home: () => move(-rows.length),
    g: () => move(-rows.length),
    End: follow,
    G: follow,
    f: follow,
    " ": toggle,
    Enter: open,
    Escape: close,
    "/": () => filter.select(),
  };

  takeKeys(root, signal, (event) => {
    if (event.target === filter) {
      if (event.key === "Enter") sendFilter();
      else if (event.key === "Escape" && filter.value) clearFilter();
      else if (event.key !== "Escape" && event.key !== "ArrowDown") return false;
      if (event.key !== "Enter") grid.focus({ preventScroll: true });
      return true;
    }
    if (event.target === detailText && event.key !== "Escape") return "default";
    if (event.target.closest("button") && (event.key === " " || event.key === "Enter")) return "default";
    const act = keys[event.key];
    if (!act) return false;
    act();
    return true;
  });

  let timer = 0;
  filter.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(sendFilter, DEBOUNCE);
  });

  function sendFilter() {
    clearTimeout(timer);
    view.send("filter", { text: filter.value });
  }

  function clearFilter() {
    filter.value = "";
    sendFilter();
  }

  // --- in sight and out of sight

  const sight = new IntersectionObserver(([entry]) => {
    if (entry.isIntersecting) {
      // A notebook that detaches cells out of sight forgets where they were scrolled to.
      if (!following) scroller.scrollTop = kept;
      draw();
    }
    view.send(entry.isIntersecting ? "shown" : "hidden");
  });
  const resized = new ResizeObserver(() => draw());
  root.dataset.name = `waton-${Math.random().toString(36).slice(2)}`;
  sight.observe(root);
  resized.observe(scroller);
  signal.addEventListener("abort", () => {
    sight.disconnect();
    resized.disconnect();
    cancelAnimationFrame(frame);
    clearTimeout(timer);
  });
  view.hello();
  return view.close;
}

/** XML with its parts in spans; other text as it is. */
function colour(text) {
  if (!text.startsWith("<")) return [document.createTextNode(text)];
  return text.split(/(<[^<>]*>)/).flatMap((part, at) => (at % 2 ? colourTag(part) : [document.createTextNode(part)]));
}

function colourTag(part) {
  const span = (kind, text) => h("span", { class: `waton-x-${kind}`, text });
  return part.split(/( [^\s=<>]+=)("[^"]*"|'[^']*')/).map((piece, at) => span(["tag", "name", "value"][at % 3], piece));
}

export default { render };
