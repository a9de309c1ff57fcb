// The readout of the pixel under the mouse: class, probability, the second class, and its position in the image.

/**
 * Returns the values at a point in label pixels; percentages are null where the frame has none.
 * @returns {{id: number, percent: ?number, second: ?[number, number], chosen: ?number, x: number, y: number}}
 *   `second` is the second most probable class with its percentage; x and y are pixels of the original image.
 */
function inspect(frame, { x, y }, chosen) {
  const { image_size: imageSize, labels, confidence, planes, probabilities } = frame;
  const index = Math.floor(y) * labels.width + Math.floor(x);
  const id = labels.values[index];
  const percentOf = ({ width, values }) =>
    values[Math.floor(y / probabilities.step) * width + Math.floor(x / probabilities.step)];
  let second = null;
  for (const [other, plane] of planes) {
    const percent = percentOf(plane);
    // A downsampled plane has a neighbor's value: a class more probable than this pixel's own is not its second class.
    if (other !== id && percent > (second?.[1] ?? 0) && percent <= confidence.values[index]) second = [other, percent];
  }
  return {
    id,
    percent: confidence ? confidence.values[index] : null,
    second,
    chosen: planes.has(chosen) ? percentOf(planes.get(chosen)) : null,
    x: Math.floor(((Math.floor(x) + 0.5) * imageSize[0]) / labels.width),
    y: Math.floor(((Math.floor(y) + 0.5) * imageSize[1]) / labels.height),
  };
}

/** Returns the class whose map is shown, if one is; else the second most probable class. */
function secondText({ names }, { id, second, chosen }, mapId) {
  if (mapId !== null) return mapId === id || chosen === null ? "" : `${names.get(mapId)}: ${percentText(chosen)}`;
  return second ? `2nd: ${names.get(second[0])} ${percentText(second[1])}` : "";
}

/** Writes the values that `inspect` returned into the page; null where the mouse is elsewhere. */
function fillReadout(root, frame, reading, { mode, chosen: chosenId, colorOf }) {
  const write = (selector, text) => {
    root.querySelector(`.readout ${selector}`).textContent = text;
  };
  root.toggleAttribute("data-pointing", Boolean(reading));
  if (!reading) {
    const touch = matchMedia("(hover: none)").matches;
    write(".name", touch ? "Tap to inspect pixels" : "Hover to inspect pixels");
    for (const selector of [".percent", ".second", ".place"]) write(selector, "");
    return;
  }
  const { id, percent, second, chosen, x, y } = reading;
  write(".name", frame.names.get(id));
  write(".percent", percent === null ? "" : `confidence ${percentText(percent)}`);
  write(".second", secondText(frame, reading, mode === "probability" ? chosenId : null));
  write(".place", `x ${x}, y ${y}`);
  root.querySelector(".readout .swatch").style.setProperty("--color", colorOf(id));
  root.querySelector(".meter").style.setProperty("--filled", `${percent ?? 0}%`);
  const shown = mode === "probability" ? chosen : percent;
  root.querySelector(".scale").style.setProperty("--at", `${shown ?? 0}%`);
  Object.assign(root.querySelector(".readout").dataset, { id, percent, second: second?.join(" ") ?? "", chosen });
}
