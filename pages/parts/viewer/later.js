// Probability planes that follow their frame in a message of their own, so that the mask is painted without waiting for
// them. Two components of the same page: one gets the planes, the other one shows the frame.

const later = (globalThis.segdeckPlanes ??= { id: null, parts: null, events: new EventTarget() });

/** Hands planes to the viewer that shows the frame with this id, now or later; the planes before them are dropped. */
function deliverPlanes(id, parts) {
  Object.assign(later, { id, parts });
  later.events.dispatchEvent(new Event("planes"));
}

/** Returns the parts of the planes of a frame, once they are there; null once they are not wanted any more. */
function planesOf(id, signal) {
  return new Promise((resolve) => {
    const found = new AbortController(); // a listener that stayed would keep the planes
    const end = (parts) => {
      found.abort();
      resolve(parts);
    };
    const look = () => later.id === id && end(later.parts);
    signal.addEventListener("abort", () => end(null), { signal: found.signal });
    later.events.addEventListener("planes", look, { signal: found.signal });
    look();
  });
}
