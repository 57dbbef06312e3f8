// Settings and the conversation, kept in this browser.
const kept = (name, fallback) => {
  try {
    return JSON.parse(localStorage.getItem("happy-" + name)) ?? fallback;
  } catch {
    return fallback;
  }
};
const keep = (name, value) => {
  try {
    localStorage.setItem("happy-" + name, JSON.stringify(value));
  } catch {
    // Without storage they last as long as the page.
  }
};

const settings = kept("settings", {});
const byId = (id) => document.getElementById(id);

function applyTheme() {
  if (settings.theme) document.documentElement.dataset.theme = settings.theme;
  else delete document.documentElement.dataset.theme;
}

function bindSettings() {
  for (const name of ["system", "temperature", "top_p", "top_k", "min_p", "max_tokens", "seed", "key", "theme"]) {
    const input = byId("set-" + name);
    input.value = settings[name] ?? "";
    input.addEventListener("change", () => {
      settings[name] = input.value;
      keep("settings", settings);
      applyTheme();
      if (name === "key") showModel();
    });
  }
  byId("open-settings").addEventListener("click", () => byId("settings").showModal());
  applyTheme();
}
