// The viewer itself: holds the picture and what a person set, and keeps page, panes and readout in step with them.
// All of it happens in the browser; Python hears of nothing.

const NO_PROBABILITIES = "This is a mask alone: ask the endpoint for probabilities to see how sure it is.";

class Viewer {
  constructor(root) {
    this.root = root;
    this.view = new View();
    this.settings = readSettings();
    this.hidden = new Set(); // ids of the classes switched off
    this.chosen = null; // id of the class whose probability is shown
    this.point = null; // under the mouse, in label pixels
    this.turn = 0;
    this.scale = percentScale();
    this.find = (selector) => root.querySelector(selector);
    this.photoCanvas = this.find(".photo canvas");
    this.resultCanvas = this.find(".result canvas");
    this.legend = new Legend(this.find(".chips"), {
      press: (id) => this.pressClass(id),
      only: (id) => this.isolate(id),
    });
    root.style.setProperty("--gradient", gradientOf(this.scale));
    this.stopping = new AbortController();
    connectControls(this, this.stopping.signal);
    this.showSettings();
  }

  // ---- A picture comes in

  /** Shows a frame. With the one already shown, nothing changes; while one is decoded, a later one overtakes it. */
  async show(frame) {
    const turn = ++this.turn;
    try {
      const { header, parts } = readFrame(frame);
      if (header.id === this.picture?.id) return this.setState("ready");
      this.setState("loading", "Drawing…");
      const picture = await this.decode(header, parts);
      if (turn !== this.turn) return picture.photo.close();
      this.begin(picture);
      await this.decodeProbabilities(header.probabilities?.ids ?? [], parts, turn);
    } catch (error) {
      if (turn === this.turn) this.setState("error", `The picture cannot be drawn: ${error.message}.`);
    }
  }

  async decode(header, parts) {
    const confidence = parts.get("confidence");
    const [photo, labels, confidencePlane] = await Promise.all([
      decodePhoto(parts.get("photo")),
      decodePlane(parts.get("labels")),
      confidence && decodePlane(confidence),
    ]);
    const names = new Map(header.classes.map(({ id, name }) => [id, name]));
    return { ...header, names, photo, labels, confidence: confidencePlane, planes: new Map() };
  }

  /** The probability planes follow once the picture stands: only then are they needed. */
  async decodeProbabilities(ids, parts, turn) {
    for (const id of ids) {
      const plane = await decodePlane(parts.get(`probability/${id}`));
      if (turn !== this.turn) return;
      this.picture.planes.set(id, plane);
      if (this.mode === "probability" && id === this.chosen) this.paint();
    }
    this.root.dataset.planes = ids.length;
    this.showReadout();
  }

  begin(picture) {
    const { width, height } = picture.labels;
    const before = this.picture;
    const another = picture.scene !== before?.scene || width !== before.labels.width || height !== before.labels.height;
    before?.photo.close();
    this.picture = picture;
    if (another) {
      this.view.setPicture(width, height);
      this.point = null;
    }
    this.hidden.clear();
    if (!picture.names.has(this.chosen)) this.chosen = picture.classes[0].id;
    this.root.style.setProperty("--aspect", Math.min(3, Math.max(0.6, width / height)));
    this.root.toggleAttribute("data-mask-only", !picture.confidence);
    this.legend.fill(picture.classes, width * height);
    this.fillSelects();
    this.setState("ready");
    this.showSettings();
    this.applyToPicture();
    this.root.dataset.picture = picture.id;
    delete this.root.dataset.planes;
  }

  fillSelects() {
    const options = (names) => names.map(([value, text]) => new Option(text, value));
    const { classes, palettes } = this.picture;
    const byName = [...classes].sort((a, b) => a.name.localeCompare(b.name));
    this.find(".of-class select").replaceChildren(...options(byName.map(({ id, name }) => [id, name])));
    this.find(".palette select").replaceChildren(...options(palettes.map(({ name }) => [name, name])));
  }

  setState(state, text = "") {
    this.root.dataset.state = state;
    const notice = this.find(".notice");
    notice.setAttribute("role", state === "error" ? "alert" : "status");
    if (text) notice.textContent = text;
  }

  // ---- What a person set

  /** The mode shown: an answer without probabilities has classes only. */
  get mode() {
    return this.picture && !this.picture.confidence ? "classes" : this.settings.mode;
  }

  get palette() {
    const { palettes } = this.picture;
    return palettes.find(({ name }) => name === this.settings.palette) ?? palettes[0];
  }

