// What a person chose and expects to find again at the next picture, in this tab of the browser.

const SETTINGS_KEY = "segdeck.viewer";
const MODES = ["classes", "confidence", "probability"];
const LAYOUTS = ["beside", "slider", "single"];

function defaultSettings() {
  return {
    mode: "classes",
    layout: "beside",
    palette: "", // the first one
    outline: false,
    opacity: { classes: 55, confidence: 85, probability: 85 },
    split: 50, // percent of the width left of the divider
  };
}

/** The browser's store, or null where it was told to keep nothing: there, even naming it is refused. */
function settingsStore() {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
}

function readSettings() {
  return { ...defaultSettings(), ...JSON.parse(settingsStore()?.getItem(SETTINGS_KEY) ?? "{}") };
}

function keepSettings(settings) {
  settingsStore()?.setItem(SETTINGS_KEY, JSON.stringify(settings));
}
