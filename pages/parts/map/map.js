// The map itself: holds the view and the user's settings, and draws the tiles that are there.
// Python runs again only to renew a link that has expired.

const POLL = 400; // milliseconds between two questions whether the map is ready
const RENEWAL = 5000; // milliseconds for another link before the expired one is reported
const LOCATOR = 132; // CSS pixels of the longer side of the locator map
const NO_DATA = 255;

class TiledMap {
  constructor(root) {
    this.root = root;
    this.find = (selector) => root.querySelector(selector);
    this.view = new View();
    this.settings = { mode: "classes", layout: "beside", opacity: 55, split: 50 };
    this.hidden = new Set(); // ids of the hidden classes
    this.point = null; // under the mouse, in pixels of the image
    this.scale = percentScale();
    this.round = 0; // of the colors: a tile that was painted in another round is painted again
    this.imageCanvas = this.find(".image canvas");
    this.resultCanvas = this.find(".result canvas");
    this.locator = this.find(".locator");
    this.tiles = new Tiles({
      loaded: () => this.draw(),
      failed: (error) => this.tileFailed(error),
      labels: (values) => this.addClasses(values),
    });
    this.legend = new Legend(this.find(".entries"), {
      press: (id) => this.pressClass(id),
      only: (id) => this.isolate(id),
    });
    this.stopping = new AbortController();
    root.style.setProperty("--gradient", gradientOf(this.scale));
    connectControls(this, this.stopping.signal);
    this.showSettings();
    this.showReadout();
  }

  // ---- Opening

  /** Shows the map at an address. Another address of the same map, with a newer link, keeps the view. */
  async show({ address }, trigger) {
    this.trigger = trigger;
    if (address === this.tiles.address && !this.renewing) return; // within the hour, a renewed link is the same
    this.tiles.setAddress(address);
    await this.open();
  }

  /** Waits until the server has opened the map, and shows it. */
  async open() {
    const { address } = this.tiles;
    this.renewing = false;
    this.find(".failure").hidden = true;
    try {
      const info = await this.opened(address);
      if (info) this.begin(info);
    } catch (error) {
      if (this.stopping.signal.aborted || address !== this.tiles.address) return;
      this.setState("error", "The map cannot be shown.");
      if (error.expired) this.renew(error);
      else this.report(error.message);
    }
  }

  /** Returns what the server knows about the map once it is ready; null if another address is shown by then. */
  async opened(address) {
    for (;;) {
      const response = await fetchMap(`${address}/info.json`, this.stopping.signal);
      const info = await response.json();
      if (address !== this.tiles.address) return null;
      if (info.state === "ready") return info;
      if (info.state === "failed") throw new Error(info.error);
      this.setState("loading", `${info.step}: ${Math.floor(100 * info.progress)}%`);
      await new Promise((resolve) => setTimeout(resolve, POLL));
    }
  }

  begin(info) {
    const another = JSON.stringify(info) !== this.text;
    if (another) {
      this.text = JSON.stringify(info);
      this.info = info;
      this.grid = new TileGrid(info);
      this.view.setImage(info.width, info.height);
      this.tiles.forget();
      this.find(".failure").hidden = true;
      this.hidden.clear();
      this.fillLegend();
      this.root.toggleAttribute("data-mask-only", !info.confidence);
      const button = this.find("[data-mode=confidence]");
      button.setAttribute("aria-disabled", String(!info.confidence));
      if (!info.confidence) button.title = "Not available: this map was made from labels only.";
    }
    this.tiles.retry();
    this.setState("ready");
    this.showSettings();
    this.repaint();
    this.resize();
    if (this.point) this.readValue();
  }

  fillLegend() {
    const { classes } = this.info;
    this.known = new Set(classes.map(({ id }) => id));
    this.legend.fill(classes.map((row) => ({ ...row, pixels: 0 })), 1);
    for (const share of this.root.querySelectorAll(".entry .share")) share.remove(); // the map is not counted
    for (const { id, name } of classes) this.legend.entries.get(id).toggle.title = name;
  }

