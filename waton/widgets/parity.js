// The parity view: a map of domains by evidence, the rows of what was chosen in it, and one row with both sides.
//
// Python has the report and answers questions; what is on view is here. A choice's rows come whole, without their two
// sides, so the filter needs no answer. Only as many rows are drawn as somebody looks at.

const OUTCOMES = { // worst first: sign, word, what it means
  differs: ["≠", "differs", "nobody has said why"],
  missing: ["○", "missing", "waton has no counterpart yet"],
  open: ["◐", "open", "differs, and it is known what is missing"],
  left_out: ["–", "left out", "not compared, for a reason that is given"],
  better: ["▲", "better", "differs on purpose; a test shows Baileys wrong or weaker"],
  equal: ["=", "equal", "both have it or do it alike"],
};
const STATUSES = { missing: "○", partial: "◐", done: "●", better: "▲" };
const MARKS = { changed: ["≠", "these lines differ"], ours: ["‹", "only waton"], theirs: ["›", "only Baileys"] };
const SHOWN = 200; // rows drawn before somebody asks for more
const OPENED = 4; // places of a difference shown without being asked for
const TOKENS = /<\/?[\w.:-]+|[\w.:-]+="[^"]*"|\/?>|\s+|[^\s<>]+|./g;
const KEY = 0, OUTCOME = 1, KIND = 2, TITLE = 3, GROUP = 4, NOTE = 5, DOMAIN = 6;

function render({ model, el }) {
  const view = openView(model, el, "parity", { overview: renew, rows: list, row: open });
  const { root, signal } = view;
  const waiting = h("div", { class: "waton-empty", text: "Asking the kernel for the report…" });
  const scenarios = h("div", { class: "waton-scenarios" });
  const map = makeMap(view);
  const rows = makeRows(view);
  const detail = makeDetail();
  const main = h("div", { class: "waton-main", hidden: true }, map.element, rows.element);
  root.append(scenarios, waiting, main, detail.element, view.errors);

  let known = false;

  function renew(message) {
    known = true;
    view.showError("");
    waiting.textContent = "This report has no rows. `waton parity run` makes one that has.";
    waiting.hidden = message.total > 0;
    main.hidden = scenarios.hidden = message.total === 0;
    scenarios.replaceChildren(...scenarioBar(message, (name) => view.send("scenario", { name })));
    map.draw(message);
    rows.explain(message);
    detail.name(message.baileys);
    detail.close();
    mark("");
  }

  function list(message) {
    if (!known) return view.send("hello"); // Python spoke first
    view.showError("");
    detail.close();
    rows.draw(message);
    mark(message.choice);
    rows.element.scrollIntoView({ block: "nearest" });
  }

  function open(message) {
    if (!known) return;
    view.showError("");
    rows.mark(message.row[KEY]);
    detail.draw(message);
    detail.element.scrollIntoView({ block: "nearest" });
  }

  function mark(choice) {
    root.dataset.chosen = choice;
    for (const button of root.querySelectorAll("[data-choice]")) {
      button.setAttribute("aria-pressed", button.dataset.choice === choice ? "true" : "false");
    }
  }

  function close() {
    const key = detail.element.dataset.row;
    detail.close();
    rows.mark("");
    rows.focus(key);
  }
  detail.shut.addEventListener("click", close);

  takeKeys(root, signal, (event) => {
    if (event.key === "Escape" && !detail.element.hidden) return close(), true;
    if (event.target.closest(".waton-map")) return map.key(event);
    if (event.target.closest(".waton-list")) return rows.key(event);
    return ["Enter", " "].includes(event.key) && event.target.closest("button, summary") ? "default" : false;
  });
  view.hello();
  return view.close;
}

/** An outcome as a sign and a word. */
function badge(outcome) {
  const [sign, word] = OUTCOMES[outcome];
  return h("span", { class: "waton-badge", "data-outcome": outcome }, signOf(sign), word);
}

function signOf(sign) {
  return h("span", { class: "waton-sign", "aria-hidden": "true", text: sign });
}

// --- scenarios

