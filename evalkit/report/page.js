// Three small helps, all usable by keyboard; the page is whole without them. It stands
// behind the viewer's module.

const texts = JSON.parse(document.querySelector("main").dataset.texts);
const small = matchMedia("(max-width: 40rem)");

// All pictures of a section in the viewer: on a screen with room side by side in one
// row from the start, on a phone when they are asked for, since a finger scrolls there.
const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      target.open = true;
    }
  },
  { rootMargin: "100%" },
);
for (const compare of document.querySelectorAll(".compare")) {
  const section = compare.closest(".picture");
  const views = [...section.querySelectorAll(".view")].filter((v) => v.querySelector("img"));
  if (views.length < 2) continue;
  const part = compare.querySelector("select");
  const place = compare.querySelector(".viewer");
  let viewer = null;

  async function show() {
    if (!compare.open) return;
    const images = views.map(
      (view) => view.querySelector(`img.${part.value}`) ?? view.querySelector("img"),
    );
    await Promise.all(images.map((image) => image.decode()));
    const pictures = images.map((image, index) => ({
      src: image.src,
      alt: image.alt,
      label: views[index].dataset.name,
      width: image.naturalWidth,
      height: image.naturalHeight,
    }));
    const mode = viewer?.look().mode ?? (small.matches ? "split" : "side");
    const ratio = pictures[0].height / pictures[0].width;
    const wide = place.clientWidth / (small.matches ? 1 : pictures.length);
    place.style.setProperty("--high", `${Math.round(wide * ratio)}px`);
    viewer?.close();
    viewer = mount(place, pictures, { texts });
    viewer.show(mode);
    viewer.whole();
  }
  part.addEventListener("change", show);
  compare.addEventListener("toggle", show);
  compare.hidden = false;
  if (!small.matches) near.observe(compare);
}

// Claims of one kind or one verdict.
const filters = document.querySelector("#filters");
if (filters) {
  const rows = [...document.querySelectorAll("#claims tbody tr")];
  const selects = [...filters.querySelectorAll("select")];
  const shown = filters.querySelector("output");
  const count = (n) => {
    const said = filters.dataset.shown.replace("{shown}", n);
    shown.textContent = said.replace("{all}", rows.length);
  };
  for (const select of selects) {
    const said = (row) => [row.dataset[select.name], row.dataset[`${select.name}Said`]];
    const values = new Map(rows.map(said).sort());
    for (const [value, words] of values) select.add(new Option(words, value));
  }
  filters.addEventListener("input", () => {
    for (const row of rows) {
      row.hidden = selects.some((s) => s.value && row.dataset[s.name] !== s.value);
    }
    count(rows.filter((row) => !row.hidden).length);
  });
  count(rows.length);
  filters.hidden = false;
}

// On paper every fold is open, but that of the viewer.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not(.compare, [open])")];
  for (const fold of folded) fold.open = true;
});
addEventListener("afterprint", () => {
  for (const fold of folded) fold.open = false;
});