  /** Adds the classes of a tile that have no name to the legend: none is invisible because it was not announced. */
  addClasses(values) {
    const ids = [...new Set(values)].filter((id) => id !== NO_DATA && !this.known.has(id));
    if (!ids.length) return;
    this.info.classes.push(...ids.map((id) => ({ id, name: `class ${id}`, color: this.info.colors[id] })));
    this.info.classes.sort((a, b) => a.id - b.id);
    this.fillLegend();
    this.repaint();
  }

  setState(state, text = "") {
    this.root.dataset.state = state;
    const notice = this.find(".notice");
    notice.setAttribute("role", state === "error" ? "alert" : "status");
    if (text) notice.textContent = text;
  }

  /** The link has expired: the page makes another one. If it does not, that is reported. */
  renew(error) {
    if (this.renewing) return;
    this.renewing = true;
    this.trigger("renew", Date.now());
    setTimeout(() => this.renewing && !this.stopping.signal.aborted && this.report(error.message), RENEWAL);
  }

  /** Shows what failed, with a button to try again. */
  report(text) {
    const box = this.find(".failure");
    box.querySelector("span").textContent = text;
    box.hidden = false;
  }

  tileFailed(error) {
    if (error.expired) this.renew(error);
    else this.report(`Part of the map cannot be shown. ${error.message}`);
  }

  retry() {
    if (this.root.dataset.state === "error") {
      this.setState("loading", "Opening the map…");
      return this.open();
    }
    this.find(".failure").hidden = true;
    this.renewing = false;
    this.tiles.retry();
    this.draw();
  }

  // ---- Settings

  get mode() {
    return this.info?.confidence ? this.settings.mode : "classes";
  }

  set(changes) {
    Object.assign(this.settings, changes);
    this.showSettings();
    this.draw();
  }

  setMode(mode) {
    if (!this.info?.confidence) return;
    this.set({ mode });
    this.repaint();
  }

  setOpacity(percent) {
    this.set({ opacity: Math.min(100, Math.max(0, percent)) });
  }

  setSplit(percent) {
    this.set({ split: Math.min(100, Math.max(0, percent)) });
  }

  showSettings() {
    const { layout, opacity, split } = this.settings;
    Object.assign(this.root.dataset, { layout, mode: this.mode });
    for (const [selector, value] of [["[data-layout]", layout], ["[data-mode]", this.mode]]) {
      for (const button of this.root.querySelectorAll(`.segments ${selector}`)) {
        button.setAttribute("aria-pressed", String(Object.values(button.dataset).includes(value)));
      }
    }
    this.find(".opacity input").value = opacity;
    this.find(".opacity output").textContent = `${opacity}%`;
    this.find(".divider").setAttribute("aria-valuenow", Math.round(split));
    this.root.style.setProperty("--split", `${split}%`);
    const caption = this.mode === "classes" ? "Segmentation" : "Confidence";
    this.find(".result figcaption").textContent = caption;
    this.resultCanvas.setAttribute("aria-label", caption);
    this.find(".scale").hidden = this.mode === "classes";
  }

  // ---- Classes

  pressClass(id) {
    if (!this.hidden.delete(id)) this.hidden.add(id);
    this.repaint();
  }

  /** Shows only one class; where it is the only one shown, shows all again. */
  isolate(id) {
    const others = this.info.classes.map((row) => row.id).filter((other) => other !== id);
    const alone = !this.hidden.has(id) && others.every((other) => this.hidden.has(other));
    this.hidden = new Set(alone ? [] : others);
    this.repaint();
  }

  showAll() {
    this.hidden.clear();
    this.repaint();
  }

  /** Gives all tiles new colors, when they are drawn next. */
  repaint() {
    if (!this.info) return;
    this.round++;
    this.colors = new Uint32Array(256);
    for (const { id, color } of this.info.classes) if (!this.hidden.has(id)) this.colors[id] = pixelOf(color);
    const colors = new Map(this.info.classes.map(({ id, color }) => [id, color]));
    this.legend.update((id) => colors.get(id), (id) => !this.hidden.has(id));
    this.find(".every").disabled = this.hidden.size === 0;
    this.draw();
  }

