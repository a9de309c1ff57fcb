// The viewer itself: holds the frame and the user's settings, and keeps the page, panes and readout in sync with them.
// All of it happens in the browser; Python does not run again.

const NO_PROBABILITIES = "Not available: this mask has labels only. On the Segment page, set Output to Probabilities.";

const MODE_TITLES = {
  classes: "Show the class of each pixel (m: next mode)",
  confidence: "Show the model's confidence (m: next mode)",
  probability: "Show the probability of one class (m: next mode)",
};

class Viewer {
  constructor(root) {
    this.root = root;
    this.view = new View();
    this.settings = readSettings();
    this.hidden = new Set(); // ids of the hidden classes
    this.chosen = null; // id of the class whose probability is shown
    this.point = null; // under the mouse, in label pixels
    this.turn = 0;
    this.requested = null; // id of the frame asked for last
    this.scale = percentScale();
    this.find = (selector) => root.querySelector(selector);
    this.imageCanvas = this.find(".image canvas");
    this.resultCanvas = this.find(".result canvas");
    this.legend = new Legend(this.find(".entries"), {
      press: (id) => this.pressClass(id),
      only: (id) => this.isolate(id),
    });
    root.style.setProperty("--gradient", gradientOf(this.scale));
    this.stopping = new AbortController();
    connectControls(this, this.stopping.signal);
    this.showSettings();
  }

  // ---- A new frame

  /**
   * Shows a frame. While one is decoded, another one replaces it. The same frame again, as in every rerun of the page,
   * changes nothing and interrupts nothing; after an error it is tried again.
   */
  async show(bytes) {
    let turn = this.turn;
    try {
      const { header, parts } = readFrame(bytes);
      if (header.id === this.requested) return;
      this.requested = header.id;
      turn = ++this.turn;
      this.waiting?.abort();
      this.waiting = new AbortController();
      if (header.id === this.frame?.id) {
        this.setState("ready"); // one that was to replace it is not wanted any more
      } else {
        this.setState("loading", "Rendering…");
        const frame = await this.decode(header, parts);
        if (turn !== this.turn) return frame.image.close();
        this.begin(frame);
        await new Promise(requestAnimationFrame); // what is shown goes first
        if (turn !== this.turn) return;
      }
      const ids = header.probabilities?.ids ?? [];
      const here = ids.every((id) => parts.has(`probability/${id}`));
      const planes = here ? parts : await planesOf(header.id, AbortSignal.any([this.waiting.signal, this.stopping.signal]));
      if (planes && turn === this.turn) await this.decodeProbabilities(ids, planes, turn);
    } catch (error) {
      if (turn !== this.turn) return;
      this.requested = null;
      this.setState("error", `Cannot draw the image: ${error.message}.`);
    }
  }

  async decode(header, parts) {
    const confidence = parts.get("confidence");
    const [image, labels, confidencePlane] = await Promise.all([
      decodeImage(parts.get("image")),
      decodePlane(parts.get("labels")),
      confidence && decodePlane(confidence),
    ]);
    const names = new Map(header.classes.map(({ id, name }) => [id, name]));
    return { ...header, names, image, labels, confidence: confidencePlane, planes: new Map() };
  }

  /** The probability planes follow once the image is shown: only then are they needed. */
  async decodeProbabilities(ids, parts, turn) {
    for (const id of ids.filter((id) => !this.frame.planes.has(id))) {
      const plane = await decodePlane(parts.get(`probability/${id}`));
      if (turn !== this.turn) return;
      this.frame.planes.set(id, plane);
      if (this.mode === "probability" && id === this.chosen) this.paint();
    }
    this.root.dataset.planes = ids.length;
    this.showReadout();
  }

  begin(frame) {
    const { width, height } = frame.labels;
    const before = this.frame;
    const another = frame.scene !== before?.scene || width !== before.labels.width || height !== before.labels.height;
    before?.image.close();
    this.frame = frame;
    if (another) {
      this.view.setImage(width, height);
      this.point = null;
    }
    this.hidden.clear();
    if (!frame.names.has(this.chosen)) this.chosen = frame.classes[0].id;
    this.root.style.setProperty("--aspect", Math.min(3, Math.max(0.6, width / height)));
    this.root.toggleAttribute("data-mask-only", !frame.confidence);
    this.legend.fill(frame.classes, width * height);
    this.fillSelects();
    this.setState("ready");
    this.showSettings();
    this.applyToFrame();
    this.root.dataset.frame = frame.id;
    delete this.root.dataset.planes;
  }

