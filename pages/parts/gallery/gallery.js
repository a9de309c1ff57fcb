// A button per image. Buttons are kept from run to run, so that focus and scroll position stay.

const MARGIN = 24; // pixels of the next image that stay visible
const TAIL = 9; // characters at the end of a file's name that are always shown: a number and the extension

export default function ({ data, parentElement, setTriggerValue }) {
  const row = parentElement.querySelector(".row");
  const template = parentElement.querySelector("template");
  row.setAttribute("aria-label", data.label);
  row.classList.toggle("wrap", data.wrap);

  const known = new Map([...row.children].map((button) => [button.dataset.id, button]));
  const before = row.dataset.selected ?? "";
  row.onkeydown = (event) => move(row, event, data.follow && ((id) => setTriggerValue("picked", id)));
  data.tiles.forEach((tile, place) => {
    const button = known.get(tile.id) ?? template.content.firstElementChild.cloneNode(true);
    known.delete(tile.id);
    fill(button, tile, data.selected);
    button.onclick = () => setTriggerValue("picked", tile.id);
    if (row.children[place] !== button) row.insertBefore(button, row.children[place] ?? null);
  });
  known.forEach((button) => button.remove());

  row.dataset.selected = data.selected;
  const selected = [...row.children].find((button) => button.dataset.id === data.selected);
  const stop = row.getRootNode().activeElement?.closest?.(".tile") ?? selected ?? row.firstElementChild;
  for (const button of row.children) button.tabIndex = button === stop ? 0 : -1;
  if (selected && data.selected !== before) reveal(row, selected);
}

/** The arrow keys move between the images: the row is one stop of the Tab key. `pick`: also chooses the image. */
function move(row, event, pick) {
  const buttons = [...row.children];
  const at = buttons.indexOf(event.target.closest(".tile"));
  const last = buttons.length - 1;
  const next = { ArrowLeft: Math.max(0, at - 1), ArrowRight: Math.min(last, at + 1), Home: 0, End: last }[event.key];
  if (at < 0 || next === undefined || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  event.preventDefault();
  for (const button of buttons) button.tabIndex = button === buttons[next] ? 0 : -1;
  buttons[next].focus({ preventScroll: true });
  reveal(row, buttons[next]);
  if (pick && next !== at) pick(buttons[next].dataset.id);
}

/** Scrolls the row, and only the row, until the whole image is visible. */
function reveal(row, button) {
  const [box, outer] = [button.getBoundingClientRect(), row.getBoundingClientRect()];
  if (box.left < outer.left) row.scrollLeft -= outer.left - box.left + MARGIN;
  else if (box.right > outer.right) row.scrollLeft += box.right - outer.right + MARGIN;
}

function fill(button, tile, selected) {
  const image = button.querySelector("img");
  const [head, tail] = split(tile.title);
  button.dataset.id = tile.id;
  button.dataset.state = tile.state;
  button.title = [tile.title, tile.note].filter(Boolean).join("\n");
  button.setAttribute("aria-pressed", String(tile.id === selected));
  button.querySelector(".head").textContent = head;
  button.querySelector(".tail").textContent = tail;
  button.querySelector(".note").textContent = tile.note;
  image.hidden = !tile.jpeg;
  if (tile.jpeg && image.src !== tile.jpeg) image.src = tile.jpeg;
}

function split(title) {
  const isFile = /\.\w{2,4}$/.test(title);
  return isFile && title.length > 2 * TAIL ? [title.slice(0, -TAIL), title.slice(-TAIL)] : [title, ""];
}