function scenarioBar({ scenarios, unplayed }, choose) {
  const button = (name, word, told, title) => {
    const made = h("button", { type: "button", class: "waton-chip", "data-choice": `scenario:${name}`, title });
    made.addEventListener("click", () => choose(name));
    made.append(word, ...(told ? [h("span", { class: "waton-number", text: told })] : []));
    return made;
  };
  const played = scenarios.map(([name, good, all]) => {
    const title = all ? `${good} of ${all} stanzas are equal or better` : "no stanza is sent in it";
    return button(name, name, all ? `${good}/${all}` : "", title);
  });
  const rest = unplayed ? [button("", "not played yet", count(unplayed), "what each of them needs")] : [];
  return [h("span", { class: "waton-label", text: "Scenarios" }), ...played, ...rest];
}

// --- the map

function makeMap(view) {
  const element = h("div", { class: "waton-map", role: "grid", "aria-label": "Domains by evidence" });
  let cells = []; // rows of buttons
  let at = [0, 0];

  function draw({ domains, evidence }) {
    const sums = evidence.map((_, place) => [0, 1].map((part) => domains.reduce((sum, one) => sum + one.cells[place][part], 0)));
    const all = { name: "", critical: false, status: "", lacking: 0, cells: sums };
    cells = [];
    const lines = [all, ...domains].map((domain) => line(domain, evidence));
    element.replaceChildren(head(evidence), ...lines, legend());
    focusOn(0, 0, false);
  }

  function head(evidence) {
    const column = (text, title = "") => h("div", { role: "columnheader", text, title });
    const columns = evidence.map(([name, how]) => column(name, how));
    return h("div", { class: "waton-map-row waton-head", role: "row" }, column("domain"), ...columns, column("status"));
  }

  function line(domain, evidence) {
    const title = domain.critical ? `${domain.name}, critical: a gap here loses messages or trust` : domain.name;
    const name = cell(domain.name, "", { class: "waton-domain", title: title || "all domains" });
    if (domain.critical) name.append(h("span", { class: "waton-critical", role: "img", "aria-label": "critical", text: "◆" }));
    name.append(domain.name || "all domains");
    const shares = evidence.map(([kind], place) => share(domain, kind, domain.cells[place]));
    cells.push([name, ...shares]);
    return h("div", { class: "waton-map-row", role: "row" }, name, ...shares, status(domain));
  }

  function share(domain, kind, [good, all]) {
    const name = domain.name || "all domains";
    if (!all) return cell(domain.name, kind, { class: "waton-share", title: `${name}: no rows of ${kind}`, text: "–", "aria-disabled": "true" });
    const made = cell(domain.name, kind, { class: "waton-share", title: `${name}, ${kind}: ${good} of ${all} good`, text: `${good}/${all}` });
    made.style.setProperty("--share", `${Math.round((good / all) * 100)}%`);
    return made;
  }

  function cell(domain, kind, attributes) {
    const made = h("button", { type: "button", role: "gridcell", tabindex: "-1", "data-choice": `${domain}/${kind}`, ...attributes });
    made.addEventListener("click", () => {
      focusOn(...place(made), false);
      if (!made.hasAttribute("aria-disabled")) view.send("cell", { domain, evidence: kind });
    });
    return made;
  }

  function status({ status, lacking }) {
    const title = status ? `${status}; ${count(lacking)} rows keep it from being done` : "";
    const made = h("div", { class: "waton-status", role: "gridcell", "data-status": status, title });
    if (status) made.append(signOf(STATUSES[status]), status);
    return made;
  }

  function legend() {
    const critical = h("span", {}, h("span", { class: "waton-critical", text: "◆" }), "critical");
    const shade = h("span", {}, h("span", { class: "waton-ramp", "aria-hidden": "true" }), "share of good rows, as good/all");
    return h("div", { class: "waton-legend" }, shade, critical);
  }

  function place(made) {
    const row = cells.findIndex((line) => line.includes(made));
    return [row, cells[row].indexOf(made)];
  }

  function focusOn(row, column, isMeant = true) {
    cells[at[0]]?.[at[1]]?.setAttribute("tabindex", "-1");
    at = [clamp(row, cells.length), clamp(column, cells[0]?.length ?? 1)];
    const made = cells[at[0]]?.[at[1]];
    made?.setAttribute("tabindex", "0");
    if (isMeant) made?.focus({ preventScroll: false });
  }

  function key(event) {
    const [row, column] = at;
    const steps = { ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1], Home: [row, 0], End: [row, Infinity] };
    if (steps[event.key]) return focusOn(...steps[event.key]), true;
    return ["Enter", " "].includes(event.key) ? "default" : false;
  }

  return { element, draw, key };
}

