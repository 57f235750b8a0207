// The page of evalkit serve, behind the viewer's module: sends pictures one after the
// other as jobs, and lays each output beside its source.

const $ = (selector) => document.querySelector(selector);
const root = document.documentElement;
const all = JSON.parse(root.dataset.texts);
const form = $("form");
const picker = $("input[type=file]");
const field = (name) => form.elements[name];
const chosen = () => document.getElementById(`of-${field("name").value}`);
const token = new URLSearchParams(location.search).get("token");
const headers = token ? { Authorization: `Bearer ${token}` } : {};
let restorers = [];
let viewer = null;
let running = null; // what stops the work in hand
let shown = null;
const told = new Map(); // what each element says, for when the language changes

const t = (key, values = {}) =>
  all[root.lang][key].replace(/{(\w+)}/g, (_, name) => values[name]);

async function ask(path, options = {}) {
  const answer = await fetch(path, { headers, ...options });
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer;
}

function formOf(file) {
  const form = new FormData();
  form.set("file", file);
  return form;
}

/** An element that says something in either language. */
function saying(tag, properties, words) {
  const element = h(tag, properties, words());
  told.set(element, words);
  return element;
}

function speak(language) {
  root.lang = language;
  for (const [element, words] of told) {
    if (element.isConnected) element.textContent = words();
    else told.delete(element);
  }
  for (const element of document.querySelectorAll("[data-t]")) {
    element.textContent = t(element.dataset.t);
  }
  if (shown) show(shown);
}

const sizeOf = async (src) => {
  const image = new Image();
  image.src = src;
  await image.decode();
  return { src, width: image.naturalWidth, height: image.naturalHeight };
};

async function show(picture) {
  shown = picture;
  // what a browser cannot show, a TIFF say, has no view
  const [source, output] = await Promise.all(
    [picture.source, picture.output].map((src) => sizeOf(src).catch(() => null)),
  );
  const views = [source && { ...source, label: t("source") }];
  views.push(output && { ...output, label: picture.condition });
  viewer?.close();
  $(".viewer").hidden = !source && !output;
  if (source || output) viewer = mount($(".viewer"), views.filter(Boolean), { texts: all[root.lang] });
}

/** Send a picture, follow its job, and write its line. */
async function restore(file, settings, line) {
  const bar = h("progress");
  line.append(bar);
  const body = formOf(file);
  body.set("params", JSON.stringify(settings));
  try {
    const sent = await ask("api/upscale?async=1", { method: "POST", body });
    let job = await sent.json();
    running.job = job.id;
    if (running.isStopped) stopJob(); // while it was sent
    while (["waiting", "running"].includes(job.state)) {
      await new Promise((done) => setTimeout(done, 300));
      job = await (await ask(`api/jobs/${job.id}`)).json();
      if (job.part) bar.value = job.part;
    }
    if (job.state !== "done") throw new Error(job.error ?? t("stopped"));
    const answer = await ask(job.result.slice(1));
    const output = URL.createObjectURL(await answer.blob());
    const name = /filename="?([^";]+)/.exec(answer.headers.get("content-disposition"))[1];
    const condition = answer.headers.get("x-evalkit-condition");
    const picture = { source: URL.createObjectURL(file), output, condition };
    const seconds = answer.headers.get("x-evalkit-seconds");
    const parameters = answer.headers.get("x-evalkit-parameters");
    const notes = job.notes.en.map((_, n) => saying("p", {}, () => job.notes[root.lang][n]));
    const summary = saying("summary", {}, () => t("done", { condition, seconds }));
    line.append(
      saying("button", { type: "button", onclick: () => show(picture) }, () => t("show")),
      saying("a", { href: output, download: name }, () => t("save")),
      h("details", {}, summary, h("p", {}, parameters), ...notes),
    );
    await show(picture);
    return job.id;
  } catch (error) {
    line.append(" ", saying("span", {}, () => t("failed", { error: error.message })));
    return null;
  } finally {
    running.job = null;
    bar.remove();
  }
}

/** What the JSON says; the controls are set to it. */
function read() {
  const settings = { name: field("name").value, ...JSON.parse(field("settings").value || "{}") };
  field("name").value = settings.name;
  const { lacks, notices } = restorers.find(({ name }) => name === settings.name) ?? {};
  $(".lacks").textContent = lacks ?? notices?.join(" ") ?? "";
  for (const set of document.querySelectorAll("fieldset")) {
    set.disabled = set.hidden = set !== chosen(); // the browser checks what is hidden, too
  }
  for (const control of chosen()?.elements ?? []) {
    const { name, dataset, type } = control;
    const value = name in settings ? JSON.stringify(settings[name]) : dataset.default;
    control.value = type === "number" && isNaN(value) ? "" : value; // "auto", say
  }
  return settings;
}

