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

function readSettings() {
  return { ...defaultSettings(), ...JSON.parse(sessionStorage.getItem(SETTINGS_KEY) ?? "{}") };
}

function keepSettings(settings) {
  sessionStorage.setItem(SETTINGS_KEY, JSON.stringify(settings));
}
