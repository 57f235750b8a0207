// Two small helps, both usable by keyboard; the page is whole without them.

// One picture over another, with a line between them that a slider moves.
for (const compare of document.querySelectorAll(".compare")) {
  const section = compare.closest(".picture");
  const views = [...section.querySelectorAll(".view")].filter((v) => v.querySelector("img"));
  if (views.length < 2) continue;
  const [left, right, part] = compare.querySelectorAll("select");
  const [under, over] = compare.querySelectorAll(".stage img");
  const stage = compare.querySelector(".stage");

  views.forEach((view, index) => {
    for (const select of [left, right]) select.add(new Option(view.dataset.name, index));
  });
  left.value = 0;
  right.value = views.length - 1;

  function show() {
    stage.style.setProperty("--stage", `var(--${part.value})`);
    for (const [image, select] of [[over, left], [under, right]]) {
      const view = views[select.value];
      const shown = view.querySelector(`img.${part.value}`) ?? view.querySelector("img");
      image.src = shown.src;
      image.alt = shown.alt;
    }
  }
  const slider = compare.querySelector(".slider");
  slider.addEventListener("input", () => stage.style.setProperty("--at", `${slider.value}%`));
  compare.addEventListener("change", show);
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
