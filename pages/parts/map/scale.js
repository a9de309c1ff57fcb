// The scale bar, and coordinates as text.

const RULER = 120; // CSS pixels of the scale bar, at most

/** Returns the largest of 1, 2, 5, 10, 20, ... that is not larger. */
function roundLength(length) {
  const power = 10 ** Math.floor(Math.log10(length));
  return [5, 2, 1].map((digit) => digit * power).find((value) => value <= length) ?? power;
}

/** Returns the width of the scale bar in CSS pixels and its text. scale: CSS pixels per pixel of the image. */
function ruler(scale, metersPerPixel) {
  const unit = metersPerPixel ?? 1;
  let length = roundLength((RULER / scale) * unit);
  if (metersPerPixel === null) length = Math.max(1, length);
  const width = (length / unit) * scale;
  if (metersPerPixel === null) return { width, text: `${length.toLocaleString("en")} px` };
  const text = length >= 1000 ? `${(length / 1000).toLocaleString("en")} km`
    : length >= 1 ? `${length} m`
    : `${Number((length * 100).toPrecision(2))} cm`;
  return { width, text };
}

/** Returns coordinates of the reference system as text, as precise as the pixel is small. */
function placeText([x, y], transform) {
  const pixel = Math.min(Math.hypot(transform[0], transform[3]), Math.hypot(transform[1], transform[4]));
  const digits = Math.min(9, Math.max(0, Math.ceil(-Math.log10(pixel)) + 1));
  return `${x.toFixed(digits)}, ${y.toFixed(digits)}`;
}

/** Returns longitude and latitude as text, the latitude first. */
function degreesText([longitude, latitude]) {
  const side = (value, positive, negative) => `${Math.abs(value).toFixed(6)}° ${value < 0 ? negative : positive}`;
  return `${side(latitude, "N", "S")}, ${side(longitude, "E", "W")}`;
}
