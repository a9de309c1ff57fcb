// The layers of the right pane. Each is painted once, at the size of its plane, when its colors change; drawing then
// only scales it.

const SMOOTH_BELOW = 2; // device pixels per pixel: above this, pixels keep sharp edges

/** Returns a canvas of this size, filled by `paint(pixels)`. */
function paintLayer(width, height, paint) {
  const canvas = new OffscreenCanvas(width, height);
  const image = new ImageData(width, height);
  paint(new Uint32Array(image.data.buffer));
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Returns class ids in their colors; ids whose color is 0 stay transparent. */
function maskLayer(labels, colors) {
  return paintLayer(labels.width, labels.height, (pixels) => {
    const { values } = labels;
    for (let i = 0; i < values.length; i++) pixels[i] = colors[values[i]];
  });
}

/** Returns whole percent in the scale's colors; transparent where `colors` hides the label, if labels are given. */
function mapLayer(plane, scale, labels, colors) {
  return paintLayer(plane.width, plane.height, (pixels) => {
    const { values } = plane;
    for (let i = 0; i < values.length; i++) pixels[i] = !labels || colors[labels.values[i]] ? scale[values[i]] : 0;
  });
}

/**
 * Returns the class borders: each pixel that has a neighbor of another class, in its class's color.
 * The colors are mixed with a part of white, to stand out from the fill.
 */
function outlineLayer(labels, colors, white) {
  const { width, height, values } = labels;
  const lines = colors.map((color) => color && mixWhite(color, white));
  return paintLayer(width, height, (pixels) => {
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        const id = values[i];
        const right = x + 1 < width ? values[i + 1] : id;
        const below = y + 1 < height ? values[i + width] : id;
        if (right === id && below === id) continue;
        pixels[i] = lines[id];
        if (right !== id) pixels[i + 1] = lines[right];
        if (below !== id) pixels[i + width] = lines[below];
      }
    }
  });
}

/** Draws an image over an extent given in label pixels. */
function drawOver(context, image, { scale, left, top }, width, height, alpha = 1) {
  const pixel = (scale * width) / image.width;
  context.imageSmoothingEnabled = pixel < SMOOTH_BELOW;
  context.imageSmoothingQuality = "high";
  context.globalAlpha = alpha;
  context.drawImage(image, left, top, width * scale, height * scale);
  context.globalAlpha = 1;
}

/** Draws two lines across the image with a gap around a label pixel, and a box around that pixel where it is large. */
function drawCrosshair(context, { scale, left, top }, point, { width, height }) {
  const ratio = devicePixelRatio;
  const snap = (value) => Math.floor(value) + (Math.round(ratio) % 2) / 2; // a line of one pixel stays one pixel
  const x = snap(left + (Math.floor(point.x) + 0.5) * scale);
  const y = snap(top + (Math.floor(point.y) + 0.5) * scale);
  const [right, bottom] = [left + width * scale, top + height * scale];
  const gap = Math.max(7 * ratio, scale * 0.75);
  const path = new Path2D(
    `M${left} ${y}H${x - gap}M${x + gap} ${y}H${right}M${x} ${top}V${y - gap}M${x} ${y + gap}V${bottom}`,
  );
  if (scale >= 6 * ratio) path.rect(x - scale / 2, y - scale / 2, scale, scale);
  for (const [style, line] of [["rgba(0, 0, 0, 0.5)", 3], ["rgba(255, 255, 255, 0.95)", 1]]) {
    context.strokeStyle = style;
    context.lineWidth = line * Math.round(ratio);
    context.stroke(path);
  }
}