/** The JSON says what a control says; of settings without one it keeps what it said. */
function write({ name, value, type }) {
  const meant = type === "number" ? Number(value) : value && JSON.parse(value);
  const settings = { ...read(), [name]: value ? meant : undefined };
  field("settings").value = JSON.stringify(settings);
  read();
}

/** Another restorer: settings that it has, too, stay. */
function choose(name) {
  const settings = Object.entries(read());
  field("name").value = name;
  const kept = settings.filter(([key]) => chosen().elements[key]);
  field("settings").value = JSON.stringify({ name, ...Object.fromEntries(kept) });
  read();
}

const wrong = (words) => saying("span.wrong", {}, words);

/** Do what needs the JSON to be some. */
function tried(work) {
  $(".said .wrong")?.remove();
  try {
    return work();
  } catch (error) {
    $(".said").replaceChildren(wrong(() => t("failed", { error: error.message })));
    return null;
  }
}

async function advise() {
  $(".advice").replaceChildren();
  if (!picker.files.length) $(".advice").append(wrong(() => t("none")));
  for (const file of picker.files) {
    const line = h("p", {}, `${file.name}: `);
    $(".advice").append(line);
    try {
      const answer = await ask("api/route", { method: "POST", body: formOf(file) });
      const { used, words } = await answer.json();
      const onclick = () => tried(() => choose(used));
      const use = saying("button", { type: "button", onclick }, () => t("use"));
      line.append(saying("span", {}, () => words[root.lang]), " ", use);
    } catch (error) {
      line.append(error.message);
    }
  }
}

async function send(files) {
  const settings = running ? null : tried(read);
  if (!settings) return;
  if (!files.length) return void $(".said").replaceChildren(wrong(() => t("none")));
  running = { isStopped: false };
  $(".stop").disabled = false;
  const done = [];
  const failed = [];
  $(".pictures").replaceChildren();
  for (const [index, file] of [...files].entries()) {
    if (running.isStopped) break;
    const place = { n: index + 1, of: files.length };
    $(".said").replaceChildren(saying("span", {}, () => t("progress", place)));
    const line = h("li", {}, file.name);
    $(".pictures").append(line);
    const job = await restore(file, settings, line);
    if (job) done.push(["job", job]);
    else failed.push(file.name);
  }
  const sum = { n: done.length, failed: failed.length };
  const left = files.length - done.length - failed.length;
  $(".said").replaceChildren(saying("span", {}, () => t("sum", sum)));
  if (failed.length) $(".said").append(` (${failed.join(", ")})`);
  if (left) $(".said").append(" ", saying("span", {}, () => t("left", { n: left })));
  if (done.length > 1) {
    const query = new URLSearchParams(token ? [...done, ["token", token]] : done);
    const href = `api/zip?${query}`;
    $(".said").append(" ", saying("a", { href, download: "" }, () => t("zip")));
  }
  $(".stop").disabled = true;
  running = null;
}

function stopJob() {
  running.isStopped = true;
  if (running.job) ask(`api/jobs/${running.job}`, { method: "DELETE" });
}

$(".stop").onclick = stopJob;
$(".ask").onclick = advise;
form.onsubmit = (event) => {
  event.preventDefault();
  send(picker.files);
};
form.onchange = ({ target }) => {
  if (target === field("name")) tried(() => choose(target.value));
  else if (target.closest("fieldset")) tried(() => write(target));
  else if (target === field("settings")) tried(read);
};

/** Pictures that were dropped or pasted. */
function take(files) {
  if (files.length) picker.files = files;
  send(files);
}
document.onpaste = ({ clipboardData }) => take(clipboardData.files);
for (const type of ["dragover", "drop", "dragleave"]) {
  document.addEventListener(type, (event) => {
    event.preventDefault();
    $(".drop").classList.toggle("over", type === "dragover");
    if (type === "drop") take(event.dataTransfer.files);
  });
}
for (const button of document.querySelectorAll("[data-speak]")) {
  button.onclick = () => speak(button.dataset.speak);
}
$("[data-t=docs]").search = location.search; // with the token
speak(navigator.language.startsWith("zh") ? "zh" : "en");
read();
restorers = await (await ask("api/restorers")).json();
tried(read);
