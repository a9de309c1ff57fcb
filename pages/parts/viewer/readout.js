// What is under the mouse: class, probability, the runner-up, and where in the person's photo it is.

/**
 * All that is known of a point in label pixels; percentages are null where the answer has none.
 * @returns {{id: number, percent: ?number, second: ?[number, number], chosen: ?number, x: number, y: number}}
 *   `second` is the next probable class with its percentage; x and y are pixels of the person's photo.
 */
function inspect(picture, { x, y }, chosen) {
  const { photo_size: photoSize, labels, confidence, planes, probabilities } = picture;
  const index = Math.floor(y) * labels.width + Math.floor(x);
  const id = labels.values[index];
  const percentOf = ({ width, values }) =>
    values[Math.floor(y / probabilities.step) * width + Math.floor(x / probabilities.step)];
  let second = null;
  for (const [other, plane] of planes) {
    const percent = percentOf(plane);
    // A thinned plane tells of a neighbour: what it calls more probable than the winner is not the runner-up here.
    if (other !== id && percent > (second?.[1] ?? 0) && percent <= confidence.values[index]) second = [other, percent];
  }
  return {
    id,
    percent: confidence ? confidence.values[index] : null,
    second,
    chosen: planes.has(chosen) ? percentOf(planes.get(chosen)) : null,
    x: Math.floor(((Math.floor(x) + 0.5) * photoSize[0]) / labels.width),
    y: Math.floor(((Math.floor(y) + 0.5) * photoSize[1]) / labels.height),
  };
}

/** The class whose map is shown, if one is; else the runner-up. */
function secondText({ names }, { id, second, chosen }, mapId) {
  if (mapId !== null) return mapId === id || chosen === null ? "" : `${names.get(mapId)} (${percentText(chosen)})`;
  return second ? `then ${names.get(second[0])} (${percentText(second[1])})` : "";
}

/** Writes what `inspect` found into the page; null = the mouse is elsewhere. */
function fillReadout(root, picture, found, { mode, chosen: chosenId, colorOf }) {
  const write = (selector, text) => {
    root.querySelector(`.readout ${selector}`).textContent = text;
  };
  root.toggleAttribute("data-pointing", Boolean(found));
  if (!found) {
    const touch = matchMedia("(hover: none)").matches;
    write(".name", touch ? "Tap a picture to read it" : "Point at a picture to read it");
    for (const selector of [".percent", ".second", ".place"]) write(selector, "");
    return;
  }
  const { id, percent, second, chosen, x, y } = found;
  write(".name", picture.names.get(id));
  write(".percent", percent === null ? "" : percentText(percent));
  write(".second", secondText(picture, found, mode === "probability" ? chosenId : null));
  write(".place", `x ${x}, y ${y}`);
  root.querySelector(".readout .swatch").style.setProperty("--color", colorOf(id));
  root.querySelector(".meter").style.setProperty("--filled", `${percent ?? 0}%`);
  const shown = mode === "probability" ? chosen : percent;
  root.querySelector(".scale").style.setProperty("--at", `${shown ?? 0}%`);
  Object.assign(root.querySelector(".readout").dataset, { id, percent, second: second?.join(" ") ?? "", chosen });
}
