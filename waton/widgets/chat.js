// The chat pane. Lines come by key and replace those that are there; "all" starts anew.

const ONE = "M3 8.8l3 3L13 4.8";
const TWO = "M.8 8.8l3 3L10.8 4.8M8.4 11.2l.6.6 6.2-7";
const TICKS = {
  pending: ["not sent yet", "M8 3.5V8l2.6 1.8M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z"],
  server_ack: ["sent", ONE],
  delivered: ["delivered", TWO],
  read: ["read", TWO],
  played: ["played", TWO],
  error: ["not sent", "M8 4.5v4.2M8 11.4v.1M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z"],
};

function render({ model, el }) {
  const view = openView(model, el, "chat", { messages: show });
  const lines = new Map(); // key -> { data, element }

  const to = h("input", { class: "waton-input waton-to", placeholder: "number or address", spellcheck: "false" });
  to.setAttribute("aria-label", "Recipient");
  const list = h("div", { class: "waton-lines", role: "log", "aria-label": "Messages", tabindex: "0" });
  const nothing = h("div", { class: "waton-nothing", text: "No messages yet" });
  const box = h("textarea", { class: "waton-input waton-text", rows: "1", placeholder: "Type a message" });
  box.setAttribute("aria-label", "Message");
  const arrow = icon("M2.5 8h10.5M8.8 3.6L13.2 8l-4.4 4.4");
  const button = h("button", { type: "button", class: "waton-button waton-primary waton-send", onclick: submit }, arrow, "Send");
  list.append(nothing);
  view.root.append(
    h("label", { class: "waton-top" }, h("span", { class: "waton-dim", text: "To" }), to),
    list,
    h("div", { class: "waton-compose" }, box, button),
    view.errors,
  );

  box.addEventListener("input", grow);
  to.addEventListener("input", ready);
  takeKeys(view.root, view.signal, (event) => {
    if (event.target !== box || event.key !== "Enter") return false;
    if (event.shiftKey) breakLine();
    else submit();
    return true;
  });

  /** By hand: for JupyterLab Shift+Enter is "run this cell", and it prevents the line break as well. */
  function breakLine() {
    box.setRangeText("\n", box.selectionStart, box.selectionEnd, "end");
    grow();
  }

  function grow() {
    box.style.height = "auto";
    box.style.height = `${Math.min(box.scrollHeight + 2, 120)}px`;
    ready();
  }

  function ready() {
    button.disabled = !box.value.trim() || !to.value.trim();
  }

  function submit() {
    ready();
    if (button.disabled) return;
    view.showError("");
    view.send("send", { to: to.value.trim(), text: box.value.trim() });
    box.value = "";
    grow();
    box.focus();
  }

  function show(message) {
    if (message.all) {
      lines.clear();
      list.replaceChildren(nothing);
      to.value ||= message.to;
      ready();
    }
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    for (const data of message.lines) put(data);
    nothing.hidden = lines.size > 0;
    if (atEnd || message.all || message.lines.some((data) => data.from_me && data.status === "pending")) {
      list.scrollTop = list.scrollHeight;
    }
    view.root.dataset.count = lines.size;
  }

  function put(data) {
    const known = lines.get(data.key);
    const element = draw(data);
    lines.set(data.key, { data, element });
    if (known) known.element.replaceWith(element);
    else list.append(element);
    nameOnce(element);
    while (lines.size > 200) {
      const [first] = lines.keys();
      lines.get(first).element.remove();
      lines.delete(first);
    }
  }

  /** A name is said once in a row; the chat of our own lines, once until it changes. */
  function nameOnce(element) {
    const own = element.classList.contains("waton-own");
    let before = element.previousSibling;
    while (own && before && !before.classList.contains("waton-own")) before = before.previousSibling;
    const name = element.firstChild;
    name.hidden = before?.firstChild?.textContent === name.textContent;
  }

  function draw(data) {
    const bubble = h("div", { class: `waton-line ${data.from_me ? "waton-own" : "waton-other"}`, "data-status": data.status });
    bubble.append(h("button", { type: "button", class: "waton-chat-name", text: heading(data), onclick: () => answer(data) }));
    if (data.text) bubble.append(h("div", { class: "waton-said", text: data.text }));
    if (data.problem) {
      const what = data.from_me ? "Not sent" : "Could not be read";
      bubble.append(h("div", { class: "waton-problem", text: `${what}: ${data.problem}` }));
    }
    const foot = h("div", { class: "waton-foot" }, h("time", { text: timeOfDay(data.at).slice(0, 5) }));
    if (data.from_me) foot.append(tick(data.status));
    bubble.append(foot);
    return bubble;
  }

  function heading(data) {
    return data.from_me ? `to ${data.chat}` : data.author;
  }

  function answer(data) {
    to.value = data.chat;
    grow();
    box.focus();
  }

  function tick(status) {
    const [label, d] = TICKS[status] ?? TICKS.pending;
    const mark = h("span", { class: "waton-tick", role: "img", "aria-label": label, title: label, "data-tick": label });
    mark.append(icon(d));
    return mark;
  }

  view.hello();
  ready();
  return view.close;
}

export default { render };