  // ---- Drawing

  draw() {
    this.request ??= requestAnimationFrame(() => {
      this.request = null;
      if (this.grid) this.drawNow();
    });
  }

  drawNow() {
    const placement = this.view.placement(this.resultCanvas);
    const visible = this.visibleTiles(placement);
    const layers = this.mode === "classes" ? ["scene", "mask"] : ["scene", "mask", "confidence"];
    const first = { zoom: 0, x: 0, y: 0 };
    this.tiles.request([first, ...visible].flatMap((tile) => layers.map((layer) => [layer, tile])));
    for (const canvas of [this.imageCanvas, this.resultCanvas]) {
      const context = canvas.getContext("2d");
      context.clearRect(0, 0, canvas.width, canvas.height);
      for (const tile of visible) this.drawTile(context, placement, tile, canvas === this.resultCanvas);
      if (this.point) drawCrosshair(context, placement, this.point, this.grid);
    }
    this.drawLocator(placement);
    this.showView(placement);
  }

  visibleTiles(placement) {
    const { width, height } = this.resultCanvas;
    const { scale, left, top } = placement;
    const box = {
      left: Math.max(0, -left / scale),
      top: Math.max(0, -top / scale),
      right: Math.min(this.grid.width, (width - left) / scale),
      bottom: Math.min(this.grid.height, (height - top) / scale),
    };
    return this.grid.covering(this.grid.zoomFor(scale), box);
  }

  drawTile(context, placement, tile, withOverlay) {
    const target = this.targetOf(placement, tile);
    if (!this.drawLayer(context, "scene", tile, target, (value) => value.image)) this.drawMissing(context, "scene", tile, target);
    if (!withOverlay) return;
    context.globalAlpha = this.settings.opacity / 100;
    if (!this.drawLayer(context, this.mode === "classes" ? "mask" : "confidence", tile, target, (value, used) => this.painted(value, used))) {
      for (const layer of ["mask", "confidence"]) this.drawMissing(context, layer, tile, target);
    }
    context.globalAlpha = 1;
  }

  /** Returns where a tile is drawn: whole device pixels, so that no gap is between tiles. */
  targetOf({ scale, left, top }, tile) {
    const box = this.grid.box(tile.zoom, tile.x, tile.y);
    const [x, y] = [Math.round(left + box.left * scale), Math.round(top + box.top * scale)];
    const right = Math.round(left + (box.left + box.width) * scale);
    const bottom = Math.round(top + (box.top + box.height) * scale);
    return { box, x, y, width: Math.max(1, right - x), height: Math.max(1, bottom - y) };
  }

  /** Draws a layer's tile, or until it is there its part of a coarser one; returns whether there was one. */
  drawLayer(context, layer, tile, target, imageOf) {
    for (let up = 0; up <= tile.zoom; up++) {
      const used = { zoom: tile.zoom - up, x: tile.x >> up, y: tile.y >> up };
      const value = this.tiles.get(layer, used);
      const image = value && imageOf(value, used);
      if (!image) continue;
      if (this.tiles.hasFailed(layer, tile)) return false; // a coarser tile would hide the failure
      const outer = this.grid.box(used.zoom, used.x, used.y);
      const { box } = target;
      const [fx, fy] = [image.width / outer.width, image.height / outer.height];
      context.imageSmoothingEnabled = target.width / (box.width * fx) < SMOOTH_BELOW;
      context.imageSmoothingQuality = "high";
      context.drawImage(
        image,
        (box.left - outer.left) * fx, (box.top - outer.top) * fy, box.width * fx, box.height * fy,
        target.x, target.y, target.width, target.height,
      );
      return true;
    }
    return false;
  }

