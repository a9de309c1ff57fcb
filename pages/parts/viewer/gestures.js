// Mouse, pen and touch gestures on one canvas.

const TAP_SLACK = 4; // CSS pixels that a finger may move and still tap

/**
 * Calls `on` for each gesture on a canvas, in device pixels of that canvas:
 * `on.zoom(x, y, factor)` returns whether it zoomed, `on.pan(dx, dy)`, `on.point({x, y} | null)`, `on.reset()`.
 */
class Gestures {
  constructor(canvas, on, signal) {
    Object.assign(this, { canvas, on });
    this.pointers = new Map();
    this.panWithoutButton = false;
    const listen = (name, handler) => canvas.addEventListener(name, handler.bind(this), { signal, passive: false });
    listen("wheel", this.wheel);
    listen("pointerdown", this.down);
    listen("pointermove", this.move);
    listen("pointerup", this.up);
    listen("pointercancel", this.up);
    listen("pointerleave", this.leave);
    listen("dblclick", () => this.on.reset());
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const ratio = this.canvas.width / box.width;
    return { x: (event.clientX - box.left) * ratio, y: (event.clientY - box.top) * ratio };
  }

  /** The wheel zooms. Where it cannot zoom out further, the page scrolls. */
  wheel(event) {
    const { x, y } = this.place(event);
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 33 : 1;
    const speed = event.ctrlKey ? 0.01 : 0.0015; // a pinch on a touchpad comes as a slow wheel with Ctrl
    const zoomed = this.on.zoom(x, y, Math.exp(-event.deltaY * lines * speed));
    if (zoomed || event.ctrlKey) event.preventDefault();
    this.on.point({ x, y });
  }

  down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.place(event));
    this.start = { x: event.clientX, y: event.clientY };
  }

  move(event) {
    const now = this.place(event);
    const before = this.pointers.get(event.pointerId);
    if (before && this.pointers.size === 2) this.pinch(event.pointerId, before, now);
    else if (before) this.on.pan(now.x - before.x, now.y - before.y);
    else if (this.panWithoutButton && this.last) this.on.pan(now.x - this.last.x, now.y - this.last.y);
    if (before) this.pointers.set(event.pointerId, now);
    this.last = now;
    if (event.pointerType === "mouse") this.on.point(now);
  }

  /** Two fingers: their distance zooms, their midpoint pans. */
  pinch(movedId, before, now) {
    const [, other] = [...this.pointers].find(([id]) => id !== movedId);
    const middle = (a) => ({ x: (a.x + other.x) / 2, y: (a.y + other.y) / 2 });
    const distance = (a) => Math.hypot(a.x - other.x, a.y - other.y) || 1;
    const [from, to] = [middle(before), middle(now)];
    this.on.pan(to.x - from.x, to.y - from.y);
    this.on.zoom(to.x, to.y, distance(now) / distance(before));
  }

  up(event) {
    this.pointers.delete(event.pointerId);
    const moved = Math.hypot(event.clientX - this.start.x, event.clientY - this.start.y);
    if (event.type === "pointerup" && moved < TAP_SLACK) this.on.point(this.place(event));
  }

  leave(event) {
    this.last = null;
    if (event.pointerType === "mouse") this.on.point(null);
  }
}
