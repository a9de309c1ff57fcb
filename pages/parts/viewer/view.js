// Which part of the picture is seen: one value for both panes, so that they cannot fall out of step.

const CLOSEST = 48; // device pixels a label pixel may grow to

/** Lengths of panes are device pixels; lengths of the picture are label pixels. */
class View {
  constructor() {
    this.width = 1;
    this.height = 1;
    this.reset();
  }

  /** A picture of another size; shown whole. */
  setPicture(width, height) {
    [this.width, this.height] = [width, height];
    this.reset();
  }

  reset() {
    this.zoom = 1; // 1 = the whole picture just fits
    this.centerX = 0.5; // what lies in the middle of the pane, as a part of the picture
    this.centerY = 0.5;
  }

  /** Where the picture lies in the pane: device pixels a label pixel, and the place of its left top corner. */
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

  /** The point of the picture under a point of the pane; may lie outside the picture. */
  toPicture(pane, x, y) {
    const { scale, left, top } = this.placement(pane);
    return { x: (x - left) / scale, y: (y - top) / scale };
  }

  /** Zooms by a factor; the point of the picture under (x, y) stays there. */
  zoomAt(pane, x, y, factor) {
    const before = this.toPicture(pane, x, y);
    const closest = Math.max(8, CLOSEST / this.fit(pane));
    this.zoom = Math.min(closest, Math.max(1, this.zoom * factor));
    const after = this.toPicture(pane, x, y);
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

  /** No more empty room beside the picture than it needs. */
  keepInside(pane) {
    const { scale } = this.placement(pane);
    const clamp = (center, half) => (half >= 0.5 ? 0.5 : Math.min(1 - half, Math.max(half, center)));
    this.centerX = clamp(this.centerX, pane.width / (2 * this.width * scale));
    this.centerY = clamp(this.centerY, pane.height / (2 * this.height * scale));
  }
}