  /** Hatches a tile that cannot be read. */
  drawMissing(context, layer, tile, { x, y, width, height }) {
    if (!this.tiles.hasFailed(layer, tile)) return;
    context.save();
    context.globalAlpha = 1;
    context.beginPath();
    context.rect(x, y, width, height);
    context.clip();
    context.strokeStyle = "rgba(220, 60, 60, 0.85)";
    context.lineWidth = Math.max(1, devicePixelRatio);
    context.beginPath();
    for (let at = -height; at < width; at += 12 * devicePixelRatio) {
      context.moveTo(x + at, y + height);
      context.lineTo(x + at + height, y);
    }
    context.stroke();
    context.restore();
  }

  /** Returns a plane's tile in colors, which are painted once for each round. */
  painted(plane, tile) {
    const labels = this.mode === "classes" ? plane : this.tiles.get("mask", tile);
    if (!labels) return null;
    if (plane.round !== this.round) {
      plane.round = this.round;
      const { colors, scale } = this;
      plane.layer = paintLayer(plane.width, plane.height, (pixels) => {
        for (let i = 0; i < pixels.length; i++) {
          const color = colors[labels.values[i]];
          const value = plane.values[i];
          pixels[i] = this.mode === "classes" ? color : color && value !== NO_DATA ? scale[Math.min(100, value)] : 0;
        }
      });
    }
    return plane.layer;
  }

  /** Draws all of the map small, with a frame around what the panes show. */
  drawLocator({ scale, left, top }) {
    const { locator, grid } = this;
    const ratio = devicePixelRatio;
    const small = this.resultCanvas.width / ratio < 480;
    const side = (small ? LOCATOR / 2 : LOCATOR) / Math.max(grid.width, grid.height);
    const [width, height] = [grid.width, grid.height].map((size) => Math.max(8, Math.round(size * side * ratio)));
    if (locator.width !== width || locator.height !== height) {
      Object.assign(locator, { width, height });
      Object.assign(locator.style, { width: `${width / ratio}px`, height: `${height / ratio}px` });
    }
    const context = locator.getContext("2d");
    context.clearRect(0, 0, width, height);
    const scene = this.tiles.get("scene", { zoom: 0, x: 0, y: 0 });
    if (scene) context.drawImage(scene.image, 0, 0, width, height);
    const [fx, fy] = [width / grid.width, height / grid.height];
    const pane = this.resultCanvas;
    const box = [
      Math.max(0, -left / scale) * fx, Math.max(0, -top / scale) * fy,
      Math.min(grid.width, pane.width / scale) * fx, Math.min(grid.height, pane.height / scale) * fy,
    ];
    box[2] = Math.max(3 * ratio, box[2]);
    box[3] = Math.max(3 * ratio, box[3]);
    for (const [style, line] of [["rgba(0, 0, 0, 0.7)", 4], ["#fff", 2]]) {
      context.strokeStyle = style;
      context.lineWidth = line * ratio;
      context.strokeRect(...box);
    }
  }

