// A session in one file: answers the widget's messages as `Session` does, from what
// evalkit.rating.pack wrote into the page. It stands behind widget.js in one module.
{
  const pack = JSON.parse(document.querySelector("#pack").textContent);
  const { items, pictures, seal } = pack;
  const N_PRELOADED = 2;
  const shared = { ...pack.shared, page: true };

  const key = `evalkit-rating-${seal}`;
  const handlers = new Set();
  const notice = document.querySelector(".pack-notice");
  const saveButton = document.querySelector(".pack-save");
  let log = []; // a line of JSON for each event that changed something
  let session = null;

  const t = (name) => shared.labels[name][session.language];

  function begin() {
    const ours = navigator.languages.find((name) => /^(en|zh)\b/.test(name));
    session = { state: pack.trial ? "rate" : "welcome", answers: [], given: new Map() };
    session.language = ours?.slice(0, 2) ?? "en";
  }

  /** Do what an event says, if the state allows it; whether it did. */
  function apply(event) {
    const { answers, given } = session;
    const present = items[answers.length];
    if (event.type === "language") {
      session.language = event.language;
      return true;
    }
    const inSight = session.state === "rate" && present ? present.id : "";
    if ((event.item ?? inSight) !== inSight) return false;
    const allowed = { welcome: "start", paused: "resume" }[session.state];
    if (event.type === allowed) session.state = "rate";
    else if (session.state !== "rate") return false;
    else if (event.type === "pause") session.state = "paused";
    else if (event.type === "finish" && !present) session.state = "closed";
    else if (event.type === "undo" && answers.length) answers.pop();
    else if (event.type === "answer" && present) {
      answers.push(event);
      given.set(event.item, { value: event.value, tags: event.tags ?? [] });
    } else return false;
    return true;
  }

  /** The share of pairs that each condition of a trial won; a tie counts half. */
  function reveal({ sides, rows }) {
    const won = ({ condition }, { item, value }) =>
      value === "same" ? 0.5 : Number(sides[item][value] === condition);
    const share = (row) =>
      session.answers.reduce((sum, one) => sum + won(row, one) / items.length, 0);
    return { rows: rows.map((row) => ({ ...row, own: share(row) })) };
  }

  /** Take what is kept, also by another tab that has gone on. */
  function recall() {
    if (pack.trial) return session ?? begin();
    const kept = JSON.parse(localStorage.getItem(key) ?? "[]");
    if (session && kept.length === log.length && kept.at(-1) === log.at(-1)) return;
    log = kept;
    begin();
    for (const line of log) apply(JSON.parse(line).event);
  }

  /** Do something with what this browser keeps, or say that it keeps nothing. */
  function attempt(action) {
    try {
      action();
      notice.textContent = "";
    } catch (error) {
      if (!(error instanceof DOMException)) throw error; // access refused, or full
      if (!session) begin();
      notice.textContent = t("unkept");
    }
  }

  function handle(event) {
    attempt(recall);
    if (event.type === "reveal") save();
    else if (apply(event)) {
      log.push(JSON.stringify({ at: new Date().toISOString(), event }));
      if (!pack.trial) attempt(() => localStorage.setItem(key, JSON.stringify(log)));
    }
  }

  function view() {
    const done = session.answers.length;
    const present = items[done];
    const isOver = session.state === "rate" && !present;
    const state = isOver ? (pack.trial ? "closed" : "finished") : session.state;
    const isShown = state === "rate";
    const coming = state === "closed" ? [] : items.slice(done + isShown);
    saveButton.hidden = state !== "paused" || Boolean(pack.trial);
    saveButton.textContent = t("save");
    return {
      ...pack.view,
      state,
      language: session.language,
      progress: { done, total: items.length },
      item: isShown ? { ...present, given: session.given.get(present.id) ?? null } : null,
      preload: coming.slice(0, N_PRELOADED).flatMap(({ stimuli }) => stimuli),
      can_undo: done > 0 && (isShown || state === "finished"),
      reveal: pack.trial && !present ? reveal(pack.trial) : null,
    };
  }

  function bytesOf(name) {
    const [, encoded] = pictures[pack.names[name][session.language]].split(",");
    return new DataView(Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0)).buffer);
  }

  async function save() {
    const text = new TextEncoder().encode([seal, ...log].join("\n"));
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
    const digest = Array.from(hash, (b) => b.toString(16).padStart(2, "0")).join("");
    const { subject, part, parts, format: evalkit } = pack;
    const about = { evalkit, subject, part, parts, items: items.map(({ id }) => id), seal };
    const saved = JSON.stringify({ ...about, events: log, digest }, null, 1);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([saved], { type: "application/json" }));
    link.download = `${pack.file}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  function answer({ ask, event, name }) {
    if (ask === "stimulus") return [{}, [bytesOf(name)]];
    if (ask === "handle") handle(event);
    return [{ view: view() }];
  }

  attempt(recall);
  saveButton.onclick = save;
  render({
    el: document.querySelector("main"),
    model: {
      get: (name) => shared[name],
      on: (_, handler) => handlers.add(handler),
      off: (_, handler) => handlers.delete(handler),
      send(question) {
        const [reply, buffers = []] = answer(question);
        const tell = (handler) => handler({ id: question.id, ...reply }, buffers);
        setTimeout(() => handlers.forEach(tell)); // as a reply comes: later
      },
    },
  });
}
