// The chat page in a browser, at a phone's width: node page.mjs http://127.0.0.1:PORT MODEL CHROMIUM HAPPY FILE.gguf
// With SCREENSHOTS=FOLDER it also writes pictures of the page.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { downloadingServer } from "./hub.mjs";

const [base, model, executablePath, happy, file] = process.argv.slice(2);
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
const shot = async (name) => {
  if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, name + ".png") });
};
const pullText = (text) => page.waitForFunction((text) => document.getElementById("pull-text").textContent.includes(text), text);

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
  async the_models_tell_what_they_need() {
    await page.click("#open-library");
    const item = page.locator("#library-list li");
    assert.match(await item.textContent(), /memory for .* tokens, loaded/);
    assert.ok(await item.locator("button").isDisabled());
    await page.waitForFunction(() => !document.getElementById("pull-off").hidden);
    assert.ok(await page.locator("#pull").isHidden());
    await page.keyboard.press("Escape");
    assert.ok(await page.locator("#library").isHidden());
  },
  async earlier_chats_come_back() {
    const messages = await page.locator("#messages > li").count();
    await page.click("#new");
    assert.equal(await page.locator("#messages > li").count(), 0);
    await page.reload();
    await page.click("#open-history");
    await page.click("#history-list button:has-text('Open')");
    assert.equal(await page.locator("#messages > li").count(), messages);
    await page.click("#open-history");
    assert.ok(await page.locator("#history-empty").isVisible());
    await page.keyboard.press("Escape");
  },
  async keys_and_screen_readers_reach_everything() {
    await page.reload();
    await loaded();
    const tree = await page.locator("body").ariaSnapshot();
    for (const part of ['heading "happy"', 'button "New chat"', 'button "Models"', 'button "Settings"', 'heading "You"', 'heading "Model"', 'textbox "Message"', 'button "Send"', "status"])
      assert.ok(tree.includes(part), part + " in " + tree);
    // From the first link on, Tab visits every button that is shown, and the way ends at the button to send.
    await page.focus(".skip");
    const visited = new Set();
    for (let last = ""; last !== "send" && visited.size < 100; ) {
      await page.keyboard.press("Tab");
      last = await page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
      visited.add(last);
    }
    for (const id of ["new", "open-history", "open-library", "open-settings", "Copy", "Edit", "Regenerate", "prompt", "send"]) assert.ok(visited.has(id), `${id} of ${[...visited]}`);
    // The keyboard opens a dialog, the focus is in it, and Escape leads back.
    await page.focus("#open-settings");
    await page.keyboard.press("Enter");
    assert.ok(await page.evaluate(() => document.getElementById("settings").contains(document.activeElement)));
    await page.keyboard.press("Escape");
    assert.equal(await page.evaluate(() => document.activeElement.id), "open-settings");
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
  async a_model_is_downloaded_stopped_and_used() {
    const folder = mkdtempSync(join(tmpdir(), "happy-page-"));
    const server = await downloadingServer(happy, file, folder);
    try {
      await page.goto(server.url + "/");
      await page.waitForFunction(() => document.getElementById("model").textContent.startsWith("no models yet"));
      await page.click("#open-library");
      await page.fill("#pull-name", "no-such-name");
      await page.keyboard.press("Enter");
      await pullText("neither a known short name");
      await page.fill("#pull-name", "hf:o/r/model.gguf");
      await page.keyboard.press("Enter");
      await pullText("pulling");
      await page.waitForFunction(() => document.getElementById("pull-bar").value > 0.05 * document.getElementById("pull-bar").max);
      await page.waitForFunction(() => document.getElementById("pull-rate").textContent.includes("/s"));
      await shot("download");
      await page.click("#pull-stop");
      await pullText("Stopped");
      server.hurry();
      await page.click("#pull-start");
      await pullText("is here");
      assert.match(await page.locator("#library-list li").textContent(), /hf:o\/r\/model.gguf.*memory for/);
      await page.click("#library-close");
      await setting("max_tokens", "20");
      await send("Name a color.");
      await status("Answered");
      assert.deepEqual(errors, []);
    } finally {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  },
  async it_looks_well() {
    if (!process.env.SCREENSHOTS) return;
    for (const [size, width, height] of [["phone", 390, 780], ["desktop", 1100, 720]])
      for (const colorScheme of ["light", "dark"]) {
        await page.setViewportSize({ width, height });
        await page.emulateMedia({ colorScheme });
        await page.goto(base + "/");
        await page.evaluate(() => localStorage.clear());
        await page.reload();
        await loaded();
        await shot(`${size}-${colorScheme}-empty`);
        await setting("temperature", "0");
        await setting("max_tokens", "220");
        await send("Write a Python function that adds two numbers, and explain it in a list of three points.");
        await status("Answered");
        await shot(`${size}-${colorScheme}`);
        await page.click("#open-library");
        await page.waitForFunction(() => !document.getElementById("pull-off").hidden);
        await shot(`${size}-${colorScheme}-models`);
        await page.keyboard.press("Escape");
        await page.click("#open-settings");
        await shot(`${size}-${colorScheme}-settings`);
        await page.keyboard.press("Escape");
      }
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
