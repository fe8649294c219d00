// What the views share: making elements, talking to the kernel, light and dark. Put in front of each view's own module,
// so that a widget is one module without imports.

const HELLO = 300; // ms between two attempts to reach Python
const SVG = "http://www.w3.org/2000/svg";

/** An element: attributes (`on...` listens, `class` and `text` are what they say), then children. */
function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** An icon of 16 by 16, drawn with strokes in the colour of the text. */
function icon(...paths) {
  const attributes = { viewBox: "0 0 16 16", class: "waton-icon", "aria-hidden": "true" };
  return s("svg", attributes, ...paths.map((d) => s("path", { d })));
}

/**
 * Open a view: its root, its line to Python, its end.
 *
 * @param model anywidget's model
 * @param el where to draw
 * @param {string} name class name, `waton-<name>`
 * @param {Record<string, (message: any) => void>} handlers by message type; "error" is answered here
 */
function openView(model, el, name, handlers) {
  const view = Math.random().toString(36).slice(2);
  const ending = new AbortController();
  const errors = h("div", { class: "waton-error", role: "alert", hidden: true });
  const root = h("div", { class: `waton waton-${name}`, "data-ready": "false" });
  el.append(root);

  const send = (type, content = {}) => model.send({ type, view, ...content });
  const showError = (text) => {
    errors.textContent = text;
    errors.hidden = !text;
  };
  const receive = (message) => {
    if (message.view !== undefined && message.view !== view) return;
    if (message.type === "error") return showError(message.text);
    const handler = handlers[message.type];
    if (!handler) return;
    try {
      handler(message);
      root.dataset.ready = "true";
      clearInterval(asking);
    } catch (error) {
      showError(`the view failed: ${error.message}`);
      throw error;
    }
  };
  model.on("msg:custom", receive);
  followTheme(root, ending.signal);

  // JupyterLab addresses the first messages of a comm to the main shell, until it has its subshell; if a cell is being run
  // there, they wait for its end. So the question is asked again until it is answered.
  const hello = () => {
    if (root.dataset.ready !== "true") send("hello");
  };
  const asking = setInterval(hello, HELLO);

  const close = () => {
    ending.abort();
    clearInterval(asking);
    model.off("msg:custom", receive);
    send("bye");
    root.remove();
  };
  return { root, errors, send, hello, showError, signal: ending.signal, close };
}

/** Keep `data-theme` and `color-scheme` what the notebook's background says. */
function followTheme(root, signal) {
  const look = () => {
    const theme = isDark(root) ? "dark" : "light";
    root.dataset.theme = theme;
    root.style.colorScheme = theme;
  };
  const watch = new MutationObserver(look);
  const attributeFilter = ["data-jp-theme-light", "data-jp-theme-name", "data-vscode-theme-kind", "class", "style"];
  for (const element of [document.body, document.documentElement]) {
    watch.observe(element, { attributes: true, attributeFilter });
  }
  const preference = window.matchMedia("(prefers-color-scheme: dark)");
  preference.addEventListener("change", look, { signal });
  signal.addEventListener("abort", () => watch.disconnect());
  look();
}

function isDark(root) {
  const told = document.body.dataset.jpThemeLight;
  if (told !== undefined) return told === "false";
  for (let element = root; element; element = element.parentElement) {
    const parts = getComputedStyle(element).backgroundColor.match(/[\d.]+/g)?.map(Number) ?? [];
    const [red, green, blue, alpha = 1] = parts;
    if (parts.length >= 3 && alpha > 0.5) return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
  }
  return window.matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Keys pressed inside `root`, before the notebook's own shortcuts see them; `handler` returns true when it took one. */
function takeKeys(root, signal, handler) {
  const listen = (event) => {
    if (!root.contains(event.target) || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const taken = handler(event);
    if (taken) event.stopImmediatePropagation();
    if (taken === true) event.preventDefault();
  };
  window.addEventListener("keydown", listen, { capture: true, signal });
}

const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

/** Unix seconds as local HH:MM:SS. */
function timeOfDay(at) {
  return clock.format(at * 1000);
}

function count(number) {
  return number.toLocaleString("en-US");
}
