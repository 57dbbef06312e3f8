// The chat page in a browser, at a phone's width: node page.mjs http://127.0.0.1:PORT MODEL CHROMIUM
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [base, model, executablePath] = process.argv.slice(2);
// Root, as which containers run, has no sandbox.
const browser = await chromium.launch({ executablePath, args: process.getuid() === 0 ? ["--no-sandbox"] : [] });
const page = await browser.newPage({ viewport: { width: 390, height: 780 } });
const errors = [];
page.on("pageerror", (error) => errors.push(String(error)));

const status = (text) => page.waitForFunction((text) => document.getElementById("status").textContent.startsWith(text), text);
const question = () => page.textContent("li.user .bubble");
const loaded = () => page.waitForFunction((model) => document.getElementById("model").textContent.startsWith(model), model);
const setting = async (name, value) => {
  await page.click("#open-settings");
  await page.fill("#set-" + name, value);
  await page.keyboard.press("Escape");
};
const send = async (text) => {
  await page.fill("#prompt", text);
  await page.keyboard.press("Enter");
};

const tests = {
  async an_answer_streams() {
    await page.goto(base + "/");
    await loaded();
    await setting("temperature", "0");
    await setting("max_tokens", "40");
    await send("Write a Python function that adds two numbers.");
    await status("Answered");
    assert.match(await page.textContent("li.assistant .bubble"), /return/);
    assert.match(await page.textContent("li.assistant .tools"), /40 tokens/);
  },
  async regenerating_adds_a_version() {
    await page.click("text=Regenerate");
    await page.waitForSelector("text=2 of 2");
    await status("Answered");
  },
  async an_edit_is_a_branch() {
    await page.locator("li.user button", { hasText: "Edit" }).click();
    await page.fill("textarea.edit", "Say hello.");
    await page.locator("li.user .tools button", { hasText: "Send" }).click();
    await page.waitForFunction(() => document.querySelector("li.user .bubble")?.textContent === "Say hello.");
    await status("Answered");
    await page.click("li.user button[aria-label='Earlier version']");
    assert.match(await question(), /Python/);
    assert.match(await page.textContent("li.assistant .tools"), /2 of 2/);
  },
  async stop_stops() {
    await setting("max_tokens", "");
    await send("Count to one thousand.");
    await status("Answering");
    await page.click("#stop");
    await status("Stopped");
  },
  async a_reload_keeps_the_conversation() {
    await page.reload();
    await loaded();
    assert.equal(await page.locator("#messages > li").count(), 4);
  },
  async failures_show() {
    await send("word ".repeat(9000));
    await status("Failed");
    assert.match(await page.locator("li.assistant .error").last().textContent(), /context holds/);
  },
  async text_never_becomes_markup() {
    const html = await page.evaluate(() => {
      const place = document.createElement("div");
      place.append(...markdown("<img src=x onerror=alert(1)>\n\n- a **b**\n\n```\n</script>\n```\n\n[x](javascript:alert(1))"));
      return place.innerHTML;
    });
    assert.ok(html.includes("&lt;img") && html.includes("<strong>b</strong>") && !html.includes("href"), html);
  },
  async it_fits_a_phone() {
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    assert.deepEqual(errors, []);
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
await browser.close();
process.exit(failed ? 1 : 0);
