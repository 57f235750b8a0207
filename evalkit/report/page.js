// Two small helps, both usable by keyboard; the page is whole without them. It stands
// behind the viewer's module.

// Any two pictures of a section in the viewer, one over the other at first.
for (const compare of document.querySelectorAll(".compare")) {
  const section = compare.closest(".picture");
  const views = [...section.querySelectorAll(".view")].filter((v) => v.querySelector("img"));
  if (views.length < 2) continue;
  const [left, right, part] = compare.querySelectorAll("select");
  const place = compare.querySelector(".viewer");
  let viewer = null;

  views.forEach((view, index) => {
    for (const select of [left, right]) select.add(new Option(view.dataset.name, index));
  });
  left.value = 0;
  right.value = views.length - 1;

  async function show() {
    if (!compare.open) return;
    const images = [left, right].map(({ value }) => {
      const view = views[value];
      return view.querySelector(`img.${part.value}`) ?? view.querySelector("img");
    });
    await Promise.all(images.map((image) => image.decode()));
    const pictures = images.map((image, index) => ({
      src: image.src,
      alt: image.alt,
      label: views[[left, right][index].value].dataset.name,
      width: image.naturalWidth,
      height: image.naturalHeight,
    }));
    const mode = viewer?.look().mode ?? "split";
    viewer?.close();
    viewer = mount(place, pictures);
    viewer.show(mode);
    viewer.whole();
  }
  compare.addEventListener("change", (event) => event.target.matches("select") && show());
  compare.addEventListener("toggle", show);
  compare.hidden = false;
}

// Claims of one kind or one verdict.
const filters = document.querySelector("#filters");
if (filters) {
  const rows = [...document.querySelectorAll("#claims tbody tr")];
  const selects = [...filters.querySelectorAll("select")];
  const shown = filters.querySelector("output");
  for (const select of selects) {
    const values = new Set(rows.map((row) => row.dataset[select.name]));
    for (const value of [...values].sort()) select.add(new Option(value, value));
  }
  filters.addEventListener("input", () => {
    for (const row of rows) {
      row.hidden = selects.some((s) => s.value && row.dataset[s.name] !== s.value);
    }
    shown.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
  });
  shown.textContent = `${rows.length} of ${rows.length}`;
  filters.hidden = false;
}