  fillSelects() {
    const options = (names) => names.map(([value, text]) => new Option(text, value));
    const { classes, palettes } = this.frame;
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

  // ---- Settings

  /** The mode shown: a mask without probabilities has classes only. */
  get mode() {
    return this.frame && !this.frame.confidence ? "classes" : this.settings.mode;
  }

  get palette() {
    const { palettes } = this.frame;
    return palettes.find(({ name }) => name === this.settings.palette) ?? palettes[0];
  }

  set(changes) {
    this.adjust(changes);
    if (this.frame) this.applyToFrame();
  }

  /** As `set`, for what needs no repainting: it is dragged, and must follow the pointer. */
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

  /** Applies the settings and the chosen classes to all that shows the frame, then paints it. */
  applyToFrame() {
    for (const button of this.root.querySelectorAll(".modes button")) {
      const available = button.dataset.mode === "classes" || Boolean(this.frame.confidence);
      button.setAttribute("aria-disabled", String(!available));
      button.title = available ? MODE_TITLES[button.dataset.mode] : NO_PROBABILITIES;
    }
    this.find(".of-class").hidden = this.mode !== "probability";
    this.find(".palette").hidden = this.mode !== "classes" || this.frame.palettes.length === 1;
    this.find(".of-class select").value = this.chosen;
    this.find(".palette select").value = this.palette.name;
    this.find(".scale").hidden = this.mode === "classes";
    const name = this.frame.names.get(this.chosen);
    const captions = { classes: this.frame.title, confidence: "Confidence", probability: `Probability of ${name}` };
    const caption = captions[this.mode];
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
    if (this.frame?.confidence) this.set({ mode });
  }

  // ---- Classes

  pressClass(id) {
    if (this.mode === "probability") return this.choose(id);
    if (!this.hidden.delete(id)) this.hidden.add(id);
    this.applyToFrame();
  }

  choose(id) {
    this.chosen = id;
    this.applyToFrame();
  }

  /** Shows only one class; where it is the only one shown, shows all again. */
  isolate(id) {
    if (this.mode === "probability") return this.choose(id);
    const others = this.frame.classes.map((row) => row.id).filter((other) => other !== id);
    const alone = !this.hidden.has(id) && others.every((other) => this.hidden.has(other));
    this.hidden = new Set(alone ? [] : others);
    this.applyToFrame();
  }

  showAll() {
    this.hidden.clear();
    this.applyToFrame();
  }

  colorOf(id) {
    return this.palette.colors[this.frame.classes.findIndex((row) => row.id === id)];
  }

  // ---- Painting and drawing

  /** Paints the layers again, after a change of mode, class or colors. */
  paint() {
    const { classes, labels, confidence, planes, probabilities } = this.frame;
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
      if (this.frame) this.drawNow();
    });
  }

  drawNow() {
    const placement = this.view.placement(this.resultCanvas);
    const { width, height } = this.frame.labels;
    for (const canvas of [this.imageCanvas, this.resultCanvas]) {
      const context = canvas.getContext("2d");
      context.clearRect(0, 0, canvas.width, canvas.height);
      drawOver(context, this.frame.image, placement, width, height);
      if (canvas === this.resultCanvas) this.drawLayers(context, placement);
      if (this.point) drawCrosshair(context, placement, this.point, this.frame.labels);
    }
    const { zoom, centerX, centerY } = this.view;
    this.root.toggleAttribute("data-zoomed", zoom > 1);
    this.root.dataset.view = [zoom, centerX, centerY].map((value) => value.toFixed(3)).join(" ");
    const level = this.find(".level");
    level.textContent = zoom === 1 ? "Fit" : `× ${zoom.toFixed(1)}`;
    level.setAttribute("aria-label", zoom === 1 ? "Fit to view" : `${level.textContent}: fit to view`);
  }

  drawLayers(context, placement) {
    const { width, height } = this.frame.labels;
    context.save();
    context.beginPath(); // a downsampled plane extends slightly past the edge
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

  /** Gives both canvases as many pixels as the screen has for them. */
  resize() {
    for (const canvas of [this.imageCanvas, this.resultCanvas]) {
      const box = canvas.getBoundingClientRect();
      const [width, height] = [box.width, box.height].map((side) => Math.max(1, Math.round(side * devicePixelRatio)));
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    }
    this.view.keepInside(this.resultCanvas);
    this.draw();
  }

  // ---- Moving around

  /** The cursor is over a point of a canvas, in device pixels; null when it left. */
  pointAt(place) {
    this.find(".readout").setAttribute("aria-live", "off");
    this.moveCrosshair(place && this.frame ? this.view.toImage(this.resultCanvas, place.x, place.y) : null);
  }

  /** Moves the crosshair to a point in label pixels; hides it where that is outside of the image. */
  moveCrosshair(point) {
    const { width, height } = this.frame?.labels ?? {};
    this.point = point && point.x >= 0 && point.y >= 0 && point.x < width && point.y < height ? point : null;
    this.showReadout();
    this.draw();
  }

  /** Moves the crosshair by label pixels, from the middle of the view where there was none. */
  stepCrosshair(dx, dy) {
    const { width, height } = this.frame.labels;
    const from = this.point ?? { x: this.view.centerX * width, y: this.view.centerY * height };
    this.find(".readout").setAttribute("aria-live", "polite"); // screen readers read it out only when the keyboard moves it
    const inside = (value, size) => Math.min(size - 1, Math.max(0, Math.floor(value)));
    this.moveCrosshair({ x: inside(from.x + dx, width), y: inside(from.y + dy, height) });
  }

  /** Returns whether the zoom changed. */
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
    const reading = this.point && inspect(this.frame, this.point, this.chosen);
    const { mode, chosen } = this;
    fillReadout(this.root, this.frame, reading, { mode, chosen, colorOf: (id) => this.colorOf(id) });
  }

  destroy() {
    this.turn = NaN; // drops what is still being decoded
    this.stopping.abort();
    cancelAnimationFrame(this.request);
    this.frame?.image.close();
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
