// The dialog with the models: what each needs, which one answers, and downloads.
const size = (bytes) => (bytes >= 1e9 ? (bytes / 1e9).toFixed(1) + " GB" : Math.max(1, bytes / 1e6).toFixed(0) + " MB");

// What a model takes, or why it does not run here.
const verdict = ({ meta }) =>
  meta.runs ? `${size(meta.weight_bytes)} file, ${size(meta.memory_bytes)} memory for ${meta.slots} × ${meta.n_ctx} tokens` : "does not run here: " + meta.problem;

function libraryItem(model, chosen) {
  const use = button(model === chosen ? "In use" : "Use", () => {
    settings.model = model.id;
    keep("settings", settings);
    showModel();
    byId("library").close();
  });
  use.disabled = model === chosen || !model.meta.runs;
  use.setAttribute("aria-label", `${use.textContent}: ${model.id}`);
  const note = element("p", verdict(model) + (model.meta.loaded ? ", loaded" : ""));
  const item = element("li", element("div", element("strong", model.id), note), use);
  item.classList.toggle("unfit", !model.meta.runs);
  return item;
}

function showLibrary(all, chosen) {
  byId("library-list").replaceChildren(...all.map((model) => libraryItem(model, chosen)));
}

async function openLibrary() {
  byId("library").showModal();
  showModel();
  try {
    const { downloads, models } = await getJson("catalog");
    byId("pull").hidden = !downloads;
    byId("pull-off").hidden = downloads;
    byId("pull-names").replaceChildren(
      ...models.map((model) => {
        const option = element("option", `${size(model.bytes)}, devices with ${(model.min_ram / 2 ** 30).toFixed(0)} GB or more, license ${model.license}`);
        option.value = model.name;
        return option;
      }),
    );
  } catch (error) {
    byId("pull-text").textContent = error.message;
  }
}

let pulling = null;

// Shows a line of a download: the bar moves at each, but only news are announced.
function showPull(line, told) {
  const bar = byId("pull-bar");
  if (line.total) {
    bar.max = line.total;
    bar.value = line.completed;
    const rate = line.rate ? `, ${size(line.rate)}/s` : "";
    const left = line.seconds_left ? `, ${line.seconds_left < 90 ? line.seconds_left + " s" : Math.ceil(line.seconds_left / 60) + " min"} left` : "";
    byId("pull-rate").textContent = `${size(line.completed)} of ${size(line.total)}${rate}${left}`;
  } else bar.removeAttribute("value");
  if (told) byId("pull-text").textContent = line.memory_bytes ? `${line.status}, ${size(line.memory_bytes)} of memory` : line.status;
}

async function pull(name) {
  pulling = new AbortController();
  byId("pull-start").disabled = true;
  byId("pull-progress").hidden = false;
  byId("pull-rate").textContent = "";
  let last = {};
  try {
    await lines("api/pull", { model: name }, pulling.signal, (line) => {
      if (line.error) throw new Error(line.error);
      showPull(line, line.status !== last.status);
      last = line;
    });
    if (last.status !== "success") throw new Error("the server ended the download");
    byId("pull-text").textContent = name + " is here";
    byId("pull-name").value = "";
  } catch (error) {
    byId("pull-text").textContent = pulling.signal.aborted ? "Stopped. What has arrived is kept for the next time." : "Failed: " + error.message;
  }
  pulling = null;
  byId("pull-start").disabled = false;
  byId("pull-progress").hidden = true;
  showModel();
}

function bindLibrary() {
  byId("open-library").addEventListener("click", openLibrary);
  byId("library-close").addEventListener("click", () => byId("library").close());
  byId("pull").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = byId("pull-name").value.trim();
    if (name && !pulling) pull(name);
  });
  byId("pull-stop").addEventListener("click", () => pulling?.abort());
}