function clamp(number, length) {
  return Math.max(0, Math.min(length - 1, number));
}

// --- the rows of a choice

function makeRows(view) {
  const title = h("span", { class: "waton-title" });
  const text = h("span", { class: "waton-text" });
  const filter = h("input", { class: "waton-input waton-filter", type: "text", placeholder: "Filter", spellcheck: "false", autocomplete: "off", "aria-label": "Filter", oninput: renew });
  const chips = h("span", { class: "waton-chips", role: "group", "aria-label": "Outcome" });
  const tools = h("div", { class: "waton-tools", hidden: true }, filter, chips);
  const body = h("div", { class: "waton-rows" });
  const element = h("div", { class: "waton-list" }, h("div", { class: "waton-list-head" }, title, text), tools, body);

  let rows = [];
  let several = false; // domains among them
  let outcome = ""; // the chip that is pressed; "" is all
  let chosen = []; // rows that pass the filter and the chip
  let shown = SHOWN;
  let current = ""; // key of the opened row

  /** Before anything was chosen: how to read it. */
  function explain({ outcomes, total }) {
    rows = chosen = [];
    tools.hidden = true;
    title.textContent = "How to read this";
    text.textContent = "Choose a cell of the map or a scenario, then a row: both sides come up beside each other.";
    const terms = Object.entries(OUTCOMES).flatMap(([name, [, , meaning]]) => [
      h("dt", {}, badge(name)),
      h("dd", { class: "waton-number", text: count(outcomes[name] ?? 0) }),
      h("dd", { text: meaning }),
    ]);
    body.replaceChildren(h("dl", { class: "waton-terms" }, ...terms), h("p", { class: "waton-hint", text: `${count(total)} rows in all. Equal and better rows are good.` }));
    element.dataset.shown = 0;
  }

  function draw(message) {
    rows = message.rows;
    several = new Set(rows.map((row) => row[DOMAIN])).size > 1;
    outcome = "";
    filter.value = "";
    tools.hidden = false;
    title.textContent = message.title;
    text.textContent = message.text;
    renew();
    body.scrollTop = 0;
  }

  function renew() {
    shown = SHOWN;
    show();
  }

  function show() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const named = rows.filter((row) => words.every((word) => searchable(row).includes(word)));
    chips.replaceChildren(...outcomeChips(named));
    chosen = named.filter((row) => !outcome || row[OUTCOME] === outcome);
    body.replaceChildren(...listed(chosen.slice(0, shown)), ...after(chosen.length));
    highlight();
    element.dataset.shown = items().length;
  }

  function searchable(row) {
    return [row[KIND], row[TITLE], row[GROUP], row[NOTE], several ? row[DOMAIN] : "", OUTCOMES[row[OUTCOME]][1]].join(" ").toLowerCase();
  }

  function outcomeChips(named) {
    const chip = (name, label, number) => {
      const pressed = outcome === name ? "true" : "false";
      const made = h("button", { type: "button", class: "waton-chip", "data-filter": name || "all", "aria-pressed": pressed });
      made.append(label, h("span", { class: "waton-number", text: count(number) }));
      made.addEventListener("click", () => {
        outcome = outcome === name ? "" : name;
        renew();
        chips.querySelector(`[data-filter="${name || "all"}"]`)?.focus();
      });
      return made;
    };
    const have = Object.keys(OUTCOMES).filter((name) => name === outcome || rows.some((row) => row[OUTCOME] === name));
    const number = (name) => named.filter((row) => row[OUTCOME] === name).length;
    return [chip("", "all", named.length), ...have.map((name) => chip(name, badge(name), number(name)))];
  }

  function listed(chosen) {
    const made = [];
    let group = "";
    for (const row of chosen) {
      if (row[GROUP] !== group) made.push(h("div", { class: "waton-group", role: "heading", "aria-level": "4", text: (group = row[GROUP]) }));
      made.push(item(row));
    }
    return made;
  }

  function item(row) {
    const made = h("button", { type: "button", class: "waton-item", "data-key": row[KEY], "data-outcome": row[OUTCOME] });
    const tags = [row[KIND], ...(several ? [row[DOMAIN]] : [])].join(" · ");
    made.append(badge(row[OUTCOME]), h("span", { class: "waton-name", text: row[TITLE] }), h("span", { class: "waton-tags", text: tags }));
    if (row[NOTE]) made.append(h("span", { class: "waton-note", text: row[NOTE] }));
    made.addEventListener("click", () => view.send("row", { key: row[KEY] }));
    return made;
  }

  function after(length) {
    if (!length) return [h("div", { class: "waton-empty", text: rows.length ? "Nothing passes the filter" : "There are no rows here" })];
    if (length <= shown) return [];
    const more = () => {
      const first = shown;
      shown += SHOWN;
      show();
      items()[first]?.focus();
    };
    return [h("button", { type: "button", class: "waton-button waton-more", text: `Show more (${count(length - shown)} left)`, onclick: more })];
  }

  function items() {
    return [...body.querySelectorAll(".waton-item")];
  }

  function find(key) {
    return items().find((made) => made.dataset.key === key);
  }

  /** Show which row is opened, wherever it is in the list; "" is none. */
  function mark(opened) {
    current = opened;
    const at = chosen.findIndex((row) => row[KEY] === opened);
    if (at >= shown) {
      shown = (Math.floor(at / SHOWN) + 1) * SHOWN;
      show();
    }
    highlight();
    const made = find(opened);
    if (made) body.scrollTop += within(made, body);
  }

  function highlight() {
    for (const made of items()) made.toggleAttribute("aria-current", made.dataset.key === current);
  }

  function focus(key) {
    find(key)?.focus();
  }

  function key(event) {
    if (event.target === filter) {
      if (event.key === "Escape" && filter.value) return (filter.value = ""), renew(), true;
      return event.key === "ArrowDown" ? step(-1, 1) : false;
    }
    const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 };
    if (event.key === "/") return filter.select(), true;
    if (steps[event.key]) return step(items().indexOf(event.target), steps[event.key]);
    return ["Enter", " "].includes(event.key) ? "default" : false;
  }

  function step(from, by) {
    const all = items();
    all[clamp(from + by, all.length)]?.focus();
    return true;
  }

  return { element, explain, draw, mark, focus, key };
}

