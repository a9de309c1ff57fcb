// Buttons, fields and keyboard shortcuts of the map.

const ZOOM_STEP = 1.5;
const PAN_STEP = 64; // CSS pixels
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const LAYOUTS = ["beside", "slider", "single"];
const MODES = ["classes", "confidence"];

/** Listens to all user input, until `signal` ends it. */
function connectControls(map, signal) {
  const { root, find } = map;
  const listen = (target, name, handler) => target.addEventListener(name, handler, { signal });
  const press = (selector, action) => listen(find(selector), "click", action);
  for (const button of root.querySelectorAll(".modes button")) listen(button, "click", () => map.setMode(button.dataset.mode));
  for (const button of root.querySelectorAll(".layouts button")) {
    listen(button, "click", () => map.set({ layout: button.dataset.layout }));
  }
  press("[data-zoom=in]", () => map.zoomMiddle(ZOOM_STEP));
  press("[data-zoom=out]", () => map.zoomMiddle(1 / ZOOM_STEP));
  press("[data-zoom=reset]", () => map.resetView());
  press("[data-zoom=full]", () => map.fullSize());
  press(".every", () => map.showAll());
  press(".again", () => map.retry());
  press(".keys", () => toggleHelp(map));
  press(".help .close", () => toggleHelp(map, false));
  press(".fullscreen", () => toggleFullscreen(root));
  find(".fullscreen").hidden = !document.fullscreenEnabled;
  listen(find(".opacity input"), "input", (event) => map.setOpacity(Number(event.target.value)));
  connectDivider(map, listen);
  connectLocator(map, listen);
  const on = {
    zoom: (x, y, factor) => map.zoomAt(x, y, factor),
    pan: (dx, dy) => map.pan(dx, dy),
    point: (place) => map.pointAt(place),
    reset: () => map.resetView(),
  };
  const canvases = [map.imageCanvas, map.resultCanvas];
  const watcher = new ResizeObserver(() => map.resize());
  canvases.forEach((canvas) => watcher.observe(canvas));
  signal.addEventListener("abort", () => watcher.disconnect());
  connectKeys(map, canvases.map((canvas) => new Gestures(canvas, on, signal)), listen);
}

/** The divider of the split view: dragged, or moved by the arrow keys. */
function connectDivider(map, listen) {
  const divider = map.find(".divider");
  listen(divider, "pointerdown", (event) => divider.setPointerCapture(event.pointerId));
  listen(divider, "pointermove", (event) => {
    if (!divider.hasPointerCapture(event.pointerId)) return;
    const box = map.find(".panes").getBoundingClientRect();
    map.setSplit((100 * (event.clientX - box.left)) / box.width);
  });
  listen(divider, "keydown", (event) => {
    const { split } = map.settings;
    const target = { ArrowLeft: split - 2, ArrowRight: split + 2, Home: 0, End: 100 }[event.key];
    if (target === undefined) return;
    map.setSplit(target);
    event.preventDefault();
    event.stopPropagation();
  });
}

/** A click into the locator map, or a drag on it, moves the view there. */
function connectLocator(map, listen) {
  const locator = map.find(".locator");
  const move = (event) => {
    const box = locator.getBoundingClientRect();
    map.centerOn((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  };
  listen(locator, "pointerdown", (event) => {
    locator.setPointerCapture(event.pointerId);
    move(event);
  });
  listen(locator, "pointermove", (event) => locator.hasPointerCapture(event.pointerId) && move(event));
}

/** Shortcuts work wherever the focus is in the map, except in fields that need the key. */
function connectKeys(map, gestures, listen) {
  const hold = (held) => gestures.forEach((gesture) => (gesture.panWithoutButton = held));
  listen(map.root, "keydown", (event) => {
    const { target } = event;
    const inField = target.matches("input") && event.key in ARROWS;
    const pressesButton = target.matches("button") && (event.key === " " || event.key === "Enter");
    if (!map.grid || inField || pressesButton || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " ") hold(true);
    else if (!pressKey(map, event)) return;
    event.preventDefault();
    event.stopPropagation();
  });
  listen(map.root, "keyup", (event) => event.key === " " && hold(false));
  listen(map.root, "focusout", () => hold(false));
}

/** Runs the action of a key; returns whether it has one. */
function pressKey(map, event) {
  const { settings } = map;
  if (event.key in ARROWS) {
    const [dx, dy] = ARROWS[event.key];
    const step = PAN_STEP * devicePixelRatio;
    if (event.shiftKey) map.stepCrosshair(dx, dy);
    else map.pan(-dx * step, -dy * step);
    return true;
  }
  const next = (list, value) => list[(list.indexOf(value) + 1) % list.length];
  const actions = {
    "+": () => map.zoomMiddle(ZOOM_STEP),
    "=": () => map.zoomMiddle(ZOOM_STEP),
    "-": () => map.zoomMiddle(1 / ZOOM_STEP),
    0: () => map.resetView(),
    1: () => map.fullSize(),
    "[": () => map.setOpacity(settings.opacity - 5),
    "]": () => map.setOpacity(settings.opacity + 5),
    m: () => map.setMode(next(MODES, settings.mode)),
    l: () => map.set({ layout: next(LAYOUTS, settings.layout) }),
    a: () => map.showAll(),
    f: () => toggleFullscreen(map.root),
    "?": () => toggleHelp(map),
    Escape: () => toggleHelp(map, false),
  };
  actions[event.key]?.();
  return event.key in actions;
}

/** Opens or closes the help. The focus goes into it, and back to where it was. */
function toggleHelp(map, open = map.find(".help").hidden) {
  const help = map.find(".help");
  if (help.hidden === !open) return;
  const focused = map.root.getRootNode().activeElement;
  const hadFocus = help.contains(focused);
  if (open) map.beforeHelp = map.root.contains(focused) ? focused : map.find(".keys");
  help.hidden = !open;
  map.find(".keys").setAttribute("aria-expanded", String(open));
  if (open) map.find(".help .close").focus();
  else if (hadFocus) map.beforeHelp.focus();
}

function toggleFullscreen(root) {
  if (root.getRootNode().fullscreenElement === root) document.exitFullscreen();
  else root.requestFullscreen();
}
