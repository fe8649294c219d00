// The pairing view. Everything shown comes in one "state" message; a view that is drawn again asks for it again.

const TICK = 250; // ms between two looks at the clock

const WIDTH = 276; // px, at most, of the code

const STEPS = ["Open WhatsApp on your phone", "Settings, then Linked devices", "Link a device, and scan this code"];

function render({ model, el }) {
  const view = openView(model, el, "pairing", { state: show });
  const body = h("div", { class: "waton-pairing-body" });
  const dot = h("span", { class: "waton-dot", "aria-hidden": "true" });
  const line = h("span", { class: "waton-said" });
  view.root.append(body, h("div", { class: "waton-state", role: "status" }, dot, line), view.errors);

  let state = null;
  let due = null; // when the QR ends, or the next attempt is made; performance.now()
  let shown = ""; // which panel is drawn, and of what

  function show(message) {
    state = message;
    view.showError("");
    const seconds = state.qr ? state.qr.expires_in : state.retry_in;
    due = seconds === null ? null : performance.now() + seconds * 1000;
    view.root.dataset.status = state.status;
    draw();
    tick();
  }

  function draw() {
    const key = state.qr ? state.qr.d : `${state.status} ${state.me} ${state.lid}`;
    if (key !== shown) {
      shown = key;
      body.replaceChildren(...panel());
    }
    const button = body.querySelector(".waton-scan");
    if (button) {
      button.disabled = state.scanning;
      button.lastChild.textContent = state.scanning ? "Scanning…" : "Scan with the lab’s phone";
    }
  }

  function panel() {
    if (state.qr) return qrPanel();
    if (state.me && state.status !== "closed") return pairedPanel();
    return [];
  }

  function qrPanel() {
    const { size, d } = state.qr;
    const label = "QR code to link this notebook as a device";
    const code = s("svg", { viewBox: `0 0 ${size} ${size}`, class: "waton-qr", role: "img", "aria-label": label });
    const edge = `${Math.max(1, Math.floor(WIDTH / size)) * size}px`; // whole pixels for each module
    code.style.width = code.style.height = edge;
    code.append(s("rect", { width: size, height: size, fill: "#fff" }), s("path", { d, fill: "#000" }));
    const side = h("div", { class: "waton-side" });
    side.append(
      h("h3", { class: "waton-title", text: "Link this notebook" }),
      h("ol", { class: "waton-steps" }, ...STEPS.map((text) => h("li", { text }))),
      h("div", { class: "waton-left" }, h("span", { class: "waton-number" }), h("span", { class: "waton-seconds" })),
      h("div", { class: "waton-bar", "aria-hidden": "true" }, h("div", { class: "waton-bar-fill" })),
    );
    if (state.can_scan) {
      const phone = icon("M5 1.75h6a1 1 0 0 1 1 1v10.5a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V2.75a1 1 0 0 1 1-1z", "M7.25 12h1.5");
      const onclick = () => view.send("scan");
      side.append(h("button", { type: "button", class: "waton-button waton-primary waton-scan", onclick }, phone, h("span")));
    }
    return [code, side];
  }

  function pairedPanel() {
    const tick = s("svg", { viewBox: "0 0 48 48", class: "waton-done", "aria-hidden": "true" });
    tick.append(s("circle", { cx: 24, cy: 24, r: 22 }), s("path", { d: "M14.5 24.8l6.4 6.4 12.8-13.4" }));
    const rows = [];
    if (state.me) rows.push(h("dt", { text: "Address" }), h("dd", { text: state.me }));
    if (state.lid) rows.push(h("dt", { text: "LID" }), h("dd", { text: state.lid }));
    const side = h("div", { class: "waton-side" });
    side.append(h("h3", { class: "waton-title", text: "Paired" }), h("dl", { class: "waton-who" }, ...rows));
    return [tick, side];
  }

  function tick() {
    if (!state) return;
    const left = due === null ? null : Math.max(0, (due - performance.now()) / 1000);
    line.textContent = said(state, left);
    if (!state.qr) return;
    const { number, of, lasts } = state.qr;
    body.querySelector(".waton-number").textContent = `Code ${number} of ${of}`;
    body.querySelector(".waton-seconds").textContent = left > 0 ? `${Math.ceil(left)} s left` : "waiting for the next code";
    body.querySelector(".waton-bar-fill").style.transform = `scaleX(${Math.min(1, left / lasts)})`;
    view.root.classList.toggle("waton-expired", left === 0);
  }

  const timer = setInterval(tick, TICK);
  view.signal.addEventListener("abort", () => clearInterval(timer));
  view.hello();
  return view.close;
}

/** The state line. */
function said(state, left) {
  const because = state.reason ? `: ${state.reason}` : "";
  switch (state.status) {
    case "idle":
      return "Not connected yet";
    case "connecting":
      return "Connecting…";
    case "qr":
      return state.scanning ? "The lab’s phone is scanning…" : "Waiting for a phone to scan";
    case "paired":
      return "Paired; the server restarts the connection now…";
    case "open":
      return state.me ? `Open as ${state.me}` : "Open";
    case "reconnecting":
      return `Reconnecting ${left > 0.5 ? `in ${Math.ceil(left)} s` : "now"}${because}`;
    case "closed":
      return `Closed${because}`;
    default:
      return state.status;
  }
}

export default { render };
