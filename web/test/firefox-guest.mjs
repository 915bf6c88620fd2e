// A guest in Firefox, driven over WebDriver BiDi: node firefox-guest.mjs <firefox> <invite address> <name> <observe.js>
// Joins, waits until picture and sound of somebody arrive, says "joined", leaves when its input ends, and says "left".
import { readFileSync } from "node:fs";

import puppeteer from "puppeteer-core";

const [, , executablePath, address, name, observe] = process.argv;
const TIMEOUT_MS = 60_000;

const browser = await puppeteer.launch({
  browser: "firefox",
  executablePath,
  headless: true,
  extraPrefsFirefox: {
    "media.navigator.streams.fake": true,
    "media.navigator.permission.disabled": true,
    "media.autoplay.default": 0,
    "media.peerconnection.ice.obfuscate_host_addresses": false,
  },
});
const page = await browser.newPage();
try {
  page.setDefaultTimeout(TIMEOUT_MS);
  await page.evaluateOnNewDocument(readFileSync(observe, "utf8"));
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(address);
  await page.locator("input[autocomplete=name]").fill(name);
  await page.locator("aria/Join now").click();
  await page.locator("aria/Call controls").wait();
  await page.evaluate(() => window.observed.delivering("video", 1));
  await page.evaluate(() => window.observed.delivering("audio", 1));
  console.log(complaints.length ? `complaints: ${complaints.join("; ")}` : "joined");
  await new Promise((resolve) => process.stdin.on("end", resolve).resume());
  await page.locator("aria/Leave the call").click();
  console.log("left");
} catch (error) {
  console.error(await page.evaluate(() => document.body.innerText));
  throw error;
} finally {
  await browser.close();
}
