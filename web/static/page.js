// Sends photos to the server, and draws what it finds: the confidence threshold and the classes choose among that here.
import { decode } from "./rle.js";

const LARGEST = 4096; // px: phones draw no larger canvas
const AT_A_TIME = 2; // photos on their way to the server
const $ = (id) => document.getElementById(id);
const photos = new Set();
const waiting = [];
let model, onTheirWay = 0;

const color = (instance, alpha = 1) => `rgb(${model.classes[instance.class_index].colour.join(" ")} / ${alpha})`;
const isShown = (instance) =>
  instance.score >= Number($("threshold").value) && $("classes").querySelectorAll("input")[instance.class_index].checked;

function add(name, blob) {
  const article = $("photo").content.cloneNode(true).firstElementChild;
  const photo = { name, blob, article, zoom: 1, found: null };
  article.querySelector("h2").textContent = name;
  article.addEventListener("click", (event) => actions[event.target.dataset.do]?.(photo));
  const view = article.querySelector(".view");
  view.addEventListener("keydown", (event) => {
    if (event.key === "+" || event.key === "-") actions[event.key === "+" ? "in" : "out"](photo);
  });
  view.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return; // the page scrolls
    event.preventDefault();
    actions[event.deltaY < 0 ? "in" : "out"](photo);
  }, { passive: false });
  photos.add(photo);
  $("photos").append(article);
  say(photo, "Waiting ...");
  enable(photo, false);
  waiting.push(photo);
  next();
}

async function next() {
  if (onTheirWay >= AT_A_TIME || !waiting.length) return;
  onTheirWay++;
  const photo = waiting.shift();
  if (photos.has(photo)) await predict(photo);
  onTheirWay--;
  next();
}

async function predict(photo) {
  say(photo, "Looking ...");
  try {
    photo.found = await send(photo.blob);
    await drawPhoto(photo);
    enable(photo, true);
    drawFound(photo);
  } catch (error) {
    say(photo, error.message, "error");
  }
}

async function send(blob) {
  for (;;) {
    const answer = await fetch("api/predict", { method: "POST", body: blob, headers: { "Content-Type": "application/octet-stream" } })
      .catch(() => { throw new Error("The server does not answer. Is it still running?"); });
    if (answer.status !== 503) {
      const content = await answer.json();
      if (!answer.ok) throw new Error(content.detail);
      return content;
    }
    await new Promise((done) => setTimeout(done, 1000 * Number(answer.headers.get("Retry-After") ?? 1)));
  }
}

async function drawPhoto(photo) {
  const { width, height } = photo.found;
  const scale = Math.min(1, LARGEST / Math.max(width, height));
  const canvases = photo.article.querySelectorAll("canvas");
  for (const canvas of canvases) {
    canvas.width = Math.max(1, Math.round(width * scale));
    canvas.height = Math.max(1, Math.round(height * scale));
  }
  const pixels = canvases[0].getContext("2d");
  try {
    const bitmap = await createImageBitmap(photo.blob, { imageOrientation: "from-image" });
    pixels.drawImage(bitmap, 0, 0, canvases[0].width, canvases[0].height);
    bitmap.close();
  } catch { // a TIFF, say, which the server reads and the browser does not
    pixels.fillStyle = "#777";
    pixels.fillRect(0, 0, canvases[0].width, canvases[0].height);
    photo.note = "This browser cannot show such a file: only what was found is drawn.";
  }
}

function drawFound(photo) {
  const [, overlay] = photo.article.querySelectorAll("canvas");
  const context = overlay.getContext("2d");
  const scale = overlay.width / photo.found.width;
  context.clearRect(0, 0, overlay.width, overlay.height);
  const shown = photo.found.instances.filter(isShown);
  for (const instance of [...shown].reverse()) drawInstance(context, instance, scale); // the best on top
  const counts = model.classes
    .map(({ name }, index) => [name, shown.filter((one) => one.class_index === index).length])
    .filter(([, count]) => count)
    .map(([name, count]) => `${count} × ${name}`);
  const summary = counts.join(", ") || "Nothing from this score on.";
  say(photo, [summary, photo.note].filter(Boolean).join(" "));
  photo.article.querySelector(".view").setAttribute("aria-label", `${photo.name}: ${summary}`);
}

