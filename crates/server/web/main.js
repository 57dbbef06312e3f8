// What the buttons and keys do.
// The model's name and what it takes, or why it would not run; a list to choose from if there are several.
async function showModel() {
  const place = byId("model");
  const list = byId("models");
  try {
    const all = (await getJson("v1/models")).data;
    const chosen = all.find((model) => model.id === settings.model) || all[0];
    showLibrary(all, chosen);
    if (!chosen) {
      list.hidden = true;
      place.textContent = "no models yet: download one under Models";
      return;
    }
    settings.model = all.length > 1 ? chosen.id : "";
    list.hidden = all.length < 2;
    list.replaceChildren(
      ...all.map((model) => {
        const option = element("option", model.id + (model.meta.loaded ? " (loaded)" : model.meta.runs ? "" : " (does not run here)"));
        option.value = model.id;
        option.title = verdict(model);
        option.disabled = !model.meta.runs;
        option.selected = model === chosen;
        return option;
      }),
    );
    place.textContent = (all.length > 1 ? "" : chosen.id + " · ") + verdict(chosen);
  } catch (error) {
    place.textContent = error.message;
  }
}

function grow() {
  const prompt = byId("prompt");
  prompt.style.height = "auto";
  prompt.style.height = prompt.scrollHeight + 2 + "px";
}

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const prompt = byId("prompt");
  const text = prompt.value.trim();
  if (!text || running) return;
  prompt.value = "";
  grow();
  chat.push({ role: "user", versions: [{ text }], at: 0 });
  answer();
});
byId("prompt").addEventListener("input", grow);
byId("prompt").addEventListener("keydown", (event) => {
  // Enter sends, Shift+Enter is a new line; not while an input method composes.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  byId("form").requestSubmit();
});
byId("models").addEventListener("change", (event) => {
  settings.model = event.target.value;
  keep("settings", settings);
  showModel();
});
byId("stop").addEventListener("click", () => running?.abort());
byId("new").addEventListener("click", () => {
  switchChat([]);
  byId("prompt").focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) running?.abort();
});

bindSettings();
bindLibrary();
bindHistory();
showModel();
render();
