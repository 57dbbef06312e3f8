// The server's API: one conversation at a time, streamed.
function headers() {
  const key = settings.key ? { Authorization: "Bearer " + settings.key } : {};
  return { "Content-Type": "application/json", ...key };
}

async function failure(response) {
  const text = await response.text();
  try {
    const { error } = JSON.parse(text);
    return error.message ?? error;
  } catch {
    return "the server answered " + response.status;
  }
}

async function getJson(path) {
  const response = await fetch(path, { headers: headers() });
  if (!response.ok) throw new Error(await failure(response));
  return response.json();
}

// Posts a body, and calls `on` with every part of the answer that ends with `end`.
async function post(path, body, signal, end, on) {
  const response = await fetch(path, { method: "POST", headers: headers(), body: JSON.stringify(body), signal });
  if (!response.ok) throw new Error(await failure(response));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let part; !(part = await reader.read()).done; ) {
    text += part.value;
    const parts = text.split(end);
    text = parts.pop();
    parts.forEach(on);
  }
}

// Posts a body, and calls `on` with every line of the answer, which is JSON.
const lines = (path, body, signal, on) => post(path, body, signal, "\n", (line) => line && on(JSON.parse(line)));

// Sends messages; calls `on` with every chunk.
async function stream(messages, signal, on) {
  const body = { messages, stream: true, stream_options: { include_usage: true } };
  if (settings.model) body.model = settings.model;
  for (const name of ["temperature", "top_p", "top_k", "min_p", "max_tokens", "seed"])
    if (settings[name] !== "" && settings[name] !== undefined) body[name] = Number(settings[name]);
  await post("v1/chat/completions", body, signal, "\n\n", (event) => {
    if (!event.startsWith("data: ") || event === "data: [DONE]") return;
    const chunk = JSON.parse(event.slice(6));
    if (chunk.error) throw new Error(chunk.error.message);
    on(chunk);
  });
}