/** By how much a scroller must be scrolled to have an element in sight. */
function within(element, scroller) {
  const inner = element.getBoundingClientRect();
  const outer = scroller.getBoundingClientRect();
  const head = 28; // px, of the group's heading that stays on top
  if (inner.top < outer.top + head) return inner.top - outer.top - head;
  return Math.max(0, inner.bottom - outer.bottom);
}

// --- one row

function makeDetail() {
  const title = h("span", { class: "waton-title" });
  const shut = h("button", { type: "button", class: "waton-button waton-small", "aria-label": "Close", title: "Close (Esc)" }, icon("M4 4l8 8M12 4l-8 8"));
  const place = h("code", { class: "waton-key", title: "the row's key, for report.row(…)" });
  const reasons = h("div", { class: "waton-reasons" });
  const sides = h("div", { class: "waton-sides", role: "table", tabindex: "0", "aria-label": "Both sides" });
  const hint = h("div", { class: "waton-hint", text: "The order of attributes says nothing, and is not compared." });
  const state = h("span", { class: "waton-slot" });
  const head = h("div", { class: "waton-detail-head" }, state, title, shut);
  const element = h("section", { class: "waton-detail", hidden: true, "aria-label": "One row" }, head, place, reasons, sides, hint);
  let baileys = "Baileys";

  function name(version) {
    baileys = `Baileys ${version}`.trim();
  }

  function draw({ row, sentence, reasons: told, lines, reordered }) {
    state.replaceChildren(badge(row[OUTCOME]));
    title.textContent = [row[GROUP], row[TITLE]].filter(Boolean).join(" › ");
    place.textContent = row[KEY];
    reasons.replaceChildren(h("p", { class: "waton-sentence", text: sentence }), ...told.map(reason));
    sides.hidden = !lines.length;
    sides.replaceChildren(sideHeads(lines), ...lines.map(lineOf));
    hint.hidden = !reordered;
    element.hidden = false;
    element.dataset.row = row[KEY];
    sides.scrollTop = 0;
    const first = sides.querySelector(".waton-line[data-mark]:not([data-mark='same'])");
    if (first && within(first, sides) > 0) sides.scrollTop = first.offsetTop - sides.clientHeight / 3;
  }

  function sideHeads(lines) {
    const side = (text, at) => {
      const whole = lines.map((line) => line[at]).filter((line) => line !== null).join("\n");
      const made = h("div", { class: "waton-side-head", role: "columnheader" }, h("span", { text }));
      made.append(whole ? copyButton(whole, text) : h("span", { class: "waton-none", text: "nothing" }));
      return made;
    };
    return h("div", { class: "waton-line", role: "row" }, side("waton", 1), h("div", { role: "columnheader" }), side(baileys, 2));
  }

  function close() {
    element.hidden = true;
    delete element.dataset.row;
  }

  return { element, shut, name, draw, close };
}

