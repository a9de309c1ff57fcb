// Which part of the image is visible: one value for both panes, so that they stay in sync.

const CLOSEST = 48; // largest size of a label pixel, in device pixels

/** Lengths of panes are device pixels; lengths of the image are label pixels. */
class View {
  constructor() {
    this.width = 1;
    this.height = 1;
    this.reset();
  }

  /** Takes an image of another size, and shows all of it. */
  setImage(width, height) {
    [this.width, this.height] = [width, height];
    this.reset();
  }

  reset() {
    this.zoom = 1; // 1: the whole image just fits
    this.centerX = 0.5; // what is in the middle of the pane, as a fraction of the image
    this.centerY = 0.5;
  }

  /** Returns where the image is in the pane: device pixels per label pixel, and its top left corner. */
  placement(pane) {
    const scale = this.fit(pane) * this.zoom;
    return {
      scale,
      left: pane.width / 2 - this.centerX * this.width * scale,
      top: pane.height / 2 - this.centerY * this.height * scale,
    };
  }

  fit(pane) {
    return Math.min(pane.width / this.width, pane.height / this.height) || 1;
  }

  /** Returns the point of the image under a point of the pane; it may be outside of the image. */
  toImage(pane, x, y) {
    const { scale, left, top } = this.placement(pane);
    return { x: (x - left) / scale, y: (y - top) / scale };
  }

  /** Zooms by a factor; the point of the image under (x, y) stays there. */
  zoomAt(pane, x, y, factor) {
    const before = this.toImage(pane, x, y);
    const closest = Math.max(8, CLOSEST / this.fit(pane));
    this.zoom = Math.min(closest, Math.max(1, this.zoom * factor));
    const after = this.toImage(pane, x, y);
    this.centerX += (before.x - after.x) / this.width;
    this.centerY += (before.y - after.y) / this.height;
    this.keepInside(pane);
  }

  panBy(pane, dx, dy) {
    const { scale } = this.placement(pane);
    this.centerX -= dx / (this.width * scale);
    this.centerY -= dy / (this.height * scale);
    this.keepInside(pane);
  }

  /** Leaves no empty space next to the image that it could fill. */
  keepInside(pane) {
    const { scale } = this.placement(pane);
    const clamp = (center, half) => (half >= 0.5 ? 0.5 : Math.min(1 - half, Math.max(half, center)));
    this.centerX = clamp(this.centerX, pane.width / (2 * this.width * scale));
    this.centerY = clamp(this.centerY, pane.height / (2 * this.height * scale));
  }
}
