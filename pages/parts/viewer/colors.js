// Colors as a canvas stores them: a 32-bit number per pixel, red in the lowest byte (all browsers run on little-endian
// machines).

const OPAQUE = 0xff000000;

/** "#rrggbb" -> opaque 32-bit pixel. */
function pixelOf(hex) {
  const rgb = parseInt(hex.slice(1), 16);
  return (OPAQUE | ((rgb & 0xff) << 16) | (rgb & 0xff00) | (rgb >> 16)) >>> 0;
}

function hexOf(pixel) {
  return "#" + [0, 8, 16].map((shift) => ((pixel >>> shift) & 0xff).toString(16).padStart(2, "0")).join("");
}

/** Returns a pixel mixed with a part of white. */
function mixWhite(pixel, part) {
  const mix = (shift) => Math.round(((pixel >>> shift) & 0xff) * (1 - part) + 255 * part) << shift;
  return (OPAQUE | mix(16) | mix(8) | mix(0)) >>> 0;
}

/**
 * Returns the scale of the probability maps: 0% to 100% as 101 pixels, from dark blue through green to bright yellow.
 * Lightness rises evenly in OKLab, so that equal steps look equal, in grayscale and to color-blind users too.
 */
function percentScale() {
  return Uint32Array.from({ length: 101 }, (_, percent) => {
    const part = percent / 100;
    const chroma = 0.1 + 0.07 * part;
    const hue = ((280 - 172 * part) * Math.PI) / 180;
    return pixelOfOklab(0.25 + 0.67 * part, chroma * Math.cos(hue), chroma * Math.sin(hue));
  });
}

/** OKLab -> opaque pixel; the matrices are those of Björn Ottosson's definition of the color space. */
function pixelOfOklab(lightness, a, b) {
  const [l, m, s] = [
    lightness + 0.3963377774 * a + 0.2158037573 * b,
    lightness - 0.1055613458 * a - 0.0638541728 * b,
    lightness - 0.0894841775 * a - 1.291485548 * b,
  ].map((root) => root ** 3);
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  const [red, green, blue] = linear.map((value) => {
    const inside = Math.min(1, Math.max(0, value));
    return Math.round(255 * (inside <= 0.0031308 ? 12.92 * inside : 1.055 * inside ** (1 / 2.4) - 0.055));
  });
  return (OPAQUE | (blue << 16) | (green << 8) | red) >>> 0;
}

/** Returns the scale as a CSS gradient from left to right. */
function gradientOf(scale) {
  const stops = [0, 12, 25, 37, 50, 62, 75, 87, 100].map((percent) => `${hexOf(scale[percent])} ${percent}%`);
  return `linear-gradient(to right, ${stops.join(", ")})`;
}
