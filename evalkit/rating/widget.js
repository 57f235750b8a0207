// The rating screen: the same in a notebook (anywidget) and in the served page.
// It knows pictures by opaque names only. `model` carries `labels` and messages:
// out {id, ask: "view" | "handle" | "stimulus", event | name}, back {id, view} or
// {id} with the bytes; {id, failed} is asked again, {id, gone} closes the screen.

const PATIENCE_MS = 8000;
const ZOOM_STEP = 1.25;
const MOST_PX = 8; // screen pixels for one of the picture
const TAG_KEYS = "qwertyuiop";
const LANGUAGES = ["en", "zh"];

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));

function randomName() {
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // also without https
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

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

/** Questions to Python and their answers, asked again until there is one. */
function createChannel(model, say, signal) {
  const pending = new Map();
  const receive = (reply, buffers) => pending.get(reply.id)?.({ ...reply, buffers });
  model.on("msg:custom", receive);
  signal.addEventListener("abort", () => model.off("msg:custom", receive));

  async function once(question) {
    const id = randomName();
    const answer = new Promise((resolve) => {
      pending.set(id, resolve);
      setTimeout(resolve, PATIENCE_MS, { failed: true });
    });
    model.send({ id, ...question });
    try {
      return await answer;
    } finally {
      pending.delete(id);
    }
  }

  return async function ask(question) {
    for (let pause = 250; !signal.aborted; pause = Math.min(2 * pause, 4000)) {
      const reply = await once(question);
      say(reply.failed ? "lost" : "");
      if (!reply.failed) return reply;
      await wait(pause);
    }
    return { gone: true };
  };
}

/** Pictures by name, decoded ahead of time; a blob lives as long as its picture. */
function createPictures(ask) {
  const held = new Map();

  async function load(name) {
    const { gone, buffers } = await ask({ ask: "stimulus", name });
    if (gone || !held.has(name)) return null;
    const url = URL.createObjectURL(new Blob(buffers, { type: "image/png" }));
    const image = h("img", { alt: "", draggable: false, src: url });
    await image.decode();
    return image;
  }

  return {
    get(name) {
      if (!held.has(name)) held.set(name, load(name));
      return held.get(name);
    },
    keep(names) {
      for (const [name, loading] of held) {
        if (names.includes(name)) continue;
        held.delete(name);
        loading.then((image) => image && URL.revokeObjectURL(image.src));
      }
    },
  };
}

/** One picture or two, seen alike: one zoom and one place for all of them. */
function createViewer(item, images, loadSource, t, changed) {
  const state = {
    mode: images.length > 1 ? "side" : "one", // or flip, split
    front: 0,
    source: false,
    zoom: 1, // times the size that fits
    x: 0.5, // what is in the middle, as a share of the picture
    y: 0.5,
    at: 0.5, // where the split is, as a share of the width
  };
  const names = images.length > 1 ? [t("left"), t("right")] : [""];
  const panes = images.map((image) => h("div.pane", {}, image, h("span.name")));
  const slider = h("input.slider", {
    type: "range",
    max: 1,
    step: 0.005,
    value: 0.5,
    ariaLabel: t("split"),
    oninput: () => set({ at: Number(slider.value) }),
    onpointerup: () => node.focus(),
  });
  const label = t(`stage.${item.kind}`);
  const node = h("div.stage", { tabIndex: 0, role: "group", ariaLabel: label });
  node.dataset.loading = t("loading");
  node.append(...panes, h("div.line"), slider);

  function place(room, size, centre) {
    if (size <= room) return (room - size) / 2;
    return clamp(room / 2 - centre * size, room - size, 0);
  }

  function geometry() {
    const { clientWidth: width, clientHeight: height } = panes[0];
    const fit = Math.min(width / item.width, height / item.height);
    const scale = fit * state.zoom;
    const size = { x: item.width * scale, y: item.height * scale };
    const left = Math.round(place(width, size.x, state.x));
    const top = Math.round(place(height, size.y, state.y));
    return { width, height, fit, scale, size, left, top };
  }

  function set(change) {
    Object.assign(state, change);
    Object.assign(node.dataset, { mode: state.mode, front: state.front });
    node.classList.toggle("with-source", state.source);
    node.style.setProperty("--at", state.at);
    panes.forEach((pane, index) => {
      const name = state.source ? t("source") : names[index];
      pane.lastChild.textContent = state.mode === "side" && !state.source ? "" : name;
    });
    const { width, height, scale, size, left, top } = geometry();
    if (!width) return;
    state.x = (width / 2 - left) / size.x;
    state.y = (height / 2 - top) / size.y;
    for (const image of node.querySelectorAll("img")) {
      image.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
    }
    changed(state, Math.round(100 * scale * devicePixelRatio));
  }

  function move(dx, dy) {
    const { size } = geometry();
    set({ x: state.x - dx / size.x, y: state.y - dy / size.y });
  }

  /** Zoom by a factor; what is at `point` of the window stays there. */
  function zoom(factor, point) {
    const before = geometry();
    const boxes = panes.map((pane) => pane.getBoundingClientRect());
    const box = boxes.find(({ right }) => point && point.clientX <= right) ?? boxes[0];
    const px = point ? point.clientX - box.left : before.width / 2;
    const py = point ? point.clientY - box.top : before.height / 2;
    const most = Math.max(4, MOST_PX / before.fit);
    const grown = clamp(state.zoom * factor, 1, most) / state.zoom;
    const x = (px - before.left) / before.size.x;
    const y = (py - before.top) / before.size.y;
    set({
      zoom: state.zoom * grown,
      x: x + (before.width / 2 - px) / (before.size.x * grown),
      y: y + (before.height / 2 - py) / (before.size.y * grown),
    });
  }

  /** From the whole picture to actual pixels (or twice the size), and back. */
  function toggleZoom(point) {
    const actual = 1 / devicePixelRatio / geometry().fit;
    zoom(state.zoom > 1 ? 0 : actual > 1.1 ? actual : 2, point);
  }

  const pointers = new Map();
  node.onpointerdown = (event) => {
    if (event.target === slider) return;
    node.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
  };
  node.onpointermove = (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    pointers.set(event.pointerId, event);
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
  };
  node.onpointerup = (event) => pointers.delete(event.pointerId);
  node.onpointercancel = node.onpointerup;
  node.ondblclick = (event) => event.target !== slider && toggleZoom(event);
  const turn = (event) => {
    if (!node.contains(node.getRootNode().activeElement)) return; // the page scrolls
    event.preventDefault();
    zoom(Math.exp(-0.002 * event.deltaY), event);
  };
  node.addEventListener("wheel", turn, { passive: false });
  const resized = new ResizeObserver(() => set({}));
  resized.observe(node);

  return {
    node,
    set,
    move,
    zoom,
    toggleZoom,
    show: (mode) => set({ mode, source: false }),
    async toggleSource() {
      const source = await loadSource();
      if (source && !node.querySelector(".source")) {
        source.classList.add("source");
        for (const pane of panes) pane.lastChild.before(source.cloneNode());
      }
      set({ source: Boolean(source) && !state.source });
    },
    flip() {
      if (state.mode !== "flip") set({ mode: "flip", front: 0, source: false });
      else set({ front: 1 - state.front, source: false });
    },
    close: () => resized.disconnect(),
  };
}

function render({ model, el }) {
  const labels = model.get("labels");
  const stopped = new AbortController();
  const { signal } = stopped;
  const news = h("p.news", { role: "status" });
  const alarm = h("p.alarm", { role: "alert" });
  const root = h("div.evalkit-rating", { tabIndex: -1 }, news, alarm);
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab's own keys stay out
  el.replaceChildren(root);

  let view = { language: "en", state: "", item: null };
  let screen = h("div.screen");
  let viewer = null;
  let shortcuts = new Map();
  let shown = { id: null, at: null, tags: new Set(), names: [] };
  let isBusy = false;

  const t = (key, values = {}) =>
    labels[key][view.language].replace(/{(\w+)}/g, (_, name) => values[name]);
  const say = (key) => (alarm.textContent = key && t(key));
  const ask = createChannel(model, say, signal);
  const pictures = createPictures(ask);

  // What the subject does

  async function tell(event) {
    if (isBusy) return;
    isBusy = true;
    const inSight = { item: view.item?.id ?? "", ...event };
    await show(await ask({ ask: "handle", event: inSight }));
    isBusy = false;
  }

  function answer(value, pressed) {
    if (isBusy || shown.at === null) return; // not painted yet
    pressed.classList.add("chosen");
    const seconds = (performance.now() - shown.at) / 1000;
    const attempt = randomName();
    tell({ type: "answer", attempt, value, tags: [...shown.tags], seconds });
  }

  function toggleTag(tag, pressed) {
    if (!shown.tags.delete(tag)) shown.tags.add(tag);
    pressed.ariaPressed = String(shown.tags.has(tag));
  }

  function toggleFull() {
    if (document.fullscreenElement) document.exitFullscreen();
    else root.requestFullscreen();
  }

  /** Begin in the middle of the scale, then go along it; Enter answers. */
  function focusScale(step) {
    const keys = [...screen.querySelectorAll(".score:not(.unsure)")];
    const now = keys.indexOf(root.getRootNode().activeElement);
    keys[now < 0 ? 2 : clamp(now + step, 0, keys.length - 1)].focus();
  }

  function pressed(event) {
    event.stopPropagation();
    const { key, target } = event;
    const onControl = target.matches("input, button:focus-visible");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key === "Enter" && event.repeat) event.preventDefault(); // would press on
    else if (onControl && (key === " " || key === "Enter")) return;
    if (target.matches("input") && /^(Arrow|Page|Home|End)/.test(key)) return;
    const name = event.shiftKey && key.startsWith("Arrow") ? `Shift+${key}` : key;
    const action = shortcuts.get(name) ?? shortcuts.get(name.toLowerCase());
    if (!action) return;
    event.preventDefault();
    if (!event.repeat || /[+=-]|^Shift/.test(name)) action();
  }

  root.addEventListener("keydown", pressed, { signal });
  root.addEventListener("click", ({ detail, target }) => {
    // after a mouse or a finger, the keys belong to the picture again
    if (detail && target.closest("button")) viewer?.node.focus({ preventScroll: true });
  });

  // What the subject sees

  /** A button and its key, which are one thing. */
  function command(name, label, cap, keys, action, properties = {}) {
    const button = h(`button.${name}`, { type: "button", ...properties });
    if (cap) button.append(h("kbd", { ariaHidden: "true" }, cap));
    button.append(h("span", {}, label));
    button.onclick = () => action(button);
    button.setAttribute("aria-keyshortcuts", keys.join(" "));
    for (const key of keys) shortcuts.set(key, () => button.disabled || button.click());
    return button;
  }

  function header(...tools) {
    const { done, total } = view.progress;
    const text = t("progress", { done, total });
    const other = LANGUAGES.find((language) => language !== view.language);
    const turn = () => tell({ type: "language", language: other });
    return h(
      "header",
      {},
      h("span.count", { ariaHidden: "true" }, `${done} / ${total}`),
      h("progress", { value: done, max: Math.max(1, total), ariaLabel: text }),
      view.item?.is_training ? h("span.practice", {}, t("practice")) : null,
      h("span.gap"),
      ...tools,
      command("tool", t("full"), "F", ["f"], toggleFull),
      h("button.tool", { type: "button", lang: other, onclick: turn }, t("language")),
    );
  }

  function viewTools() {
    const { kind, source } = view.item;
    const group = (...tools) =>
      h("div.group", { role: "group", ariaLabel: t("view") }, ...tools);
    const look = (value, cap, keys, action) =>
      command("tool", t(value), cap, keys, action, { value });
    const modes = () => [
      look("side", "B", ["b"], () => viewer.show("side")),
      look("flip", "Space", [" "], () => viewer.flip()),
      look("split", "X", ["x"], () => viewer.show("split")),
    ];
    const [cap, ...keys] = kind === "acr" ? ["Space", " ", "s"] : ["S", "s"];
    return [
      kind === "ab" ? group(...modes()) : null,
      source ? look("source", cap, keys, () => viewer.toggleSource()) : null,
      group(
        zoomTool("−", "zoom.out", ["-", "_"], () => viewer.zoom(1 / ZOOM_STEP)),
        zoomTool("100 %", "zoom.toggle", ["z"], () => viewer.toggleZoom()),
        zoomTool("+", "zoom.in", ["+", "="], () => viewer.zoom(ZOOM_STEP)),
      ),
    ];
  }

  function zoomTool(text, label, keys, action) {
    const names = { ariaLabel: t(label), title: t(label), value: label };
    return command("tool", text, "", keys, action, names);
  }

  function scale() {
    const { kind, given } = view.item;
    const score = (value, label, cap, ...keys) => {
      const isGiven = given && given.value === value;
      const name = `score${value === null ? ".unsure" : ""}${isGiven ? ".given" : ""}`;
      return command(name, label, cap, keys, (button) => answer(value, button));
    };
    const keys =
      kind === "acr"
        ? [1, 2, 3, 4, 5].map((n) => score(n, t(`acr.${n}`), n, String(n)))
        : [
            score("left", t("ab.left"), "←", "ArrowLeft", "1"),
            score("same", t("ab.same"), "↓", "ArrowDown", "2"),
            score("right", t("ab.right"), "→", "ArrowRight", "3"),
          ];
    return [...keys, score(null, t("unsure"), "0", "0")];
  }

  function undoKey() {
    const undo = () => tell({ type: "undo" });
    const isFixed = { disabled: !view.can_undo };
    return command("undo", t("undo"), "⌫", ["Backspace"], undo, isFixed);
  }

  function tagKeys() {
    const tags = Object.keys(labels).filter((key) => key.startsWith("tag."));
    return tags.map((key, index) => {
      const [tag, cap] = [key.slice("tag.".length), TAG_KEYS[index]];
      const ariaPressed = String(shown.tags.has(tag));
      const toggle = (button) => toggleTag(tag, button);
      return command("tag", t(key), cap.toUpperCase(), [cap], toggle, { ariaPressed });
    });
  }

  function rateScreen(images) {
    const { item } = view;
    const loadSource = () => pictures.get(item.source);
    viewer = createViewer(item, images, loadSource, t, (state, percent) => {
      for (const tool of screen.querySelectorAll(".tool[value]")) {
        const { value } = tool;
        if (value === "zoom.toggle") tool.textContent = `${percent} %`;
        else if (!value.startsWith("zoom")) {
          tool.ariaPressed = String(value === (state.source ? "source" : state.mode));
        }
      }
    });
    const pause = () => tell({ type: "pause" });
    for (const [key, dx, dy] of [
      ["Left", 60, 0],
      ["Right", -60, 0],
      ["Up", 0, 60],
      ["Down", 0, -60],
    ]) {
      shortcuts.set(`Shift+Arrow${key}`, () => viewer.move(dx, dy));
    }
    if (item.kind === "acr") {
      shortcuts.set("ArrowLeft", () => focusScale(-1));
      shortcuts.set("ArrowRight", () => focusScale(1));
    }
    const question = t(`question.${item.kind}`);
    return h(
      `div.screen.rate.${item.kind}`,
      {},
      header(...viewTools(), command("tool", t("pause"), "", [], pause)),
      viewer.node,
      h(
        "footer",
        {},
        h(
          "div.tags",
          { role: "group", ariaLabel: t("tags") },
          h("span.hint", { ariaHidden: "true" }, t("tags")),
          ...tagKeys(),
        ),
        h(
          "div.scale",
          { role: "group", ariaLabel: question },
          h("p.question", {}, question),
          ...scale(),
          undoKey(),
        ),
      ),
    );
  }

  function card(title, texts, ...buttons) {
    const row = h("div.row", {}, ...buttons);
    const text = h("section.card", {}, h("h2", {}, title), ...texts, row);
    return h("div.screen", {}, header(), h("div.ground", {}, text));
  }

  const paragraph = (key, values) => h("p", {}, t(key, values));
  const main = (key, event) =>
    command("main", t(key), "↵", ["Enter"], () => tell({ type: event }));

  /** Means of scores; of pairs, of which none are published, the share won. */
  function revealTable(kind, rows) {
    const shown = (value) => {
      if (value === null || typeof value === "string") return value ?? "–";
      return kind === "acr" ? value.toFixed(1) : `${Math.round(100 * value)} %`;
    };
    const columns = ["yours", "panel", ...(kind === "acr" ? ["published"] : [])];
    const names = columns.map((column) => t(`reveal.${column}`));
    const line = (tag, cells) => h("tr", {}, ...cells.map((text) => h(tag, {}, text)));
    const lines = rows.map((row) =>
      line("td", [row.condition, ...columns.map((column) => shown(row[column]))]),
    );
    return h("table", {}, line("th", [t(`reveal.${kind}`), ...names]), ...lines);
  }

  function revealTables() {
    const ofKind = (kind) => view.reveal.rows.filter((row) => row.kind === kind);
    const kinds = ["acr", "ab"].filter((kind) => ofKind(kind).length);
    return kinds.map((kind) => revealTable(kind, ofKind(kind)));
  }

  const points = ["acr", "ab", "why", "look", "saved"];
  const screens = {
    rate: rateScreen,
    welcome: () =>
      card(
        t("title"),
        [
          paragraph("welcome.blind", view.progress),
          h("ul", {}, ...points.map((key) => h("li", {}, t(`welcome.${key}`)))),
        ],
        main("start", "start"),
      ),
    paused: () =>
      card(t("paused"), [paragraph("paused.text")], main("resume", "resume")),
    finished: () =>
      card(
        t("finished"),
        [paragraph("finished.text")],
        main("finish", "finish"),
        undoKey(),
      ),
    closed: () =>
      view.reveal
        ? card(t("revealed"), [paragraph("revealed.text"), ...revealTables()])
        : card(t("handed"), [paragraph("handed.text")], main("reveal", "reveal")),
    gone: () => card(t("closed"), [paragraph("closed.text")]),
  };

  /** Show a view once its pictures are decoded; time runs from their first frame. */
  async function show(reply) {
    const next = reply.gone ? { ...view, state: "gone", item: null } : reply.view;
    const { item } = next;
    const names = item?.stimuli ?? [];
    root.classList.add("waiting");
    pictures.keep([...shown.names, ...names, item?.source, ...(next.preload ?? [])]);
    const images = await Promise.all(names.map((name) => pictures.get(name)));
    if (signal.aborted) return;
    if (images.includes(null)) return void show({ gone: true });
    const isNew = item?.id !== shown.id;
    if (isNew) {
      const tags = new Set(item?.given?.tags ?? []);
      shown = { id: item?.id ?? null, at: null, tags, names };
    }
    view = next;
    draw(images);
    const at = await frame();
    root.classList.remove("waiting");
    if (isNew) shown.at = at;
    ahead(next);
  }

  function draw(images) {
    const focused = root.getRootNode().activeElement ?? document.body;
    const takesKeys = focused === document.body || root.contains(focused);
    viewer?.close();
    viewer = null;
    shortcuts = new Map();
    root.lang = view.language === "zh" ? "zh-Hans" : "en";
    screen.remove();
    screen = screens[view.state](images);
    root.append(screen);
    viewer?.set({});
    const progress = t("progress", view.progress);
    const practice = view.item?.is_training ? `. ${t("practice")}` : "";
    news.textContent = progress + practice;
    if (takesKeys) {
      const first = viewer?.node ?? screen.querySelector(".main") ?? root;
      first.focus({ preventScroll: true });
      root.scrollIntoView({ block: "nearest" });
    }
  }

  /** Load what comes next, one after the other, until something newer is shown. */
  async function ahead(next) {
    const source = next.item?.source;
    for (const name of [...(next.preload ?? []), ...(source ? [source] : [])]) {
      if (next !== view || signal.aborted) return;
      await pictures.get(name);
    }
  }

  ask({ ask: "view" }).then(show);

  return () => {
    stopped.abort();
    viewer?.close();
    pictures.keep([]);
  };
}

export default { render };
