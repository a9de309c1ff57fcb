// Decodes the viewer's frame into a header, an image and planes. frame.py describes the format.

/**
 * Splits a frame into its header and its parts, which are views, not copies.
 * @param {Uint8Array} frame
 * @returns {{header: object, parts: Map<string, Uint8Array>}}
 */
function readFrame(frame) {
  const headerBytes = new DataView(frame.buffer, frame.byteOffset).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(frame.subarray(4, 4 + headerBytes)));
  const parts = new Map();
  let offset = 4 + headerBytes;
  for (const [name, length] of header.parts) {
    parts.set(name, frame.subarray(offset, offset + length));
    offset += length;
  }
  if (offset !== frame.length) throw new Error(`the frame has ${frame.length} bytes, but its header describes ${offset}`);
  return { header, parts };
}

/** @param {Uint8Array} jpeg */
function decodeImage(jpeg) {
  return createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
}

/**
 * Decodes an 8-bit PNG of one value per pixel, gray or the index of a palette, whose rows are stored as they are or as
 * differences to the row above.
 *
 * Not with a canvas: browsers that protect against fingerprinting add noise to what a canvas returns, and a class id
 * that is one too high is another class.
 *
 * @param {Uint8Array} png
 * @returns {Promise<{width: number, height: number, values: Uint8Array}>} values row by row
 */
async function decodePlane(png) {
  const { width, height, compressed } = readChunks(png);
  const rows = await inflate(compressed);
  if (rows.length !== height * (width + 1)) throw new Error(`a plane of ${width} x ${height} has ${rows.length} bytes`);
  const values = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const filter = rows[y * (width + 1)];
    if (filter !== 0 && filter !== 2) throw new Error(`row ${y} of a plane uses the PNG filter ${filter}`);
    const source = y * (width + 1) + 1;
    const target = y * width;
    if (filter === 0 || y === 0) values.set(rows.subarray(source, source + width), target);
    else for (let x = 0; x < width; x++) values[target + x] = rows[source + x] + values[target + x - width];
  }
  return { width, height, values };
}

function readChunks(png) {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  if (view.getUint32(0) !== 0x89504e47) throw new Error("a plane is not a PNG");
  const compressed = [];
  let width = 0;
  let height = 0;
  for (let offset = 8; offset < png.length; ) {
    const length = view.getUint32(offset);
    const name = String.fromCharCode(...png.subarray(offset + 4, offset + 8));
    const body = png.subarray(offset + 8, offset + 8 + length);
    if (name === "IHDR") {
      [width, height] = [view.getUint32(offset + 8), view.getUint32(offset + 12)];
      const oneValue = body[9] === 0 || body[9] === 3; // gray or indexed
      if (body[8] !== 8 || !oneValue || body[12] !== 0) throw new Error("a plane is not an 8-bit PNG of one value per pixel");
    }
    if (name === "IDAT") compressed.push(body);
    offset += 12 + length;
  }
  return { width, height, compressed };
}

async function inflate(pieces) {
  const stream = new Blob(pieces).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
