// The server's API: one conversation at a time, streamed.
function headers() {
  const key = settings.key ? { Authorization: "Bearer " + settings.key } : {};
  return { "Content-Type": "application/json", ...key };
}

async function failure(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error.message;
  } catch {
    return "the server answered " + response.status;
  }
}

async function models() {
  const response = await fetch("v1/models", { headers: headers() });
  if (!response.ok) throw new Error(await failure(response));
  return (await response.json()).data;
}

// Sends messages; calls `on` with every chunk.
async function stream(messages, signal, on) {
  const body = { messages, stream: true, stream_options: { include_usage: true } };
  if (settings.model) body.model = settings.model;
  for (const name of ["temperature", "top_p", "top_k", "min_p", "max_tokens", "seed"])
    if (settings[name] !== "" && settings[name] !== undefined) body[name] = Number(settings[name]);
  const response = await fetch("v1/chat/completions", { method: "POST", headers: headers(), body: JSON.stringify(body), signal });
  if (!response.ok) throw new Error(await failure(response));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let part; !(part = await reader.read()).done; ) {
    text += part.value;
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) {
      if (!event.startsWith("data: ") || event === "data: [DONE]") continue;
      const chunk = JSON.parse(event.slice(6));
      if (chunk.error) throw new Error(chunk.error.message);
      on(chunk);
    }
  }
}
