// The user's settings, kept for the next image in this browser tab.

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

/** Returns the session storage; null where the browser is set to keep nothing: there, even reading it throws. */
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
