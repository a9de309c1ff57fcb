// A list of links. A plain click opens the page in this tab without a reload; the browser does all else, such as a
// new tab with Ctrl or the middle button, and the Enter key.

export default function ({ data, parentElement, setTriggerValue }) {
  parentElement.querySelector("summary").textContent = data.label;
  const list = parentElement.querySelector("ul");
  const names = JSON.stringify(data.links);
  if (list.dataset.links === names) return; // keeps focus and scroll position
  list.dataset.links = names;
  list.replaceChildren(...data.links.map(([name, address]) => item(name, address, setTriggerValue)));
}

function item(name, address, setTriggerValue) {
  const link = document.createElement("a");
  link.href = address;
  link.textContent = name;
  link.onclick = (event) => {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    setTriggerValue("opened", name);
  };
  const row = document.createElement("li");
  row.append(link);
  return row;
}