function copyButton(text, side) {
  const made = h("button", { type: "button", class: "waton-button waton-small", text: "Copy", "aria-label": `Copy ${side}’s side` });
  made.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    made.textContent = "Copied";
    setTimeout(() => (made.textContent = "Copy"), 1200);
  });
  return made;
}

/** Why, in how many places, and the test that shows it. */
function reason({ outcome, note, test, places }) {
  const made = h("div", { class: "waton-reason" }, badge(outcome), h("span", { text: note || OUTCOMES[outcome][2] }));
  if (test) made.append(h("div", { class: "waton-test" }, "shown by ", h("code", { text: test })));
  if (places.length) made.append(placesOf(places));
  return made;
}

function placesOf(places) {
  const told = (value) => (value ? h("code", { text: value }) : h("span", { class: "waton-none", text: "nothing" }));
  const lines = places.map(([path, ours, theirs]) => h("tr", {}, h("td", {}, h("code", { text: path })), h("td", {}, told(ours)), h("td", {}, told(theirs))));
  const head = h("tr", {}, ...["where", "waton", "Baileys"].map((text) => h("th", { scope: "col", text })));
  const summary = h("summary", { text: places.length === 1 ? "in one place" : `in ${places.length} places` });
  const made = h("details", { open: places.length <= OPENED }, summary);
  made.append(h("table", { class: "waton-places" }, h("thead", {}, head), h("tbody", {}, ...lines)));
  return made;
}

/** One line of both sides. */
function lineOf([mark, ours, theirs]) {
  const [sign, title] = MARKS[mark] ?? ["", ""];
  const side = (text, other) => {
    const made = h("div", { class: "waton-code", role: "cell" }, ...(text === null ? [] : paint(text, mark === "changed" ? other : null)));
    made.classList.toggle("waton-nothing", text === null);
    made.style.setProperty("--indent", `${indentOf(text ?? "")}ch`); // so that what is wrapped hangs under its beginning
    return made;
  };
  const gutter = h("div", { class: "waton-gutter", role: "cell", text: sign, title });
  return h("div", { class: "waton-line", role: "row", "data-mark": mark || "same" }, side(ours, theirs), gutter, side(theirs, ours));
}

/** A line in spans: XML in its colours, and what the other line does not have marked. */
function paint(line, other) {
  const isXml = line.trimStart().startsWith("<");
  const others = other === null ? null : new Set(other.match(TOKENS));
  const parts = line.trimStart().match(TOKENS) ?? [];
  return parts.map((part) => {
    const own = others !== null && part.trim() && !others.has(part);
    return h("span", { class: [isXml ? kindOf(part) : "", own ? "waton-own" : ""].join(" ").trim(), text: isXml ? readable(part) : part });
  });
}

function indentOf(line) {
  return line.length - line.trimStart().length;
}

/** Text and values as they are meant; the colours say what is a tag. Copying gives the XML. */
function readable(part) {
  const meant = { lt: "<", gt: ">", quot: '"', amp: "&" };
  return part.replace(/&(lt|gt|quot|amp);/g, (_, name) => meant[name]);
}

function kindOf(part) {
  if (/^[<>]|^\/>/.test(part)) return "waton-x-tag";
  return /^[\w.:-]+="/.test(part) ? "waton-x-attribute" : "";
}

export default { render };