  set(changes) {
    this.adjust(changes);
    if (this.picture) this.applyToPicture();
  }

  /** As `set`, for what needs no painting: it is dragged, and follows the hand. */
  adjust(changes) {
    Object.assign(this.settings, changes);
    keepSettings(this.settings);
    this.showSettings();
    this.draw();
  }

  setOpacity(percent) {
    const value = Math.min(100, Math.max(0, percent));
    this.adjust({ opacity: { ...this.settings.opacity, [this.mode]: value } });
  }

  setSplit(percent) {
    this.adjust({ split: Math.min(100, Math.max(0, percent)) });
  }

  showSettings() {
    const { layout, outline, opacity, split } = this.settings;
    Object.assign(this.root.dataset, { layout, mode: this.mode });
    this.pressOne("[data-layout]", layout);
    this.pressOne("[data-mode]", this.mode);
    this.find(".outline").setAttribute("aria-pressed", String(outline));
    this.find(".opacity input").value = opacity[this.mode];
    this.find(".opacity output").textContent = `${opacity[this.mode]}%`;
    this.find(".divider").setAttribute("aria-valuenow", Math.round(split));
    this.root.style.setProperty("--split", `${split}%`);
  }

  /** Brings what belongs to the picture in line with the settings and the classes chosen, then paints. */
  applyToPicture() {
    for (const button of this.root.querySelectorAll(".modes button:not([data-mode=classes])")) {
      button.setAttribute("aria-disabled", String(!this.picture.confidence));
      button.title = this.picture.confidence ? "Next view (m)" : NO_PROBABILITIES;
    }
    this.find(".of-class").hidden = this.mode !== "probability";
    this.find(".palette").hidden = this.mode !== "classes" || this.picture.palettes.length === 1;
    this.find(".of-class select").value = this.chosen;
    this.find(".palette select").value = this.palette.name;
    this.find(".scale").hidden = this.mode === "classes";
    const name = this.picture.names.get(this.chosen);
    const words = { classes: this.picture.title, confidence: "Confidence", probability: `Probability of ${name}` };
    const caption = words[this.mode];
    this.find(".result figcaption").textContent = caption;
    this.resultCanvas.setAttribute("aria-label", caption);
    this.paint();
  }

  pressOne(selector, value) {
    for (const button of this.root.querySelectorAll(`.segments ${selector}`)) {
      button.setAttribute("aria-pressed", String(Object.values(button.dataset).includes(value)));
    }
  }

  setMode(mode) {
    if (this.picture?.confidence) this.set({ mode });
  }

  // ---- Classes

  pressClass(id) {
    if (this.mode === "probability") return this.choose(id);
    if (!this.hidden.delete(id)) this.hidden.add(id);
    this.applyToPicture();
  }

  choose(id) {
    this.chosen = id;
    this.applyToPicture();
  }

  /** Shows one class alone; the only one shown, shows all again. */
  isolate(id) {
    if (this.mode === "probability") return this.choose(id);
    const others = this.picture.classes.map((row) => row.id).filter((other) => other !== id);
    const alone = !this.hidden.has(id) && others.every((other) => this.hidden.has(other));
    this.hidden = new Set(alone ? [] : others);
    this.applyToPicture();
  }

  showAll() {
    this.hidden.clear();
    this.applyToPicture();
  }

  colorOf(id) {
    return this.palette.colors[this.picture.classes.findIndex((row) => row.id === id)];
  }

  // ---- Painting and drawing

  /** Paints the layers anew: after a change of mode, class or colours. */
  paint() {
    const { classes, labels, confidence, planes, probabilities } = this.picture;
    const all = this.mode === "probability";
    const colors = new Uint32Array(256);
    classes.forEach(({ id }, index) => {
      if (all || !this.hidden.has(id)) colors[id] = pixelOf(this.palette.colors[index]);
    });
    const plane = planes.get(this.chosen);
    this.step = all ? probabilities.step : 1;
    if (this.mode === "classes") this.layer = maskLayer(labels, colors);
    else if (all) this.layer = plane && mapLayer(plane, this.scale);
    else this.layer = mapLayer(confidence, this.scale, labels, colors);
    this.outline = this.settings.outline && outlineLayer(labels, colors, this.mode === "classes" ? 0.35 : 1);
    this.legend.update((id) => this.colorOf(id), (id) => (all ? id === this.chosen : !this.hidden.has(id)));
    this.find(".all").disabled = all || this.hidden.size === 0;
    this.showReadout();
    this.draw();
  }

