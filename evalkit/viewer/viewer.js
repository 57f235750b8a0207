// Pictures of one view, compared: side by side, flipped at the same place, or split by
// a line; one zoom and one place for all of them. An ES module that imports nothing;
// before it stands STYLE, which is viewer.css.

const STEP = 1.25;
const MOST = 8; // screen pixels for one of the picture
const NEAR_PX = 24; // of the line: a finger there moves it
const PAN_PX = 60;
const SEAM_PX = 8; // of CSS: so far a pane may move to begin with a pixel

const ENGLISH = {
  stage: "Pictures",
  view: "View",
  side: "Side by side",
  flip: "Flip",
  split: "Split",
  zoomIn: "Zoom in",
  zoomOut: "Zoom out",
  actual: "Actual pixels",
  whole: "Whole picture",
  full: "Full screen",
};

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** `h("button.key", {onclick}, "text")`: an element with properties and children. */
function h(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const node = document.createElement(tag);
  node.classList.add(...classes);
  for (const [key, value] of Object.entries(properties)) {
    if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/**
 * Show pictures in an element, which should have a height.
 *
 * `pictures` is a list of {src, label, width, height}, px of the file, and `alt` where it
 * is no secret; all are of one view and are shown at the size of the widest. They begin at 1:1 device pixels where
 * that fits, else whole.
 *
 * Options: `texts` in place of the English ones; `tools`, an element for the buttons
 * (else above the pictures); `full`, the element that fills the screen; `sideNames:
 * false` shows labels only where pictures lie over each other; `keys: false` leaves
 * the keyboard to who calls `press`; `changed(state)` after every change, with `mode`,
 * `scale` (screen pixels for one of the picture), `isZoomed` and `isPeeking`;
 * `wraps: true` lays them side by side in as many rows as show them largest.
 *
 * Returns `stage` and `tools`, which are elements; `ready`, a promise of decoded
 * pictures; `look()`, the state; `show(mode)`, `flip()`, `zoom(factor)`, `actual()`,
 * `whole()`, `move(dx, dy)`, `peek(picture | null)`, which lays another picture of the
 * view over all; `press(event)`, whether a key was one of the viewer's; `close()`.
 */
export function mount(element, pictures, options = {}) {
  const texts = { ...ENGLISH, ...options.texts };
  const stopped = new AbortController();
  const { signal } = stopped;
  const largest = pictures.reduce((a, b) => (b.width > a.width ? b : a));
  const state = {
    mode: "side", // or flip, split
    front: 0, // the picture on top
    scale: null, // screen pixels for one of the picture; null is as it began
    x: 0.5, // what is in the middle, as a share of the picture
    y: 0.5,
    at: 0.5, // where the split is, as a share of the width
    peek: null,
  };
  const image = ({ src, alt = "" }) =>
    h("img", {
      alt,
      draggable: false,
      src,
      style: `width: ${largest.width}px; height: ${largest.height}px`,
    });
  const images = pictures.map(image);
  const panes = images.map((shown) => h("div.pane", {}, shown, h("span.name")));
  const slider = h("input.slider", {
    type: "range",
    max: 1,
    step: 0.005,
    value: 0.5,
    ariaLabel: texts.split,
    oninput: () => set({ at: Number(slider.value) }),
  });
  const stage = h("div.stage", { tabIndex: 0, role: "group", ariaLabel: texts.stage });
  stage.append(...panes, slider, h("div.line"));
  stage.classList.toggle("wraps", Boolean(options.wraps));
  const tools = h("div.evalkit-tools");
  const buttons = new Map();
  const keys = new Map();

  // Where and how large

  /** Lengths in CSS pixels, scales in screen pixels for one of the picture. */
  function geometry() {
    const { clientWidth: width, clientHeight: height } = panes[0];
    const fit =
      devicePixelRatio * Math.min(width / largest.width, height / largest.height);
    const scale = state.scale ?? Math.min(1, fit);
    const css = scale / devicePixelRatio;
    const size = { x: largest.width * css, y: largest.height * css };
    const left = place(width, size.x, state.x);
    const top = place(height, size.y, state.y);
    return { width, height, fit, scale, css, size, left, top };
  }

  /** A picture leaves no room that it could fill, and stays inside where it fits. */
  function place(room, size, centre) {
    const [low, high] = [Math.min(0, room - size), Math.max(0, room - size)];
    return clamp(room / 2 - centre * size, low, high);
  }

  /** In how many columns pictures are largest, where they may wrap. */
  function columns() {
    const { clientWidth: width, clientHeight: height } = stage;
    const fit = (n) => {
      const rows = Math.ceil(panes.length / n);
      return Math.min(width / n / largest.width, height / rows / largest.height);
    };
    return panes.map((_, index) => index + 1).reduce((a, b) => (fit(b) > fit(a) ? b : a));
  }

  const snap = (length) => Math.round(length * devicePixelRatio) / devicePixelRatio;

  /** The nearest place where a CSS pixel and a pixel of the screen both begin. */
  function seam(start) {
    for (let step = 0; step <= SEAM_PX; step += 1) {
      for (const place of [Math.round(start) - step, Math.round(start) + step]) {
        if (Math.abs(place - snap(place)) < 1e-4) return place;
      }
    }
    return snap(start);
  }

  /** Let a pane begin there: browsers round its place to one pixel or to the other. */
  function align(pane) {
    pane.style.left = pane.style.top = "0";
    const { left, top } = pane.getBoundingClientRect();
    pane.style.left = `${seam(left) - left}px`;
    pane.style.top = `${seam(top) - top}px`;
  }

  function nameOf(index) {
    if (state.peek) return state.peek.label;
    const isHidden = state.mode === "side" && options.sideNames === false;
    return isHidden ? "" : pictures[index].label;
  }

  function set(change) {
    Object.assign(state, change);
    const under = (state.front + 1) % panes.length;
    stage.dataset.mode = state.mode;
    stage.classList.toggle("peeking", Boolean(state.peek));
    stage.style.setProperty("--at", state.at);
    stage.style.setProperty("--columns", columns());
    slider.value = state.at;
    panes.forEach((pane, index) => {
      const isOver = index === state.front;
      const isUnder = state.mode === "split" && index === under && !isOver;
      pane.classList.toggle("over", isOver);
      pane.classList.toggle("under", isUnder);
      pane.classList.toggle("out", !isOver && !isUnder);
      const isCut = state.mode === "split" && isOver && panes.length > 1;
      pane.style.clipPath = isCut ? "inset(0 calc(100% - 100% * var(--at)) 0 0)" : "";
      pane.lastChild.textContent = nameOf(index);
    });
    const { width, height, fit, scale, css, size, left, top } = geometry();
    if (!width || !height) return;
    state.x = (width / 2 - left) / size.x;
    state.y = (height / 2 - top) / size.y;
    panes.forEach(align);
    for (const shown of stage.querySelectorAll("img")) {
      shown.style.transform = `translate(${snap(left)}px, ${snap(top)}px) scale(${css})`;
    }
    for (const [mode, button] of buttons) {
      const isOn = { actual: scale === 1, whole: Math.abs(scale / fit - 1) < 1e-6 };
      button.ariaPressed = String(isOn[mode] ?? mode === state.mode);
    }
    percent.textContent = `${Math.round(100 * scale)} %`;
    options.changed?.(look());
  }

  function look() {
    const { mode, scale, peek } = state;
    const [isZoomed, isPeeking] = [scale !== null, peek !== null];
    return { mode, scale: geometry().scale, isZoomed, isPeeking };
  }

  function move(dx, dy) {
    const { size } = geometry();
    set({ x: state.x - dx / size.x, y: state.y - dy / size.y });
  }

  /** Change the scale; what is at `point` of the window stays there. */
  function scaleTo(wanted, point) {
    const before = geometry();
    const boxes = panes.map((pane) => pane.getBoundingClientRect());
    const isIn = ({ right, bottom }) => point?.clientX <= right && point.clientY <= bottom;
    const box = boxes.find(isIn) ?? boxes[0];
    const px = point ? point.clientX - box.left : before.width / 2;
    const py = point ? point.clientY - box.top : before.height / 2;
    const most = Math.max(4 * before.fit, MOST * devicePixelRatio);
    const scale = clamp(wanted, Math.min(before.fit, 1), most);
    const grown = scale / before.scale;
    set({
      scale,
      x: (px - before.left + (before.width / 2 - px) / grown) / before.size.x,
      y: (py - before.top + (before.height / 2 - py) / grown) / before.size.y,
    });
  }

  const zoom = (factor, point) => scaleTo(geometry().scale * factor, point);
  const actual = (point) => scaleTo(1, point);
  const whole = () => set({ scale: geometry().fit, x: 0.5, y: 0.5 });
  const show = (mode) => set({ mode, peek: null });

  function flip() {
    const isFlipped = state.mode === "flip";
    const front = isFlipped ? (state.front + 1) % panes.length : 0;
    set({ mode: "flip", front, peek: null });
  }

  /** The second time, with more than two pictures, the next two. */
  function split() {
    const isNext = state.mode === "split" && panes.length > 2;
    const front = isNext ? (state.front + 1) % panes.length : state.front;
    set({ mode: "split", front: panes.length > 2 ? front : 0, peek: null });
  }

  function peek(picture) {
    for (const laid of stage.querySelectorAll(".source")) laid.remove();
    for (const pane of picture ? panes : []) {
      const laid = image(picture);
      laid.classList.add("source");
      pane.lastChild.before(laid);
    }
    set({ peek: picture });
  }

  function fill() {
    if (document.fullscreenElement) document.exitFullscreen();
    else (options.full ?? element).requestFullscreen();
  }

  // Fingers and mice

  const pointers = new Map();
  let isSplitting = false;

  const isAtLine = ({ clientX }) => {
    const { left, width } = panes[0].getBoundingClientRect();
    const distance = Math.abs(clientX - left - state.at * width);
    return state.mode === "split" && distance < NEAR_PX;
  };

  function drag(event) {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    pointers.set(event.pointerId, event);
    if (isSplitting) {
      const { left, width } = panes[0].getBoundingClientRect();
      set({ at: clamp((event.clientX - left) / width, 0, 1) });
      return;
    }
    const dx = event.clientX - before.clientX;
    const dy = event.clientY - before.clientY;
    move(dx / pointers.size, dy / pointers.size);
    if (pointers.size !== 2) return;
    const [a, b] = pointers.values();
    const other = a === event ? b : a;
    const length = (p) =>
      Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY);
    const clientX = (a.clientX + b.clientX) / 2;
    const clientY = (a.clientY + b.clientY) / 2;
    zoom(length(event) / Math.max(1, length(before)), { clientX, clientY });
  }

  function drop(event) {
    pointers.delete(event.pointerId);
    isSplitting = false;
  }

  function turn(event) {
    if (!stage.contains(stage.getRootNode().activeElement)) return; // the page scrolls
    event.preventDefault();
    zoom(Math.exp(-0.002 * event.deltaY), event);
  }

  stage.onpointerdown = (event) => {
    stage.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
    isSplitting = pointers.size === 1 && isAtLine(event);
  };
  stage.onpointermove = drag;
  stage.onpointerup = drop;
  stage.onpointercancel = drop;
  stage.ondblclick = (event) => (geometry().scale === 1 ? whole() : actual(event));
  stage.addEventListener("wheel", turn, { passive: false });

  // Keys and buttons

  function press(event) {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    if (target.matches("select, input:not(.slider)")) return false;
    if (target === slider && /^(Arrow|Page|Home|End)/.test(key)) return false;
    if (target.matches("button:focus-visible") && key === " ") return false;
    const name = event.shiftKey && key.startsWith("Arrow") ? `Shift+${key}` : key;
    const action = keys.get(name) ?? keys.get(name.toLowerCase());
    if (!action) return false;
    event.preventDefault();
    if (!event.repeat || /[+=-]|^Shift/.test(name)) action();
    return true;
  }

  function tool(name, text, cap, caps, action) {
    const button = h("button.tool", { type: "button", title: texts[name] });
    if (cap) button.append(h("kbd", { ariaHidden: "true" }, cap));
    button.append(h("span", {}, text));
    button.ariaLabel = text === texts[name] ? text : `${text} ${texts[name]}`;
    button.setAttribute("aria-keyshortcuts", caps.join(" "));
    button.onclick = () => action();
    for (const key of caps) keys.set(key, () => action());
    return button;
  }

  function pressable(name, text, cap, caps, action) {
    buttons.set(name, tool(name, text, cap, caps, action));
    return buttons.get(name);
  }

  const group = (...members) =>
    h("div.group", { role: "group", ariaLabel: texts.view }, ...members);
  const percent = h("span.percent");
  const over = [
    ["side", "B", ["b"], () => show("side")],
    ["flip", "␣", [" "], flip],
    ["split", "X", ["x"], split],
  ];
  if (pictures.length > 1) {
    tools.append(group(...over.map(([name, ...of]) => pressable(name, texts[name], ...of))));
  }
  tools.append(
    group(
      tool("zoomOut", "−", "", ["-", "_"], () => zoom(1 / STEP)),
      percent,
      tool("zoomIn", "+", "", ["+", "="], () => zoom(STEP)),
      pressable("actual", "1:1", "Z", ["z"], () => actual()),
      pressable("whole", texts.whole, "V", ["v"], whole),
    ),
  );
  if (document.fullscreenEnabled) tools.append(tool("full", texts.full, "F", ["f"], fill));
  for (const [name, dx, dy] of [
    ["Left", PAN_PX, 0],
    ["Right", -PAN_PX, 0],
    ["Up", 0, PAN_PX],
    ["Down", 0, -PAN_PX],
  ]) {
    keys.set(`Shift+Arrow${name}`, () => move(dx, dy));
    if (options.keys !== false) keys.set(`Arrow${name}`, () => move(dx, dy));
  }

  // Into the page, and out of it

  element.classList.add("evalkit-viewer");
  (options.tools ?? element).append(tools);
  element.append(h("style", {}, STYLE), stage);
  if (options.keys !== false) element.addEventListener("keydown", press, { signal });
  const resized = new ResizeObserver(() => set({}));
  resized.observe(stage);
  addEventListener("resize", () => set({}), { signal }); // also when the ratio changes
  set({});

  function close() {
    stopped.abort();
    resized.disconnect();
    tools.remove();
    element.replaceChildren();
  }

  const ready = Promise.all(images.map((shown) => shown.decode()));
  return {
    stage, tools, ready, look, show, flip, zoom, actual, whole, move, peek, press, close,
  };
}
