// The rating screen: the same in a notebook (anywidget) and in the served page, behind
// the viewer's module, whose `mount` and `h` it uses. It knows pictures by opaque names
// only. `model` carries `labels`, `messages` (messages.json: what the messages hold)
// and questions: out {id, ask: "view" | "handle" | "stimulus", event | name}, back
// {id, view} or {id} with the bytes; {id, bytes, total} says how far a picture has
// come, {id, failed} is asked again, {id, gone} closes the screen.

const PATIENCE_MS = 8000; // for events; a picture takes as long as it takes
const GREY_MS = 300; // between two pictures
const FRESH_MS = 500; // so long nothing counts that is pressed under a new picture
const BREAK_MS = 600_000;
const SMALL_PX = 480; // a picture that is reduced, and smaller than that, says little
const LEAST_SCALE = 0.5;
const TAG_KEYS = "qwertyuiop";
const LANGUAGES = { en: "en", zh: "zh-Hans" };
const DARK = [0, 4, 8, 12, 17, 23, 30]; // a ground and six squares, grey levels
const BRIGHT = [255, 251, 247, 243, 238, 232, 225];

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
const isTouch = () => matchMedia("(pointer: coarse)").matches;

function randomName() {
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // also without https
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A message to send: what `names` do not list, or what it lacks of them, is an error. */
function checked(message, names) {
  const allowed = [...names.always, ...names.sometimes];
  const wrong = Object.keys(message).find((name) => !allowed.includes(name));
  const lacking = names.always.find((name) => !(name in message));
  if (wrong ?? lacking) throw new Error(`a message with ${wrong}, without ${lacking}`);
  return message;
}

/** A message that came; to read what `names` do not list is an error. */
function strict(message, names) {
  const allowed = [...names.always, ...names.sometimes];
  return new Proxy(message, {
    get(target, name) {
      if (allowed.includes(name)) return target[name];
      throw new Error(`a message has no ${String(name)}`);
    },
  });
}

/** Numbers that depend on a text only: the same order whenever it is asked for. */
function digest(text) {
  return [...text].reduce((sum, c) => Math.imul(sum ^ c.codePointAt(), 16777619), 2 ** 31);
}

/** Questions to Python and their answers, asked again until there is one. */
function createChannel(model, say, signal) {
  const pending = new Map();
  let heardAt = -Infinity; // when bytes last came: while they do, there is a connection
  const receive = (reply, buffers) => pending.get(reply.id)?.({ ...reply, buffers });
  model.on("msg:custom", receive);
  signal.addEventListener("abort", () => model.off("msg:custom", receive));

  async function once(question, progress) {
    const id = randomName();
    const answer = new Promise((resolve) => {
      pending.set(id, (reply) => {
        heardAt = reply.failed ? heardAt : performance.now();
        if (reply.total === undefined) resolve(reply);
        else progress(reply.bytes, reply.total);
      });
      if (question.ask !== "stimulus") setTimeout(resolve, PATIENCE_MS, { failed: true });
    });
    model.send({ id, ...question });
    try {
      return await answer;
    } finally {
      pending.delete(id);
    }
  }

  /** `isWanted` says whether anybody waits for it, who should hear of a failure. */
  return async function ask(question, isWanted = () => true, progress = () => {}) {
    for (let pause = 250; !signal.aborted; pause = Math.min(2 * pause, 4000)) {
      const reply = await once(question, progress);
      const isSilent = performance.now() - heardAt > PATIENCE_MS / 2;
      if (!reply.failed) say("");
      else if (isWanted() && isSilent) say("lost");
      if (!reply.failed) return reply;
      await wait(pause);
    }
    return { gone: true };
  };
}

/** Pictures by name, loaded ahead of time; a blob lives as long as its picture. */
function createPictures(ask, told) {
  const held = new Map();
  const wanted = new Set();

  async function load(name) {
    const progress = (bytes, total) => {
      Object.assign(held.get(name) ?? {}, { bytes, total });
      if (wanted.has(name)) told([...wanted].map((each) => held.get(each)));
    };
    const isWanted = () => wanted.has(name);
    const reply = await ask({ ask: "stimulus", name }, isWanted, progress);
    if (reply.gone || !held.has(name)) return null;
    const url = URL.createObjectURL(new Blob(reply.buffers, { type: "image/webp" }));
    const image = h("img", { src: url });
    await image.decode();
    return url;
  }

  function get(name) {
    if (!held.has(name)) {
      held.set(name, {});
      held.get(name).loading = load(name);
    }
    return held.get(name).loading;
  }

  return {
    get,
    /** Get some that somebody waits for. */
    async need(names) {
      names.forEach((name) => wanted.add(name));
      const urls = await Promise.all(names.map(get));
      names.forEach((name) => wanted.delete(name));
      return urls;
    },
    keep(names) {
      for (const [name, { loading }] of held) {
        if (names.includes(name)) continue;
        held.delete(name);
        loading.then((url) => url && URL.revokeObjectURL(url));
      }
    },
  };
}

function render({ model, el }) {
  const labels = model.get("labels");
  const messages = model.get("messages");
  const stopped = new AbortController();
  const { signal } = stopped;
  const news = h("p.news", { role: "status" });
  const alarm = h("p.alarm", { role: "alert" });
  const notice = h("p.notice", { role: "status" });
  const transit = h("div.transit", { role: "status" });
  const root = h("div.evalkit-rating.waiting", { tabIndex: -1 }, news, alarm, notice, transit);
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab's own keys stay out
  el.replaceChildren(root);

  const isChinese = navigator.language.startsWith("zh");
  const language = isChinese ? "zh" : "en";
  let view = { language, state: "", progress: { done: 0, total: 0 }, item: null };
  let question = { kind: "quality", text: "" };
  let screen = h("div.screen");
  let viewer = null;
  let shortcuts = new Map();
  let shown = { id: null, at: null };
  let restedAt = performance.now();
  let isBusy = false;
  let isFirst = true;

  const t = (key, values = {}) =>
    labels[key][view.language].replace(/{(\w+)}/g, (_, name) => values[name]);
  const say = (key) => (alarm.textContent = key && t(key));
  const ask = createChannel(model, say, signal);
  const pictures = createPictures(ask, tellTransit);

  // What the subject does

  async function tell(event) {
    if (isBusy) return;
    isBusy = true;
    const kind = event.type === "answer" ? "answer" : "command";
    const inSight = checked({ item: view.item?.id ?? "", ...event }, messages[kind]);
    try {
      await show(await ask({ ask: "handle", event: inSight }));
    } finally {
      isBusy = false;
    }
  }

  const isFresh = () => shown.at === null || performance.now() - shown.at < FRESH_MS;

  /** Keep the score, ask why; it goes to Python with the reasons. */
  function answer(value, pressed) {
    if (isBusy || isFresh()) return;
    pressed.classList.add("chosen");
    shown.value = value;
    shown.seconds = (performance.now() - shown.at) / 1000;
    if (value === null) goOn();
    else put(whyStep());
  }

  function goOn() {
    const { value, seconds, tags } = shown;
    const sides = view.item.kind === "ab" ? Object.fromEntries(tags) : {};
    const seen = checked({ ...shown.seen, ...windowNow() }, messages.seen);
    const event = { attempt: randomName(), value, tags: [...tags.keys()], sides, seconds };
    tell({ type: "answer", ...event, seen });
  }

  const back = () => put(scaleStep());

  const windowNow = () => ({
    window_width_px: innerWidth,
    window_height_px: innerHeight,
    pixel_ratio: devicePixelRatio,
    full_screen: shown.seen.full_screen || Boolean(document.fullscreenElement),
  });

  /** A reason, of one side of a pair or of both. */
  function toggleTag(tag, side, pressed) {
    const now = shown.tags.get(tag);
    const other = { left: "right", right: "left" }[side];
    const next = { [side]: null, both: other, [other]: "both" }[now];
    if (next === null) shown.tags.delete(tag);
    else shown.tags.set(tag, next ?? side);
    pressed.ariaPressed = String(now !== side && now !== "both");
    const on = screen.querySelector(".on").lastChild;
    on.textContent = t(shown.tags.size ? "next" : "none");
  }

  async function toggleSource() {
    const { isPeeking } = viewer.look();
    const [src] = isPeeking ? [null] : await pictures.need([view.item.source]);
    transit.replaceChildren();
    if (src) shown.seen.source_opened = true;
    viewer?.peek(src ? { src, label: t("source") } : null);
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
    const onControl = target.matches("button:focus-visible, summary, select, a");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key === "Enter" && event.repeat) event.preventDefault(); // would press on
    else if (onControl && (key === " " || key === "Enter")) return;
    if (target.matches("input") && key !== "Enter") return;
    const action = shortcuts.get(key) ?? shortcuts.get(key.toLowerCase());
    if (!action || (event.shiftKey && key.startsWith("Arrow"))) return viewer?.press(event);
    event.preventDefault();
    if (!event.repeat) action();
  }

  root.addEventListener("keydown", pressed, { signal });
  root.addEventListener("click", ({ detail, target }) => {
    // after a mouse or a finger, the keys belong to the picture again
    if (detail && target.closest("button")) viewer?.stage.focus({ preventScroll: true });
  });

  // What the subject sees

  /** A button and its key, which are one thing. */
  function command(name, label, cap, keys, action, properties = {}) {
    const button = h(`button.${name}`, { type: "button", ...properties });
    if (cap) button.append(h("kbd", { ariaHidden: "true" }, cap));
    button.append(h("span", {}, label));
    // the second half of a double click was meant for what was there before
    button.onclick = ({ detail }) => detail < 2 && action(button);
    button.setAttribute("aria-keyshortcuts", keys.join(" "));
    for (const key of keys) shortcuts.set(key, () => button.disabled || button.click());
    return button;
  }

  function header(...tools) {
    const { done, total } = view.progress;
    const text = t("progress", { done, total });
    const [other] = Object.keys(LANGUAGES).filter((name) => name !== view.language);
    const turn = () => tell({ type: "language", language: other });
    return h(
      "header",
      {},
      h("span.count", { ariaHidden: "true" }, `${done} / ${total}`),
      h("progress", { value: done, max: Math.max(1, total), ariaLabel: text }),
      view.item?.is_training ? h("span.practice", {}, t("practice")) : null,
      h("span.gap"),
      ...tools,
      h("button.tool", { type: "button", lang: other, onclick: turn }, t("language")),
    );
  }

  /** Take the place of the step that the foot of the screen shows. */
  function put(step) {
    screen.querySelector("footer").replaceChildren(...step);
    if (!isTouch()) viewer.stage.focus({ preventScroll: true });
  }

  function scaleStep() {
    const { kind } = view.item;
    stepKeys();
    shown.tags.clear();
    delete shown.value;
    const score = (value, label, cap, ...keys) => {
      const name = `score${value === null ? ".unsure" : ""}`;
      return command(name, label, cap, keys, (button) => answer(value, button));
    };
    const wording = isBeside() ? "dcr" : "acr";
    const keys =
      kind === "acr"
        ? [1, 2, 3, 4, 5].map((n) => score(n, t(`${wording}.${n}`), n, String(n)))
        : [
            score("left", t("ab.left"), "←", "ArrowLeft", "1"),
            score("same", t("ab.same"), "↓", "ArrowDown", "2"),
            score("right", t("ab.right"), "→", "ArrowRight", "3"),
          ];
    if (kind === "acr") {
      shortcuts.set("ArrowLeft", () => focusScale(-1));
      shortcuts.set("ArrowRight", () => focusScale(1));
    }
    const text = question.text || t(`question.${kind}.${question.kind}`);
    const aside = [score(null, t("unsure"), "0", "0"), undoKey()];
    return [
      h("p.question", {}, text),
      h("div.scale", { role: "group", ariaLabel: text }, ...keys),
      h("div.aside", {}, ...aside),
    ];
  }

  function undoKey() {
    const undo = () => (shown.at === null || !isFresh()) && tell({ type: "undo" });
    const isFixed = { disabled: !view.can_undo };
    return command("undo", t("undo"), "⌫", ["Backspace"], undo, isFixed);
  }

  /** Forget the keys of the step before. */
  function stepKeys() {
    shortcuts = new Map(shown.shortcuts);
  }

  function reasons() {
    const { id, content } = view.item;
    const applies = ([, { content: of, questions }]) =>
      (of === "any" || of === content) &&
      (!questions || questions.includes(question.kind));
    const all = Object.entries(messages.reasons).filter(applies);
    return all.map(([tag]) => tag).sort((a, b) => digest(id + a) - digest(id + b));
  }

  function whyStep() {
    stepKeys();
    const { kind } = view.item;
    const tags = reasons();
    const key = (tag, index, side) => {
      const cap = side === "right" ? "" : (TAG_KEYS[index] ?? "");
      const toggle = (button) => toggleTag(tag, side, button);
      const caps = cap ? [cap] : [];
      const name = { ariaPressed: "false" };
      return command("tag", t(`tag.${tag}`), cap.toUpperCase(), caps, toggle, name);
    };
    const row = (side) =>
      h(
        "div.tags",
        { role: "group", ariaLabel: side === "both" ? t("why") : t(side) },
        side === "both" ? null : h("span.hint", { ariaHidden: "true" }, t(side)),
        ...tags.map((tag, index) => key(tag, index, side)),
      );
    const sides = kind === "ab" ? ["left", "right"] : ["both"];
    return [
      h("p.question", {}, t("why")),
      h("div.reasons", {}, ...sides.map(row)),
      h(
        "div.aside",
        {},
        command("on", t("none"), "↵", ["Enter"], goOn),
        command("undo", t("change"), "⌫", ["Backspace"], back),
      ),
    ];
  }

  /** Whether the source stands beside what is judged. */
  const isBeside = () => ["fidelity", "identity"].includes(question.kind);

  /** Note how the picture is seen, until it is scored. */
  function track({ scale, isZoomed }) {
    const { seen } = shown;
    if ("value" in shown) return;
    seen.zoom_used ||= isZoomed;
    seen.scale = scale;
    seen.least_scale = Math.min(seen.least_scale ?? scale, scale);
    seen.most_scale = Math.max(seen.most_scale ?? scale, scale);
    const { width } = view.item;
    const isReduced = scale / devicePixelRatio < 1;
    const isSmall = isReduced && (width * scale) / devicePixelRatio < SMALL_PX;
    const percent = Math.round(100 * scale);
    const isBad = isSmall || scale < LEAST_SCALE;
    const text = isBad ? t("small", { percent }) : "";
    if (notice.textContent !== text) notice.textContent = text;
  }

  function rateScreen(urls) {
    const { item } = view;
    const sides = item.kind === "ab" ? [t("left"), t("right")] : [t("rated")];
    const names = isBeside() ? [t("source"), ...sides] : sides;
    const place = h("div.viewer");
    const tools = h("div.tools");
    const labelled = urls.map((src, n) => ({
      src,
      label: names.length > 1 ? names[n] : "",
      width: item.width,
      height: item.height,
    }));
    const texts = Object.fromEntries(
      ["view", "side", "flip", "split", "whole", "full", "actual"].map((key) => [
        key,
        t(key),
      ]),
    );
    texts.zoomIn = t("zoom.in");
    texts.zoomOut = t("zoom.out");
    texts.stage = t(`stage.${item.kind}`);
    viewer = mount(place, labelled, {
      texts,
      tools,
      full: root,
      sideNames: isBeside(),
      keys: false,
      changed: track,
    });
    const pause = () => tell({ type: "pause" });
    const open = view.may_open_source
      ? command("tool", t("source"), "S", ["s"], () => toggleSource())
      : null;
    const bar = header(tools, ...(open ? [open] : []), command("tool", t("pause"), "", [], pause));
    shown.shortcuts = new Map(shortcuts);
    return h(`div.screen.rate.${item.kind}`, {}, bar, place, h("footer", {}, ...scaleStep()));
  }

  function card(title, texts, ...buttons) {
    const row = h("div.row", {}, ...buttons);
    const text = h("section.card", {}, h("h2", {}, title), ...texts, row);
    return h("div.screen", {}, header(), h("div.ground", {}, text));
  }

  const paragraph = (key, values) => h("p", {}, t(key, values));
  const list = (keys) => h("ul", {}, ...keys.map((key) => h("li", {}, t(key))));
  const main = (key, event) =>
    command("main", t(key), "↵", ["Enter"], () => tell({ type: event }));

  function welcome() {
    const { kinds, progress } = view;
    const agreed = h("input", { type: "checkbox", name: "agree" });
    const publish = h("input", { type: "checkbox", name: "publish" });
    const box = (input, key) => h("label.check", {}, input, h("span", {}, t(key)));
    const begin = () => draw([], checkScreen(agreed.checked, publish.checked));
    const start = command("main", t("start"), "↵", ["Enter"], begin, { disabled: true });
    agreed.onchange = () => (start.disabled = !agreed.checked);
    const minutes = Math.max(1, Math.ceil((progress.total * 10) / 60));
    const who = view.organiser || t("welcome.sender");
    const isSmall = Math.min(window.screen.width, window.screen.height) < SMALL_PX;
    const tasks = kinds.map((kind) => `welcome.${kind}`);
    return card(
      t("title"),
      [
        isSmall ? h("p.warning", {}, t("welcome.small")) : "",
        paragraph(kinds.includes("ab") ? "welcome.blind" : "welcome.single", progress),
        list([...tasks, "welcome.why", isTouch() ? "welcome.touch" : "welcome.look"]),
        h("h3", {}, t("welcome.screen")),
        paragraph("welcome.conditions"),
        h("h3", {}, t("welcome.consent")),
        paragraph("welcome.who", { who, minutes }),
        paragraph("welcome.saved"),
        paragraph("welcome.delete", { who }),
        box(agreed, "agree"),
        box(publish, "publish"),
      ],
      start,
    );
  }

  /** How many squares are seen on black and on white; it may be skipped. */
  function checkScreen(hasAgreed, mayPublish) {
    const begin = (seenSteps) => {
      restedAt = performance.now();
      tell({ type: "start", has_agreed: hasAgreed, may_publish: mayPublish, screen: seenSteps });
    };
    const strip = ([ground, ...levels]) => {
      const grey = (level) => `background: rgb(${level} ${level} ${level})`;
      const squares = levels.map((level) => h("i", { style: grey(level) }));
      return h("div.strip", { style: grey(ground), ariaHidden: "true" }, ...squares);
    };
    const count = (key) => {
      const options = [0, 1, 2, 3, 4, 5, 6].map((n) => new Option(n, n));
      const select = h("select", {}, ...options);
      return [h("label.count-of", {}, h("span", {}, t(key)), select), select];
    };
    const [dark, darkSteps] = count("check.dark");
    const [bright, brightSteps] = count("check.bright");
    const done = () =>
      begin(
        checked(
          {
            dark_steps: Number(darkSteps.value),
            bright_steps: Number(brightSteps.value),
            width_px: window.screen.width,
            height_px: window.screen.height,
          },
          messages.screen,
        ),
      );
    shortcuts = new Map();
    return card(
      t("check"),
      [paragraph("check.text"), strip(DARK), dark, strip(BRIGHT), bright],
      command("main", t("start.pictures"), "↵", ["Enter"], done),
      command("skip", t("skip"), "", [], () => begin(null)),
    );
  }

  /** Means of scores; of pairs, of which none are published, the share won. */
  function revealTable(kind, rows) {
    const written = (value) => {
      if (value === null || typeof value === "string") return value ?? "–";
      return kind === "acr" ? value.toFixed(1) : `${Math.round(100 * value)} %`;
    };
    const isKnown = (column) => rows.some((row) => row[column] !== null);
    const columns = ["own", "panel", "published"].filter(isKnown);
    const names = columns.map((column) => t(`reveal.${column}`));
    const line = (tag, cells) => h("tr", {}, ...cells.map((text) => h(tag, {}, text)));
    const lines = rows.map((row) =>
      line("td", [row.condition, ...columns.map((column) => written(row[column]))]),
    );
    return h("table", {}, line("th", [t(`reveal.${kind}`), ...names]), ...lines);
  }

  function revealTables() {
    const rows = view.reveal.rows.map((row) => strict(row, messages.row));
    const ofKind = (kind) => rows.filter((row) => row.kind === kind);
    const kinds = ["acr", "ab"].filter((kind) => ofKind(kind).length);
    return kinds.map((kind) => revealTable(kind, ofKind(kind)));
  }

  const screens = {
    rate: rateScreen,
    welcome,
    paused: () => card(t("paused"), [paragraph("paused.text")], main("resume", "resume")),
    finished: () =>
      card(t("finished"), [paragraph("finished.text")], main("finish", "finish"), undoKey()),
    closed: () =>
      view.reveal
        ? card(t("revealed"), [paragraph("revealed.text"), ...revealTables()])
        : card(t("handed"), [paragraph("handed.text")], main("reveal", "reveal")),
    gone: () => card(t("closed"), [paragraph("closed.text")]),
  };

  function tellTransit(loadings) {
    const known = loadings.filter((one) => one?.total);
    const sum = (name) => known.reduce((all, one) => all + one[name], 0);
    const [bytes, total] = [sum("bytes"), sum("total")];
    const kb = (n) => Math.round(n / 1000);
    const percent = total ? Math.floor((100 * bytes) / total) : 0;
    const values = { bytes: kb(bytes), total: kb(total), percent };
    transit.replaceChildren(
      h("span", {}, total ? t("transit", values) : t("loading")),
      total ? h("progress", { value: bytes, max: total, ariaLabel: t("loading") }) : "",
    );
  }

  /** Show a view once its pictures are decoded; time runs from their first frame. */
  async function show(reply) {
    const next = reply.gone
      ? { language: view.language, state: "gone", progress: view.progress, item: null }
      : strict(reply.view, messages.view);
    const item = next.item && strict(next.item, messages.item);
    if (next.question) question = next.question;
    if (isFirst && next.state === "welcome" && isChinese && next.language === "en") {
      isFirst = false;
      return void tell({ type: "language", language: "zh" });
    }
    isFirst = false;
    const names = item ? [...(isBeside() ? [item.source] : []), ...item.stimuli] : [];
    const isNew = item?.id !== shown.id;
    const grey = isNew && item && shown.id ? wait(GREY_MS) : null;
    if (isNew) root.classList.add("waiting");
    if (isNew) root.classList.remove("fresh");
    const late = setTimeout(tellTransit, 2 * GREY_MS, []);
    pictures.keep([...(shown.names ?? []), ...names, item?.source, ...(next.preload ?? [])]);
    const urls = await pictures.need(names);
    clearTimeout(late);
    await grey;
    transit.replaceChildren();
    if (signal.aborted) return;
    if (urls.includes(null)) return void show({ gone: true });
    view = next.state === "gone" ? next : strict({ ...reply.view, item }, messages.view);
    if (isNew) {
      const seen = { zoom_used: false, source_opened: isBeside(), full_screen: false };
      shown = { id: item?.id ?? null, at: null, tags: new Map(), names, seen };
    }
    const isTired = item && performance.now() - restedAt > BREAK_MS;
    draw(urls, isTired ? rest(urls) : null);
    if (viewer) await viewer.ready;
    const at = await frame();
    root.classList.remove("waiting");
    if (isNew && viewer) begin(at);
    ahead(next);
  }

  function begin(at) {
    const begun = Object.assign(shown, { at });
    root.classList.add("fresh");
    setTimeout(() => begun === shown && root.classList.remove("fresh"), FRESH_MS);
  }

  /** After ten minutes: a word between two pictures, before the next is shown. */
  function rest(urls) {
    shortcuts = new Map();
    const goOnRating = async () => {
      restedAt = performance.now();
      draw(urls);
      await viewer.ready;
      begin(await frame());
    };
    const leave = () => {
      restedAt = performance.now();
      tell({ type: "pause" });
    };
    return card(
      t("break"),
      [paragraph("break.text", view.progress)],
      command("main", t("break.take"), "↵", ["Enter"], leave),
      command("skip", t("resume"), "", [], goOnRating),
    );
  }

  function draw(urls, special = null) {
    const focused = root.getRootNode().activeElement ?? document.body;
    const takesKeys = focused === document.body || root.contains(focused);
    viewer?.close();
    viewer = null;
    notice.textContent = "";
    if (!special) shortcuts = new Map();
    root.lang = LANGUAGES[view.language];
    if (model.get("page")) {
      document.documentElement.lang = root.lang;
      document.title = t("page");
    }
    const next = special ?? screens[view.state](urls);
    screen.remove();
    screen = next;
    root.append(screen);
    const progress = t("progress", view.progress);
    const practice = view.item?.is_training ? `. ${t("practice")}` : "";
    news.textContent = progress + practice;
    if (takesKeys) {
      const first = viewer?.stage ?? screen.querySelector("[name=agree], .main") ?? root;
      first.focus({ preventScroll: true });
      root.scrollIntoView({ block: "nearest" });
    }
  }

  /** Load what comes next, one after the other, until something newer is shown. */
  async function ahead(next) {
    for (const name of next.preload ?? []) {
      if (signal.aborted || next.item?.id !== view.item?.id) return;
      await pictures.get(name);
    }
  }

  transit.append(h("span", {}, t("loading")));
  ask({ ask: "view" }).then(show);

  return () => {
    stopped.abort();
    viewer?.close();
    pictures.keep([]);
  };
}

export default { render };