function drawInstance(context, instance, scale) {
  const line = Math.max(1.5, context.canvas.width / 400);
  context.fillStyle = color(instance, 0.45);
  context.beginPath();
  for (const { x, y, length } of decode(instance.annotation.segmentation)) {
    context.rect(x * scale, y * scale, scale, length * scale);
  }
  context.fill();
  const [left, top, width, height] = instance.annotation.bbox.map((value) => value * scale);
  context.strokeStyle = color(instance);
  context.lineWidth = line;
  context.strokeRect(left, top, width, height);
  const text = `${model.classes[instance.class_index].name} ${Math.round(100 * instance.score)} %`;
  context.font = `${8 * line}px system-ui, sans-serif`;
  context.textBaseline = "bottom";
  const bottom = Math.max(top, 10 * line);
  context.fillStyle = "rgb(0 0 0 / 0.7)";
  context.fillRect(left, bottom - 10 * line, context.measureText(text).width + 4 * line, 10 * line);
  context.fillStyle = "#fff";
  context.fillText(text, left + 2 * line, bottom - line);
}

const actions = {
  in: (photo) => zoom(photo, 1.5),
  out: (photo) => zoom(photo, 1 / 1.5),
  remove(photo) {
    photos.delete(photo);
    photo.article.remove();
  },
  picture(photo) {
    const [pixels, overlay] = photo.article.querySelectorAll("canvas");
    const both = new OffscreenCanvas(pixels.width, pixels.height);
    for (const canvas of [pixels, overlay]) both.getContext("2d").drawImage(canvas, 0, 0);
    both.convertToBlob({ type: "image/png" }).then((blob) => download(photo, "_found.png", blob));
  },
  coco(photo) {
    const { width, height, instances } = photo.found;
    const annotations = instances.filter(isShown).map((one, index) => ({ ...one.annotation, id: index + 1, image_id: 1 }));
    const categories = model.classes.map(({ name }, index) => ({ id: index + 1, name }));
    downloadJson(photo, "_coco.json", { images: [{ id: 1, file_name: photo.name, width, height }], annotations, categories });
  },
  labelme(photo) {
    const parts = photo.found.instances.filter(isShown).map((one) => one.shapes);
    // The parts of an object are a group.
    const shapes = parts.flatMap((part, index) => part.map((shape) => ({ ...shape, group_id: part.length > 1 ? index + 1 : null })));
    downloadJson(photo, ".json", { ...photo.found.labelme, shapes, imagePath: photo.name });
  },
};

function zoom(photo, factor) {
  photo.zoom = Math.min(16, Math.max(1, photo.zoom * factor));
  photo.article.querySelector(".layers").style.width = `${100 * photo.zoom}%`;
}

function download(photo, ending, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = photo.name.replace(/\.[^.]*$/, "") + ending;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const downloadJson = (photo, ending, content) =>
  download(photo, ending, new Blob([JSON.stringify(content, null, 2)], { type: "application/json" }));

function say(photo, text, kind = "") {
  const summary = photo.article.querySelector(".summary");
  summary.textContent = text;
  summary.className = `summary ${kind}`;
}

function enable(photo, hasResult) {
  for (const button of photo.article.querySelectorAll("[data-needs]")) button.disabled = !hasResult;
}

function showFilter() {
  Object.assign($("threshold"), { min: model.lowest_score, value: model.threshold });
  model.classes.forEach(({ name, colour }) => {
    const label = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = `rgb(${colour.join(" ")})`;
    label.append(box, swatch, name);
    $("classes").append(label);
  });
  refresh();
}

function refresh() {
  $("threshold-value").textContent = Number($("threshold").value).toFixed(2);
  for (const photo of photos) if (photo.found) drawFound(photo);
}

function listen() {
  $("files").addEventListener("change", (event) => {
    for (const file of event.target.files) add(file.name, file);
    event.target.value = "";
  });
  $("filter").addEventListener("input", refresh);
  $("example").addEventListener("click", async () => add("example.jpg", await (await fetch("static/example.jpg")).blob()));
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      $("drop").classList.toggle("over", kind === "dragover");
      if (kind === "drop") for (const file of event.dataTransfer.files) add(file.name, file);
    });
  }
}

try {
  model = await (await fetch("api/model")).json();
  showFilter();
  listen();
} catch {
  $("status").textContent = "The server does not answer. Is it still running?";
}
