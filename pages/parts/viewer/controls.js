// Buttons, fields and keyboard shortcuts of the viewer.

const ZOOM_STEP = 1.25;
const PAN_STEP = 48; // CSS pixels
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Listens to all user input, until `signal` ends it. */
function connectControls(viewer, signal) {
  const { root, find, settings } = viewer;
  const listen = (target, name, handler) => target.addEventListener(name, handler, { signal });
  const press = (selector, action) => listen(find(selector), "click", action);

  for (const button of root.querySelectorAll(".modes button")) {
    listen(button, "click", () => viewer.setMode(button.dataset.mode));
  }
  for (const button of root.querySelectorAll(".layouts button")) {
    listen(button, "click", () => viewer.set({ layout: button.dataset.layout }));
  }
  press("[data-zoom=in]", () => viewer.zoomMiddle(ZOOM_STEP));
  press("[data-zoom=out]", () => viewer.zoomMiddle(1 / ZOOM_STEP));
  press("[data-zoom=reset]", () => viewer.resetView());
  press(".outline", () => viewer.set({ outline: !settings.outline }));
  press(".all", () => viewer.showAll());
  press(".save", () => saveView(viewer));
  press(".keys", () => toggleHelp(viewer));
  press(".help .close", () => toggleHelp(viewer, false));
  press(".fullscreen", () => toggleFullscreen(root));
  find(".fullscreen").hidden = !document.fullscreenEnabled;

  listen(find(".opacity input"), "input", (event) => viewer.setOpacity(Number(event.target.value)));
  listen(find(".of-class select"), "change", (event) => viewer.choose(Number(event.target.value)));
  listen(find(".palette select"), "change", (event) => viewer.set({ palette: event.target.value }));
  connectDivider(viewer, listen);
  const gestures = connectPanes(viewer, signal);
  connectKeys(viewer, gestures, listen);
}

function connectPanes(viewer, signal) {
  const on = {
    zoom: (x, y, factor) => viewer.zoomAt(x, y, factor),
    pan: (dx, dy) => viewer.pan(dx, dy),
    point: (place) => viewer.pointAt(place),
    reset: () => viewer.resetView(),
  };
  const canvases = [viewer.imageCanvas, viewer.resultCanvas];
  const watcher = new ResizeObserver(() => viewer.resize());
  canvases.forEach((canvas) => watcher.observe(canvas));
  signal.addEventListener("abort", () => watcher.disconnect());
  return canvases.map((canvas) => new Gestures(canvas, on, signal));
}

/** The divider of the split view: dragged, or moved by the arrow keys. */
function connectDivider(viewer, listen) {
  const divider = viewer.find(".divider");
  listen(divider, "pointerdown", (event) => divider.setPointerCapture(event.pointerId));
  listen(divider, "pointermove", (event) => {
    if (!divider.hasPointerCapture(event.pointerId)) return;
    const box = viewer.find(".panes").getBoundingClientRect();
    viewer.setSplit((100 * (event.clientX - box.left)) / box.width);
  });
  listen(divider, "keydown", (event) => {
    const { split } = viewer.settings;
    const target = { ArrowLeft: split - 2, ArrowRight: split + 2, Home: 0, End: 100 }[event.key];
    if (target === undefined) return;
    viewer.setSplit(target);
    event.preventDefault();
    event.stopPropagation();
  });
}

/** Shortcuts work wherever the focus is in the viewer, except in fields that need the key, and leave Streamlit's alone. */
function connectKeys(viewer, gestures, listen) {
  const hold = (held) => gestures.forEach((gesture) => (gesture.panWithoutButton = held));
  listen(viewer.root, "keydown", (event) => {
    const { target } = event;
    const inField = target.matches("select") || (target.matches("input") && event.key in ARROWS);
    const pressesButton = target.matches("button") && (event.key === " " || event.key === "Enter");
    if (!viewer.frame || inField || pressesButton || event.ctrlKey || event.metaKey) return;
    if (event.key === " ") hold(true);
    else if (!pressKey(viewer, event)) return;
    event.preventDefault();
    event.stopPropagation();
  });
  listen(viewer.root, "keyup", (event) => event.key === " " && hold(false));
  listen(viewer.root, "focusout", () => hold(false));
}

