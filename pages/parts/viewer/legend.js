// The legend: an entry per class of the image with its color, name and share of the pixels.

/** Creates an element with a class name and a text. Texts are data: they never become HTML. */
function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/** Returns a share as text: not 0.0% unless it is 0, and not 100% unless it is all. */
function shareText(pixels, total) {
  const percent = (100 * pixels) / total;
  if (pixels === 0) return "0%";
  if (percent < 0.1) return "< 0.1%";
  if (percent > 99.9 && pixels < total) return "> 99.9%";
  return `${percent.toFixed(1)}%`;
}

/** Returns a value of a probability plane, in whole percent, as text. */
function percentText(percent) {
  return percent === 100 ? "> 99%" : `${percent}%`;
}

class Legend {
  /** `on.press(id)`: an entry was clicked; `on.only(id)`: its "only" was, or the entry with Alt or Shift. */
  constructor(box, on) {
    Object.assign(this, { box, on });
    this.entries = new Map();
  }

  fill(classes, total) {
    this.entries.clear();
    this.box.replaceChildren(...classes.map((row, index) => this.entry(row, index, total)));
  }

  entry({ id, name, pixels }, index, total) {
    const entry = make("span", "entry");
    const toggle = make("button", "toggle");
    const share = shareText(pixels, total);
    toggle.append(make("i", "swatch"), make("span", "label", name), make("span", "share", share));
    toggle.title = `${name}: ${pixels.toLocaleString("en")} pixels, ${share}${index < 9 ? ` (key ${index + 1})` : ""}`;
    toggle.onclick = (event) => (event.altKey || event.shiftKey ? this.on.only(id) : this.on.press(id));
    const only = make("button", "only", "only");
    only.title = `Show only ${name}`;
    only.setAttribute("aria-label", only.title);
    only.onclick = () => this.on.only(id);
    toggle.type = only.type = "button";
    toggle.dataset.id = id;
    entry.append(toggle, only);
    this.entries.set(id, { entry, toggle });
    return entry;
  }

  /** Updates all entries. `colors(id)` returns a CSS color, `pressed(id)` whether the class is shown or chosen. */
  update(colors, pressed) {
    for (const [id, { entry, toggle }] of this.entries) {
      entry.style.setProperty("--color", colors(id));
      toggle.setAttribute("aria-pressed", String(pressed(id)));
    }
  }
}