  showView({ scale }) {
    const { zoom, centerX, centerY } = this.view;
    this.root.toggleAttribute("data-zoomed", zoom > 1.0001);
    this.root.dataset.view = [zoom, centerX, centerY].map((value) => value.toFixed(4)).join(" ");
    this.root.dataset.scale = scale.toFixed(5);
    this.root.dataset.tiles = this.tiles.settled ? "settled" : "loading";
    const level = this.find(".level");
    level.textContent = zoom <= 1.0001 ? "Fit" : `${Number((100 * scale).toPrecision(2))}%`;
    level.setAttribute("aria-label", zoom <= 1.0001 ? "Fit to view" : `${level.textContent}: fit to view`);
    const { width, text } = ruler(scale / devicePixelRatio, this.info.meters_per_pixel);
    this.find(".ruler i").style.width = `${width}px`;
    this.find(".ruler span").textContent = text;
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

  pointAt(place) {
    this.find(".readout").setAttribute("aria-live", "off");
    this.moveCrosshair(place && this.grid ? this.view.toImage(this.resultCanvas, place.x, place.y) : null);
  }

  /** Moves the crosshair to a point in pixels of the image; hides it where that is outside. */
  moveCrosshair(point) {
    const { width, height } = this.grid ?? {};
    const inside = point && point.x >= 0 && point.y >= 0 && point.x < width && point.y < height;
    this.point = inside ? { x: Math.floor(point.x), y: Math.floor(point.y) } : null;
    this.readValue();
    this.draw();
  }

  /** Moves the crosshair by a pixel of the image or of the screen, whichever is larger; from the middle at first. */
  stepCrosshair(dx, dy) {
    const { width, height } = this.grid;
    const step = Math.max(1, Math.round(devicePixelRatio / this.view.placement(this.resultCanvas).scale));
    const from = this.point ?? { x: this.view.centerX * width, y: this.view.centerY * height };
    this.find(".readout").setAttribute("aria-live", "polite");
    const inside = (value, size) => Math.min(size - 1, Math.max(0, Math.floor(value)));
    this.moveCrosshair({ x: inside(from.x + dx * step, width), y: inside(from.y + dy * step, height) });
  }

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

  /** Shows a pixel of the image as one of the screen; an image that is smaller than the view fits it. */
  fullSize() {
    this.zoomMiddle(1 / this.view.placement(this.resultCanvas).scale);
  }

  centerOn(x, y) {
    Object.assign(this.view, { centerX: x, centerY: y });
    this.view.keepInside(this.resultCanvas);
    this.draw();
  }

  pan(dx, dy) {
    this.view.panBy(this.resultCanvas, dx, dy);
    this.draw();
  }

  resetView() {
    this.view.reset();
    this.draw();
  }

  // ---- The pixel under the mouse

  /** Asks the server for the pixel under the crosshair: one question at a time, the last one counts. */
  async readValue() {
    this.value = null;
    this.showReadout();
    if (this.reading || !this.point || !this.tiles.open) return;
    this.reading = true;
    const { x, y } = this.point;
    try {
      const response = await fetchMap(`${this.tiles.address}/value/${x}/${y}.json`, this.stopping.signal);
      const value = await response.json();
      if (this.point?.x === x && this.point?.y === y) this.value = value;
    } catch (error) {
      if (this.stopping.signal.aborted) return;
      this.value = { error: error.message };
      if (error.expired) this.renew(error);
    } finally {
      this.reading = false;
    }
    this.showReadout();
    if (this.point && (this.point.x !== x || this.point.y !== y)) this.readValue();
  }

  showReadout() {
    const write = (selector, text) => {
      this.find(`.readout ${selector}`).textContent = text;
    };
    const { point, value } = this;
    this.root.toggleAttribute("data-pointing", Boolean(point));
    if (!point) {
      write(".name", matchMedia("(hover: none)").matches ? "Tap to inspect pixels" : "Hover to inspect pixels");
      for (const selector of [".percent", ".place"]) write(selector, "");
      return;
    }
    const { transform, crs } = this.info;
    write(".name", value?.error ?? value?.name ?? "…");
    const percent = value?.percent ?? null;
    write(".percent", percent === null ? "" : `confidence ${percentText(percent)}`);
    this.find(".meter").style.setProperty("--filled", `${percent ?? 0}%`);
    this.find(".scale").style.setProperty("--at", `${percent ?? 0}%`);
    const row = this.info.classes.find(({ id }) => id === value?.id);
    this.find(".readout .swatch").style.setProperty("--color", row?.color ?? "transparent");
    const texts = [`x ${point.x}, y ${point.y}`];
    if (value?.place) texts.push(`${crs ? `${crs} ` : ""}${placeText(value.place, transform)}`);
    if (value?.degrees) texts.push(degreesText(value.degrees));
    write(".place", texts.join(" · "));
  }

  destroy() {
    this.stopping.abort();
    cancelAnimationFrame(this.request);
    this.tiles.destroy();
  }
}

/** Streamlit calls this at the start, and again whenever the data or the theme changes. */
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".viewer");
  root.map ??= new TiledMap(root);
  root.map.show(data, setTriggerValue);
  return () => {
    root.map?.destroy();
    delete root.map;
  };
}