/** Runs the action of a key; returns whether it has one. */
function pressKey(viewer, event) {
  const { settings } = viewer;
  if (event.key in ARROWS) return pressArrow(viewer, event);
  const digit = /^Digit([1-9])$/.exec(event.code); // by its position: with Alt, its character is another
  if (digit) return pressDigit(viewer, Number(digit[1]), event.altKey);
  const next = (list, value) => list[(list.indexOf(value) + 1) % list.length];
  const actions = {
    "+": () => viewer.zoomMiddle(ZOOM_STEP),
    "=": () => viewer.zoomMiddle(ZOOM_STEP),
    "-": () => viewer.zoomMiddle(1 / ZOOM_STEP),
    0: () => viewer.resetView(),
    "[": () => viewer.setOpacity(settings.opacity[viewer.mode] - 5),
    "]": () => viewer.setOpacity(settings.opacity[viewer.mode] + 5),
    m: () => viewer.setMode(next(MODES, viewer.mode)),
    l: () => viewer.set({ layout: next(LAYOUTS, settings.layout) }),
    o: () => viewer.set({ outline: !settings.outline }),
    a: () => viewer.showAll(),
    f: () => toggleFullscreen(viewer.root),
    s: () => saveView(viewer),
    "?": () => toggleHelp(viewer),
    Escape: () => toggleHelp(viewer, false),
  };
  actions[event.key]?.();
  return event.key in actions;
}

function pressArrow(viewer, event) {
  const [dx, dy] = ARROWS[event.key];
  const step = PAN_STEP * devicePixelRatio;
  if (event.shiftKey) viewer.stepCrosshair(dx, dy);
  else viewer.pan(-dx * step, -dy * step);
  return true;
}

function pressDigit(viewer, digit, alone) {
  const row = viewer.frame.classes[digit - 1];
  if (row && alone) viewer.isolate(row.id);
  else if (row) viewer.pressClass(row.id);
  return Boolean(row);
}

/** Opens or closes the help. The focus goes into it, and back to where it was. */
function toggleHelp(viewer, open = viewer.find(".help").hidden) {
  const help = viewer.find(".help");
  if (help.hidden === !open) return;
  const focused = viewer.root.getRootNode().activeElement;
  const hadFocus = help.contains(focused);
  if (open) viewer.beforeHelp = viewer.root.contains(focused) ? focused : viewer.find(".keys");
  help.hidden = !open;
  viewer.find(".keys").setAttribute("aria-expanded", String(open));
  if (open) viewer.find(".help .close").focus();
  else if (hadFocus) viewer.beforeHelp.focus();
}

function toggleFullscreen(root) {
  if (root.getRootNode().fullscreenElement === root) document.exitFullscreen();
  else root.requestFullscreen();
}

/** Downloads the panes as one PNG, as they are on the screen. */
function saveView({ imageCanvas, resultCanvas, settings }) {
  const boxes = [imageCanvas, resultCanvas].map((canvas) => canvas.getBoundingClientRect());
  const left = Math.min(...boxes.filter(({ width }) => width).map((box) => box.left));
  const top = Math.min(...boxes.filter(({ width }) => width).map((box) => box.top));
  const { devicePixelRatio: ratio } = window;
  const sheet = document.createElement("canvas");
  sheet.width = Math.max(...boxes.map((box) => Math.round((box.right - left) * ratio)));
  sheet.height = Math.max(...boxes.map((box) => Math.round((box.bottom - top) * ratio)));
  const context = sheet.getContext("2d");
  [imageCanvas, resultCanvas].forEach((canvas, index) => {
    const { width, height } = boxes[index];
    if (!width) return;
    const skip = settings.layout === "slider" && canvas === resultCanvas ? (canvas.width * settings.split) / 100 : 0;
    const [x, y] = [(boxes[index].left - left) * ratio, (boxes[index].top - top) * ratio];
    context.drawImage(canvas, skip, 0, canvas.width - skip, canvas.height, x + skip, y, width * ratio - skip, height * ratio);
  });
  sheet.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = "segmentation.png";
    link.click();
    URL.revokeObjectURL(link.href);
  });
}
