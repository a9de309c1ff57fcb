// Gives files that are dropped next to the drop zone to the drop zone, and reports those that are too large.

const ZONE = "[data-testid=stFileUploaderDropzone]";
const INPUT = "[data-testid=stFileUploader] input[type=file]";
const MB = 1_000_000;

export default function ({ data, parentElement }) {
  const state = (parentElement.pageDrop ??= listen(parentElement));
  state.most = data.most_bytes;
  state.advice = data.advice;
  return () => {
    state.stopping.abort();
    delete parentElement.pageDrop;
  };
}

function listen(parentElement) {
  const state = { stopping: new AbortController(), most: Infinity, advice: "" };
  const options = { capture: true, signal: state.stopping.signal };
  const hint = parentElement.querySelector(".hint");
  const refused = parentElement.querySelector(".refused");
  const on = (name, handler) => document.addEventListener(name, handler, options);
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const inZone = (event) => Boolean(event.target.closest?.(ZONE));

  const report = (files) => {
    const large = [...files].filter(({ size }) => size > state.most);
    const names = large.map(({ name, size }) => `${name} (${(size / MB).toFixed(1)} MB)`).join(", ");
    refused.textContent = large.length ? `Not uploaded: ${names}. ${state.advice}` : "";
    refused.hidden = !large.length;
  };

  on("dragover", (event) => {
    if (!hasFiles(event) || !document.querySelector(ZONE)) return;
    event.preventDefault(); // otherwise the browser would open the file
    hint.hidden = inZone(event);
  });
  on("dragleave", (event) => {
    if (!event.relatedTarget) hint.hidden = true; // it left the window
  });
  on("drop", (event) => {
    hint.hidden = true;
    const zone = document.querySelector(ZONE);
    if (!hasFiles(event) || !zone) return;
    report(event.dataTransfer.files);
    if (inZone(event)) return;
    event.preventDefault();
    event.stopPropagation();
    const { dataTransfer } = event;
    zone.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
  });
  on("change", (event) => {
    if (event.target.matches?.(INPUT)) report(event.target.files);
  });
  return state;
}