  draw() {
    this.request ??= requestAnimationFrame(() => {
      this.request = null;
      if (this.picture) this.drawNow();
    });
  }

  drawNow() {
    const placement = this.view.placement(this.resultCanvas);
    const { width, height } = this.picture.labels;
    for (const canvas of [this.photoCanvas, this.resultCanvas]) {
      const context = canvas.getContext("2d");
      context.clearRect(0, 0, canvas.width, canvas.height);
      drawOver(context, this.picture.photo, placement, width, height);
      if (canvas === this.resultCanvas) this.drawLayers(context, placement);
      if (this.point) drawCrosshair(context, placement, this.point, this.picture.labels);
    }
    const { zoom, centerX, centerY } = this.view;
    this.root.toggleAttribute("data-zoomed", zoom > 1);
    this.root.dataset.view = [zoom, centerX, centerY].map((value) => value.toFixed(3)).join(" ");
    this.find(".level").textContent = zoom === 1 ? "Fit" : `× ${zoom.toFixed(1)}`;
  }

  drawLayers(context, placement) {
    const { width, height } = this.picture.labels;
    context.save();
    context.beginPath(); // a thinned plane reaches a little over the edge
    context.rect(placement.left, placement.top, width * placement.scale, height * placement.scale);
    context.clip();
    if (this.layer) {
      const { width: columns, height: rows } = this.layer;
      const alpha = this.settings.opacity[this.mode] / 100;
      drawOver(context, this.layer, placement, columns * this.step, rows * this.step, alpha);
    }
    if (this.outline) drawOver(context, this.outline, placement, width, height);
    context.restore();
  }

  /** Both canvases get as many pixels as the screen has for them. */
  resize() {
    for (const canvas of [this.photoCanvas, this.resultCanvas]) {
      const box = canvas.getBoundingClientRect();
      const [width, height] = [box.width, box.height].map((side) => Math.max(1, Math.round(side * devicePixelRatio)));
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    }
    this.view.keepInside(this.resultCanvas);
    this.draw();
  }

  // ---- Moving about

  /** The cursor is over a point of a canvas, in device pixels; null when it left. */
  pointAt(place) {
    this.find(".readout").setAttribute("aria-live", "off");
    this.moveCrosshair(place && this.picture ? this.view.toPicture(this.resultCanvas, place.x, place.y) : null);
  }

  /** The crosshair stands at a point in label pixels; nowhere, if that is outside the picture. */
  moveCrosshair(point) {
    const { width, height } = this.picture?.labels ?? {};
    this.point = point && point.x >= 0 && point.y >= 0 && point.x < width && point.y < height ? point : null;
    this.showReadout();
    this.draw();
  }

  /** One label pixel on, by the keyboard; from the middle of what is seen. */
  stepCrosshair(dx, dy) {
    const { width, height } = this.picture.labels;
    const from = this.point ?? { x: this.view.centerX * width, y: this.view.centerY * height };
    this.find(".readout").setAttribute("aria-live", "polite"); // only this way of reading is spoken
    const inside = (value, size) => Math.min(size - 1, Math.max(0, Math.floor(value)));
    this.moveCrosshair({ x: inside(from.x + dx, width), y: inside(from.y + dy, height) });
  }

  /** Answers whether the zoom changed. */
  zoomAt(x, y, factor) {
    const before = this.view.zoom;
    this.view.zoomAt(this.resultCanvas, x, y, factor);
    this.draw();
    return this.view.zoom !== before;
  }

  zoomMiddle(factor) {
    const { width, height } = this.resultCanvas;
    this.zoomAt(width / 2, height / 2, factor);
  }

  pan(dx, dy) {
    this.view.panBy(this.resultCanvas, dx, dy);
    this.draw();
  }

  resetView() {
    this.view.reset();
    this.draw();
  }

  showReadout() {
    const found = this.point && inspect(this.picture, this.point, this.chosen);
    const { mode, chosen } = this;
    fillReadout(this.root, this.picture, found, { mode, chosen, colorOf: (id) => this.colorOf(id) });
  }

  destroy() {
    this.turn = NaN; // what is still being decoded comes too late
    this.stopping.abort();
    cancelAnimationFrame(this.request);
    this.picture?.photo.close();
  }
}

/** Streamlit calls this at the start, and again whenever the frame or the theme changes. */
export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".viewer");
  root.viewer ??= new Viewer(root);
  root.viewer.show(data);
  return () => {
    root.viewer?.destroy();
    delete root.viewer;
  };
}
