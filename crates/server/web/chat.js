// The conversation: messages with their versions, of which one is shown and sent.
// A message: { role, versions: [{ text, reasoning, note, error }], at }. Editing and regenerating add versions to it; what follows an
// edited message belongs to the version before, and is kept in it.
let chat = kept("chat", []);
let running = null;

const version = (message) => message.versions[message.at];

function save() {
  keep("chat", chat);
}

function button(label, action) {
  const node = element("button", label);
  node.type = "button";
  node.addEventListener("click", action);
  return node;
}

function showVersion(index, step) {
  const message = chat[index];
  version(message).after = chat.slice(index + 1);
  message.at += step;
  chat = chat.slice(0, index + 1).concat(version(message).after || []);
  render();
}

function addVersion(index, fresh) {
  const message = chat[index];
  version(message).after = chat.slice(index + 1);
  message.versions.push(fresh);
  message.at = message.versions.length - 1;
  chat = chat.slice(0, index + 1);
}

function edit(index, item) {
  const message = chat[index];
  const input = element("textarea", version(message).text);
  input.className = "edit";
  input.rows = Math.min(12, version(message).text.split("\n").length + 1);
  input.setAttribute("aria-label", "Edit the message");
  const done = () => {
    addVersion(index, { text: input.value });
    if (message.role === "user") answer();
    else render();
  };
  const tools = element("div", button(message.role === "user" ? "Send" : "Save", done), button("Cancel", render));
  tools.className = "tools";
  item.replaceChildren(input, tools);
  input.focus();
}

function regenerate(index) {
  addVersion(index, { text: "" });
  answer(index);
}

function body(message) {
  const { text, reasoning, error } = version(message);
  const bubble = element("div");
  bubble.className = "bubble" + (error ? " error" : "");
  if (reasoning) {
    const thoughts = element("details", element("summary", "Thoughts"), ...markdown(reasoning));
    thoughts.open = message.thoughts ?? !text;
    // An answer that streams is drawn again and again: what the reader has opened stays open.
    thoughts.firstChild.addEventListener("click", () => (message.thoughts = !thoughts.open));
    bubble.append(thoughts);
  }
  if (message.role === "user") bubble.append(...text.split("\n").flatMap((line, i) => (i ? [element("br"), line] : [line])));
  else bubble.append(...markdown(text));
  if (error) bubble.append(element("p", "Error: " + error));
  return bubble;
}

function show(message, index) {
  const item = element("li");
  item.className = message.role;
  const heading = element("h2", message.role === "user" ? "You" : "Model");
  heading.className = "hidden";
  const tools = element("div");
  tools.className = "tools";
  if (!running) {
    tools.append(button("Copy", (event) => copyText(version(message).text, event.target)), button("Edit", () => edit(index, item)));
    if (message.role === "assistant") tools.append(button("Regenerate", () => regenerate(index)));
    if (message.versions.length > 1) {
      const before = button("‹", () => showVersion(index, -1));
      const after = button("›", () => showVersion(index, 1));
      before.setAttribute("aria-label", "Earlier version");
      after.setAttribute("aria-label", "Later version");
      before.disabled = message.at === 0;
      after.disabled = message.at === message.versions.length - 1;
      tools.append(before, `${message.at + 1} of ${message.versions.length}`, after);
    }
  }
  if (version(message).note) tools.append(version(message).note);
  item.append(heading, body(message), tools);
  return item;
}

function render() {
  byId("messages").replaceChildren(...chat.map(show));
  byId("empty").hidden = chat.length > 0;
  byId("send").hidden = !!running;
  byId("stop").hidden = !running;
  save();
}

// Says what happens. Screen readers announce it, so a word that stays is not said again.
function say(text) {
  if (byId("status").textContent !== text) byId("status").textContent = text;
}

// Generates the answer that is the last message, or begins one.
async function answer(index = chat.length) {
  if (running) return;
  if (index === chat.length) chat.push({ role: "assistant", versions: [{ text: "" }], at: 0 });
  const answered = chat[index];
  const fresh = version(answered);
  const messages = chat.slice(0, index).map((message) => ({ role: message.role, content: version(message).text }));
  if (settings.system) messages.unshift({ role: "system", content: settings.system });
  running = new AbortController();
  say("Reading the prompt");
  byId("speed").textContent = "";
  render();
  const [list, main] = [byId("messages"), document.querySelector("main")];
  let [begun, count, waiting] = [0, 0, false];
  const draw = () => {
    waiting = false;
    // Another chat may be on the page by now.
    if (chat[index] !== answered) return;
    const low = main.scrollHeight - main.scrollTop - main.clientHeight < 80;
    list.lastElementChild.replaceWith(show(chat[index], index));
    if (low) main.scrollTop = main.scrollHeight;
  };
  const speed = () => (performance.now() > begun + 200 ? `${((1000 * (count - 1)) / (performance.now() - begun)).toFixed(1)} tokens/s` : "");
  main.scrollTop = main.scrollHeight;
  try {
    await stream(messages, running.signal, (chunk) => {
      const delta = chunk.choices[0]?.delta;
      if (delta?.content || delta?.reasoning_content) {
        begun ||= performance.now();
        count++;
        fresh.text += delta.content || "";
        fresh.reasoning = (fresh.reasoning || "") + (delta.reasoning_content || "");
        say("Answering");
        byId("speed").textContent = speed();
        if (!waiting) requestAnimationFrame(draw);
        waiting = true;
      }
      if (chunk.usage) {
        count = chunk.usage.completion_tokens;
        fresh.note = [`${count} tokens`, speed()].filter(Boolean).join(", ");
      }
    });
    say("Answered");
  } catch (error) {
    if (running.signal.aborted) {
      fresh.note = ["stopped", speed()].filter(Boolean).join(", ");
      say("Stopped");
    } else {
      fresh.error = error.message;
      say("Failed");
    }
  }
  running = null;
  byId("speed").textContent = "";
  render();
  main.scrollTop = main.scrollHeight;
  // On a phone, the focus would open the keyboard over the answer.
  if (!matchMedia("(pointer: coarse)").matches) byId("prompt").focus();
}
