// What the buttons and keys do.
async function showModel() {
  const place = byId("model");
  try {
    const { id, meta } = await modelInfo();
    const mib = (bytes) => (bytes / 2 ** 20).toFixed(0) + " MiB";
    place.textContent = `${id} · ${meta.n_ctx} tokens of context · ${mib(meta.weight_bytes)} file, ${mib(meta.memory_bytes)} memory`;
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
byId("stop").addEventListener("click", () => running?.abort());
byId("new").addEventListener("click", () => {
  running?.abort();
  chat = [];
  render();
  byId("prompt").focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !byId("settings").open) running?.abort();
});

bindSettings();
showModel();
render();
