// The classes of the picture as chips: colour, name, share of the pixels.

/** Makes an element with a class name and a text. Texts are data: they never become HTML. */
function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/** A share as people read it: no 0.0% for what is there, no 100% for what is not all. */
function shareText(pixels, total) {
  const percent = (100 * pixels) / total;
  if (pixels === 0) return "0%";
  if (percent < 0.1) return "< 0.1%";
  if (percent > 99.9 && pixels < total) return "> 99.9%";
  return `${percent.toFixed(1)}%`;
}

/** Whole percent of a probability plane. */
function percentText(percent) {
  return percent === 100 ? "> 99%" : `${percent}%`;
}

class Legend {
  /** `on.press(id)` a chip; `on.only(id)` its "only", or the chip with Alt or Shift. */
  constructor(box, on) {
    Object.assign(this, { box, on });
    this.chips = new Map();
  }

  fill(classes, total) {
    this.chips.clear();
    this.box.replaceChildren(...classes.map((row, index) => this.chip(row, index, total)));
  }

  chip({ id, name, pixels }, index, total) {
    const chip = make("span", "chip");
    const toggle = make("button", "toggle");
    const share = shareText(pixels, total);
    toggle.append(make("i", "swatch"), make("span", "label", name), make("span", "share", share));
    toggle.title = `${name}: ${pixels.toLocaleString("en")} pixels, ${share}${index < 9 ? ` (key ${index + 1})` : ""}`;
    toggle.onclick = (event) => (event.altKey || event.shiftKey ? this.on.only(id) : this.on.press(id));
    const only = make("button", "only", "only");
    only.title = `Show ${name} alone`;
    only.setAttribute("aria-label", only.title);
    only.onclick = () => this.on.only(id);
    toggle.type = only.type = "button";
    toggle.dataset.id = id;
    chip.append(toggle, only);
    this.chips.set(id, { chip, toggle });
    return chip;
  }

  /** `colors(id)` is a CSS colour, `pressed(id)` whether the class is shown or chosen. */
  update(colors, pressed) {
    for (const [id, { chip, toggle }] of this.chips) {
      chip.style.setProperty("--color", colors(id));
      toggle.setAttribute("aria-pressed", String(pressed(id)));
    }
  }
}
