// Unmodified clients from npm against a running server: node clients.mjs http://127.0.0.1:PORT MODEL
import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import OpenAI from "openai";

const [base, model] = process.argv.slice(2);
const messages = [{ role: "user", content: "Name a color." }];
const client = new OpenAI({ baseURL: base + "/v1", apiKey: "none", maxRetries: 0 });

const tests = {
  async openai_chat() {
    const ask = { model, messages, max_tokens: 16, temperature: 0 };
    const whole = await client.chat.completions.create(ask);
    let text = "";
    for await (const chunk of await client.chat.completions.create({ ...ask, stream: true })) text += chunk.choices[0]?.delta?.content ?? "";
    assert.equal(text, whole.choices[0].message.content);
  },
  async openai_responses() {
    const answer = await client.responses.create({ model, input: "Name a color.", max_output_tokens: 16 });
    assert.ok(answer.output_text.length > 0);
  },
  async openai_embeddings() {
    const answer = await client.embeddings.create({ model, input: ["a cat"] });
    assert.ok(answer.data[0].embedding.length > 100);
    assert.ok(Math.abs(Math.hypot(...answer.data[0].embedding) - 1) < 1e-3);
  },
  async ai_sdk() {
    const provider = createOpenAICompatible({ name: "happy", baseURL: base + "/v1" });
    const ask = { model: provider(model), prompt: "Name a color.", maxOutputTokens: 16, temperature: 0, maxRetries: 0 };
    const { text } = await generateText(ask);
    let streamed = "";
    for await (const part of streamText(ask).textStream) streamed += part;
    assert.equal(streamed, text);
  },
};

let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
    console.log("ok    ", name);
  } catch (error) {
    failed++;
    console.log("FAILED", name, error);
  }
}
process.exit(failed ? 1 : 0);
