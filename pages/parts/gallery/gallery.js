// A button per image. Buttons are kept from run to run, so that focus and scroll position stay.

const TAIL = 9; // characters at the end of a file's name that are always shown: a number and the extension

export default function ({ data, parentElement, setTriggerValue }) {
  const row = parentElement.querySelector(".row");
  const template = parentElement.querySelector("template");
  row.setAttribute("aria-label", data.label);

  const known = new Map([...row.children].map((button) => [button.dataset.id, button]));
  data.tiles.forEach((tile, place) => {
    const button = known.get(tile.id) ?? template.content.firstElementChild.cloneNode(true);
    known.delete(tile.id);
    fill(button, tile, data.selected);
    button.onclick = () => setTriggerValue("picked", tile.id);
    if (row.children[place] !== button) row.insertBefore(button, row.children[place] ?? null);
  });
  known.forEach((button) => button.remove());
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
