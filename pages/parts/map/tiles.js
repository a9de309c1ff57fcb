// The tiles of a map: which ones a view needs, requests for them, and a bounded cache.

const AT_ONCE = 6; // requests
const MOST_TILES = 600; // a tile takes up to 320 kB

/** The tiles of an image's own grid: zoom 0 is all of it in one tile, at the last zoom pixels are those of the image. */
class TileGrid {
  constructor({ width, height, tile, last_zoom: lastZoom }) {
    Object.assign(this, { width, height, tile, lastZoom });
  }

  /** Returns the place of a tile in pixels of the image. */
  box(zoom, x, y) {
    const side = this.tile * 2 ** (this.lastZoom - zoom);
    const [left, top] = [x * side, y * side];
    return { left, top, width: Math.min(side, this.width - left), height: Math.min(side, this.height - top) };
  }

  /** Returns the zoom whose pixels are nearest to those of the screen. scale: device pixels per pixel of the image. */
  zoomFor(scale) {
    return Math.min(this.lastZoom, Math.max(0, this.lastZoom + Math.round(Math.log2(scale))));
  }

  /** Returns the tiles of a zoom that cover a box of the image, those in its middle first. */
  covering(zoom, { left, top, right, bottom }) {
    const side = this.tile * 2 ** (this.lastZoom - zoom);
    const first = (value) => Math.max(0, Math.floor(value / side));
    const last = (value, size) => Math.floor((Math.min(value, size) - 1e-6) / side);
    const tiles = [];
    for (let y = first(top); y <= last(bottom, this.height); y++) {
      for (let x = first(left); x <= last(right, this.width); x++) tiles.push({ zoom, x, y });
    }
    const middle = [(left + right) / 2 / side - 0.5, (top + bottom) / 2 / side - 0.5];
    const distance = ({ x, y }) => Math.hypot(x - middle[0], y - middle[1]);
    return tiles.sort((a, b) => distance(a) - distance(b));
  }
}

const keyOf = (layer, { zoom, x, y }) => `${layer}/${zoom}/${x}/${y}`;

/** A request that failed. `expired`: its link does not hold any more. */
class TileError extends Error {
  constructor(message, expired = false) {
    super(message);
    this.expired = expired;
  }
}

/** Fetches a path under the map's address; the signal ends it. */
async function fetchMap(url, signal) {
  let response;
  try {
    response = await fetch(url, { signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new TileError("The server does not answer.");
  }
  if (response.ok) return response;
  if (response.status === 404) throw new TileError("The link to the map has expired. Reload the page.", true);
  let text = `The server answered ${response.status}.`;
  if (response.status === 422) text = (await response.json()).error;
  throw new TileError(text);
}

/**
 * Requests tiles, at most AT_ONCE at a time, and keeps the last ones. `on.loaded()`, `on.failed(error)`, and
 * `on.labels(values)` for each tile of the mask.
 * A tile: {image} of the scene, or {values, width, height} of a plane.
 */
class Tiles {
  constructor(on) {
    this.on = on;
    this.address = "";
    this.kept = new Map(); // key -> tile, the ones used last at the end
    this.failed = new Map(); // key -> error
    this.running = new Map(); // key -> AbortController
    this.queue = [];
    this.needed = new Set();
    this.open = false; // while the server opens the map, and while the link is renewed, nothing is requested
  }

  /** Takes the address of a map, with its link. Requests begin with `retry`, when the server has opened the map. */
  setAddress(address) {
    this.address = address;
    this.open = false;
  }

  /** Returns a tile that is there, and marks it as used. */
  get(layer, tile) {
    const key = keyOf(layer, tile);
    const value = this.kept.get(key);
    if (value) {
      this.kept.delete(key);
      this.kept.set(key, value);
    }
    return value;
  }

  hasFailed(layer, tile) {
    return this.failed.has(keyOf(layer, tile));
  }

  /** Asks for these tiles, [layer, tile], in this order. All other requests end. */
  request(wanted) {
    this.needed = new Set(wanted.map(([layer, tile]) => keyOf(layer, tile)));
    for (const [key, control] of this.running) {
      if (!this.needed.has(key)) control.abort();
    }
    this.queue = wanted.filter(([layer, tile]) => {
      const key = keyOf(layer, tile);
      return !this.kept.has(key) && !this.failed.has(key) && !this.running.has(key);
    });
    this.pump();
  }

  /** Whether all that was asked for is there, or has failed. */
  get settled() {
    return this.running.size === 0 && this.queue.length === 0;
  }

  pump() {
    while (this.open && this.running.size < AT_ONCE && this.queue.length) this.load(...this.queue.shift());
  }

  async load(layer, tile) {
    const key = keyOf(layer, tile);
    const control = new AbortController();
    const { address } = this;
    this.running.set(key, control);
    try {
      const response = await fetchMap(`${address}/${key}.png`, control.signal);
      const value = layer === "scene"
        ? { image: await createImageBitmap(await response.blob()) }
        : await decodePlane(new Uint8Array(await response.arrayBuffer()));
      if (control.signal.aborted) value.image?.close();
      else {
        this.keep(key, value);
        if (layer === "mask") this.on.labels(value.values);
      }
    } catch (error) {
      if (!control.signal.aborted && address === this.address) {
        if (error.expired) this.open = false;
        else this.failed.set(key, error);
        this.on.failed(error);
      }
    } finally {
      this.running.delete(key);
      this.pump();
      this.on.loaded();
    }
  }

  keep(key, value) {
    this.kept.set(key, value);
    if (this.kept.size <= MOST_TILES) return;
    for (const [old, tile] of this.kept) {
      if (this.kept.size <= MOST_TILES) break;
      if (this.needed.has(old) || old.includes("/0/0/0")) continue; // zoom 0 stands in for what is missing
      tile.image?.close();
      this.kept.delete(old);
    }
  }

  /** Begins to request tiles, those that failed included. */
  retry() {
    this.open = true;
    this.failed.clear();
  }

  /** Drops all tiles: those of another map. */
  forget() {
    this.queue = [];
    for (const control of this.running.values()) control.abort();
    for (const tile of this.kept.values()) tile.image?.close();
    this.kept.clear();
    this.failed.clear();
  }

  destroy() {
    this.forget();
  }
}
