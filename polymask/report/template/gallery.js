"use strict";
// Filters, order and enlargement of the gallery. Without JavaScript all photos are shown in the order of the page.
(() => {
  const photos = [...document.querySelectorAll(".photo")];
  const filters = document.querySelector(".filters");
  if (!photos.length || !filters) return;
  const list = photos[0].parentElement;
  const selects = [...filters.querySelectorAll("select")]; // by the order, and by what the photos have as data
  const count = filters.querySelector("output");
  const none = document.querySelector(".no-photo");

  const fits = (photo, { name, value }) => !value || photo.dataset[name].split(" ").includes(value);
  const byScore = (a, b) => a.dataset.score - b.dataset.score || a.dataset.place - b.dataset.place;
  const orders = {
    worst: byScore,
    best: (a, b) => byScore(b, a),
    name: (a, b) => a.dataset.place - b.dataset.place,
  };

  const shown = () => photos.filter((photo) => !photo.hidden);
  const update = () => {
    for (const { value } of selects.filter((select) => select.name === "order")) photos.sort(orders[value]);
    for (const photo of photos) {
      photo.hidden = !selects.every((select) => select.name === "order" || fits(photo, select));
      list.append(photo);
    }
    const number = shown().length;
    count.textContent = `${number} of ${photos.length} photos`;
    none.hidden = number > 0;
  };
  for (const select of selects) select.addEventListener("change", update);
  filters.hidden = false;
  update();

  const dialog = document.querySelector("dialog");
  const pictures = [...dialog.querySelectorAll("img")];
  const about = dialog.querySelector(".about");
  let current;
  const show = (photo) => {
    current = photo;
    photo.querySelectorAll("img").forEach((image, index) => {
      pictures[index].src = image.src;
      pictures[index].alt = image.alt;
    });
    about.replaceChildren(...[...photo.querySelector(".about").childNodes].map((node) => node.cloneNode(true)));
    if (!dialog.open) dialog.showModal();
  };
  const step = (by) => {
    const now = shown();
    show(now[(now.indexOf(current) + by + now.length) % now.length]);
  };
  for (const photo of photos) photo.querySelector(".pair").addEventListener("click", () => show(photo));
  dialog.querySelector("[data-step='-1']").addEventListener("click", () => step(-1));
  dialog.querySelector("[data-step='1']").addEventListener("click", () => step(1));
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  dialog.addEventListener("close", () => current.querySelector(".pair").focus());
})();
