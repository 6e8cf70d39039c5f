// What a person meets in the page, played in a real browser: see .ci/browser.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const [demo, guarded, token] = process.argv.slice(2);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
const pass = (text) => console.log(`browser: ${text}`);

// A page whose every request stays with us, and which breaks no policy of its own.
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  page.on("request", (request) => {
    const { origin } = new URL(request.url());
    assert.ok([demo, guarded].includes(origin), `it asks ${request.url()}`);
  });
  page.on("console", (message) => {
    // A status is no error of the page: the login answers 401.
    const isOurs = message.type() === "error" && !message.text().startsWith("Failed to load resource");
    assert.ok(!isOurs, message.text());
  });
  page.on("pageerror", (error) => assert.fail(error));
  return page;
}

const api = async (path) => (await fetch(demo + path)).json();

async function until(what, ask) {
  for (const end = Date.now() + 30_000; Date.now() < end; ) {
    const answer = await ask();
    if (answer) return answer;
    await new Promise((go) => setTimeout(go, 200));
  }
  assert.fail(`never: ${what}`);
}

async function isAccessible(page, what) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  const bad = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  const told = bad.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).slice(0, 3).join(" ")}`);
  assert.deepEqual(told, [], `${what}: axe-core`);
}

async function fits(page, what) {
  const [wide, shown] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(wide <= shown, `${what} scrolls sideways: ${wide} of ${shown}`);
}

// Renews the page now, instead of in some seconds.
async function renew(page) {
  const shown = () => page.locator("header time").first().textContent();
  const before = await shown();
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await until("the page renews itself", async () => (await shown()) !== before);
}

const failing = await until("a partner fails", async () => {
  const { alerts } = await api("/api/v1/alerts?filter=rule%3D%22partner-endpoint-failing%22");
  return alerts.find((alert) => alert.receivers && alert.gates.length === 0);
});
const { affiliate, host } = failing.labels;

{
  const page = await open();
  let clicks = 0;
  const click = (element) => (clicks++, element.click());
  await page.goto(demo);
  const article = page.locator("article.alert").filter({ has: page.locator("h3", { hasText: host }), hasText: "partner-endpoint-failing" }).first();
  await click(article.locator("h3 a"));
  const told = await page.locator("main").innerText();
  assert.match(told, /Likely cause: /);
  assert.match(told, /holds/);
  await page.goBack();
  await click(article.getByRole("button", { name: "silence for 1 h" }));
  await page.waitForURL(`${demo}/#silences`);
  assert.ok(clicks <= 3);
  const silences = await api("/api/v1/silences");
  const [silence] = silences;
  const hour = (new Date(silence.ends_at) - new Date(silence.starts_at)) / 3_600_000;
  assert.equal(hour, 1);
  assert.ok(silence.matchers.some((matcher) => matcher.includes(`affiliate="${affiliate}"`)), `${silence.matchers}`);
  assert.ok((await page.locator("section", { has: page.locator("#silences") }).innerText()).includes(host));
  pass(`why ${failing.summary}: found and silenced for an hour with ${clicks} clicks`);
  await page.context().close();
}

{
  const page = await open();
  await page.goto(demo);
  await page.locator("#rules").scrollIntoViewIfNeeded();
  await page.locator("details", { hasText: "partner-endpoint-failing" }).last().locator("summary").click();
  const isOpen = () => page.evaluate(() => [...document.querySelectorAll("#main > section:last-child > details")].map((d) => d.open).join());
  const opened = await isOpen();
  assert.match(opened, /true/);
  await page.locator("#id").pressSequentially("half an id");
  const top = () => page.locator("#id").evaluate((input) => input.getBoundingClientRect().top);
  // What is missing above comes back with the renewal.
  await page.evaluate(() => document.querySelector("article.alert").remove());
  const before = await top();
  await renew(page);
  assert.equal(await page.locator("#id").inputValue(), "half an id");
  assert.equal(await page.evaluate(() => document.activeElement.id), "id");
  assert.equal(await isOpen(), opened);
  assert.ok(Math.abs((await top()) - before) < 3, `it moved from ${before} to ${await top()}`);
  pass("what was typed, focused and opened outlives a renewal");
  await page.context().setOffline(true);
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await page.locator(".stale #news", { hasText: "has not answered" }).waitFor();
  pass("a page that is not renewed says so");
  await page.context().close();
}

{
  const page = await open({ javaScriptEnabled: false });
  await page.goto(demo);
  const told = await page.locator("main").innerText();
  for (const section of ["Alerts", "What fails", "Postbacks", "Silences", "Sources", "Outbox", "Rules", "Likely cause"])
    assert.ok(told.includes(section), section);
  const { items } = await api("/api/v1/deliveries?limit=1");
  await page.locator("#id").fill(items[0].said.conversion_id);
  await page.keyboard.press("Enter");
  await page.locator("dl.life").first().waitFor();
  assert.ok((await page.locator("main").innerText()).includes(items[0].said.conversion_id));
  await page.goto(demo);
  const count = async () => (await api("/api/v1/silences")).filter(({ stage }) => stage === "active").length;
  const before = await count();
  await page.getByRole("button", { name: "end it" }).first().click();
  await page.waitForURL(`${demo}/#silences`);
  assert.equal(await count(), before - 1);
  pass("without a script all is there, and the buttons work");
  await page.context().close();
}

const first = await open();
await first.goto(demo);
const alert = await first.locator("article.alert h3 a").first().getAttribute("href");
await first.context().close();
async function lookedAt(colorScheme, width) {
  const page = await open({ colorScheme, viewport: { width, height: 900 } });
  for (const path of ["/", alert, "/deliveries?state=failing"]) {
    await page.goto(demo + path);
    const what = `${path} in ${colorScheme}, ${width} wide`;
    await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
    await fits(page, what);
    await isAccessible(page, what);
  }
  await page.goto(guarded);
  await fits(page, "the login");
  await isAccessible(page, `the login in ${colorScheme}`);
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "log in" }).click();
  await page.locator("#sources").waitFor();
  await isAccessible(page, `a page that sees nothing, in ${colorScheme}`);
  await page.context().close();
}
await Promise.all([lookedAt("light", 1280), lookedAt("dark", 1280), lookedAt("light", 390)]);
pass("axe-core finds nothing serious, in light and dark, on a desk and on a phone");
await browser.close();
