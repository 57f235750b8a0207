// The page of evalkit serve, behind the viewer's module: sends pictures one after the
// other as jobs, and lays each output beside its source.

const $ = (selector) => document.querySelector(selector);
const root = document.documentElement;
const all = JSON.parse(root.dataset.texts);
const form = $("form");
const field = (name) => form.elements[name];
const token = new URLSearchParams(location.search).get("token");
const headers = token ? { Authorization: `Bearer ${token}` } : {};
let restorers = [];
let viewer = null;
let running = null; // what stops the work in hand
let shown = null;

const t = (key, values = {}) =>
  all[root.lang][key].replace(/{(\w+)}/g, (_, name) => values[name]);

async function ask(path, options = {}) {
  const answer = await fetch(path, { headers, ...options });
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer;
}

function speak(language) {
  root.lang = language;
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
  const body = new FormData();
  body.set("file", file);
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
    const notes = JSON.parse(answer.headers.get("x-evalkit-notes"));
    const told = h("summary", {}, t("done", { condition, seconds }));
    line.append(
      h("button", { type: "button", onclick: () => show(picture) }, t("show")),
      h("a", { href: output, download: name }, t("save")),
      h("details", {}, told, ...notes.map((note) => h("p", {}, note))),
    );
    await show(picture);
    return true;
  } catch (error) {
    line.append(` ${t("failed", { error: error.message })}`);
    return false;
  } finally {
    running.job = null;
    bar.remove();
  }
}

async function send(files) {
  if (running || !files.length) return;
  let settings;
  try {
    settings = { ...JSON.parse(field("settings").value || "{}"), name: field("name").value };
  } catch (error) {
    $(".said").textContent = t("failed", { error: error.message });
    return;
  }
  if (field("scale").value) settings.scale = Number(field("scale").value);
  running = { isStopped: false };
  $(".stop").disabled = false;
  let nDone = 0;
  $(".pictures").replaceChildren();
  for (const [index, file] of [...files].entries()) {
    if (running.isStopped) break;
    $(".said").textContent = t("progress", { n: index + 1, of: files.length });
    const line = h("li", {}, file.name);
    $(".pictures").append(line);
    if (await restore(file, settings, line)) nDone += 1;
  }
  $(".said").textContent = t("sum", { n: nDone, failed: files.length - nDone });
  $(".stop").disabled = true;
  running = null;
}

function tellOf(name) {
  const { lacks, notices } = restorers.find((one) => one.name === name) ?? {};
  $(".lacks").textContent = lacks ?? notices?.join(" ") ?? "";
}

function stopJob() {
  running.isStopped = true;
  if (running.job) ask(`api/jobs/${running.job}`, { method: "DELETE" });
}

$(".stop").onclick = stopJob;
form.onsubmit = (event) => {
  event.preventDefault();
  send($("input[type=file]").files);
};
field("name").onchange = () => tellOf(field("name").value);
document.onpaste = ({ clipboardData }) => send(clipboardData.files);
for (const type of ["dragover", "drop", "dragleave"]) {
  document.addEventListener(type, (event) => {
    event.preventDefault();
    $(".drop").classList.toggle("over", type === "dragover");
    if (type === "drop") send(event.dataTransfer.files);
  });
}
for (const button of document.querySelectorAll("[data-speak]")) {
  button.onclick = () => speak(button.dataset.speak);
}
speak(navigator.language.startsWith("zh") ? "zh" : "en");
const [offered, config] = await Promise.all(
  ["api/restorers", "api/config"].map(async (path) => (await ask(path)).json()),
);
restorers = offered;
field("name").replaceChildren(...offered.map(({ name }) => new Option(name, name)));
field("name").value = config.condition.split("@")[0];
tellOf(field("name").value);
