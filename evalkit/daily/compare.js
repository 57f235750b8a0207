// Wires up what compare.html.jinja wrote, on a page or in a notebook, behind the
// viewer's module.

const WHITE = 32; // levels of 255, of the channel that differs most: white on the map

/** Where two pictures differ: a picture, and the mean difference in levels. */
async function difference(images, width, height) {
  const [a, b] = images.map((image) => {
    const context = new OffscreenCanvas(width, height).getContext("2d");
    context.drawImage(image, 0, 0, width, height);
    return context.getImageData(0, 0, width, height);
  });
  const [map, other] = [a.data, b.data];
  let sum = 0;
  for (let i = 0; i < map.length; i += 4) {
    const of = (channel) => Math.abs(map[i + channel] - other[i + channel]);
    const most = Math.max(of(0), of(1), of(2));
    sum += most;
    map[i] = map[i + 1] = map[i + 2] = (255 / WHITE) * most;
  }
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(a, 0, 0);
  const src = URL.createObjectURL(await canvas.convertToBlob());
  return { src, mean: (sum / width / height).toPrecision(2) };
}

function start(root) {
  const texts = JSON.parse(root.dataset.texts);
  const t = (key, values = {}) =>
    texts[root.dataset.language][key].replace(/{(\w+)}/g, (_, name) => values[name]);
  const shows = [...root.querySelectorAll(".picture")].map((section) => {
    const views = [...section.querySelectorAll(".view")].filter((v) => v.querySelector("img"));
    const [map, said] = section.querySelectorAll(".map, output");
    const selects = [...section.querySelectorAll("select")];
    const nameOf = (view) => view.dataset[root.dataset.language];
    const pictureOf = (view) => {
      const { src, alt } = view.querySelector("img");
      const { width, height } = view.dataset;
      return { src, alt, label: nameOf(view), width: Number(width), height: Number(height) };
    };
    let viewer = null;

    /** The views that are chosen; or two of them and the map of their difference. */
    function show(...mapped) {
      if (!section.open) return;
      const mode = viewer?.look().mode ?? "side";
      viewer?.close();
      const chosen = views.filter((view) => view.querySelector("input").checked);
      const shown = mapped.length ? mapped : chosen.map(pictureOf);
      const options = { texts: texts[root.dataset.language], wraps: true };
      viewer = mount(section.querySelector(".viewer"), shown, options);
      viewer.show(mode);
      map.ariaPressed = String(mapped.length > 0);
      said.textContent = "";
      selects.forEach((select, index) => {
        const value = select.value || Math.min(index + (views.length > 2), views.length - 1);
        select.replaceChildren(...views.map((view, i) => new Option(nameOf(view), i)));
        select.value = value;
      });
    }

    async function showMap() {
      const two = selects.map(({ value }) => views[value]);
      const images = two.map((view) => view.querySelector("img"));
      await Promise.all(images.map((image) => image.decode()));
      const pictures = two.map(pictureOf);
      const [width, height] = ["width", "height"].map((side) =>
        Math.max(...pictures.map((picture) => picture[side])),
      );
      const { src, mean } = await difference(images, width, height);
      const label = pictures.map((picture) => picture.label).join(" − ");
      show(...pictures, { src, alt: label, label, width, height });
      said.textContent = t("map.said", { mean, white: WHITE });
    }
    const isMapped = () => map.ariaPressed === "true";
    map.onclick = () => (isMapped() ? show() : showMap());
    for (const select of selects) select.onchange = () => isMapped() && showMap();
    section.addEventListener("toggle", () => show());
    section.addEventListener("change", ({ target }) => {
      if (target.type !== "checkbox") return;
      if (!section.querySelector(".view input:checked")) target.checked = true;
      show();
    });
    return show;
  });
  function speak(language) {
    root.dataset.language = root.lang = language;
    for (const show of shows) show();
  }
  for (const button of root.querySelectorAll("[data-speak]")) {
    button.onclick = () => speak(button.dataset.speak);
  }
  speak(root.dataset.asked || (navigator.language.startsWith("zh") ? "zh" : "en"));
}

for (const root of document.querySelectorAll("body > .evalkit-compare")) start(root);

export default {
  render({ model, el }) {
    el.innerHTML = model.get("html");
    start(el.firstElementChild);
  },
};
