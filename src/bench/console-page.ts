/** The console in a browser: what a person does with it, and everything that must not happen meanwhile. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";
import type { AxeResults } from "axe-core";
import type { ConsoleServer } from "./console-server.ts";

const patience = 60_000;
const wide = { width: 1360, height: 900 };
const narrow = { width: 390, height: 844 };

export class ConsolePage {
  readonly #browser: Browser;
  readonly #page: Page;
  readonly #server: ConsoleServer;
  readonly #out: string;
  readonly #axe: string;
  readonly #faults: string[] = [];
  #pictures = 0;

  private constructor(browser: Browser, page: Page, server: ConsoleServer, out: string, axe: string) {
    this.#browser = browser;
    this.#page = page;
    this.#server = server;
    this.#out = out;
    this.#axe = axe;
  }

  static async open(server: ConsoleServer, out: string): Promise<ConsolePage> {
    const browser = await chromium.launch({
      executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
      args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage"],
    });
    const page = await browser.newPage({ viewport: wide, colorScheme: "light", reducedMotion: "reduce" });
    page.setDefaultTimeout(patience);
    const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
    const opened = new ConsolePage(browser, page, server, out, axe);
    opened.#watch();
    await page.goto(`${server.url}/console`);
    return opened;
  }

  async close(): Promise<void> {
    await this.#browser.close();
  }

  /** What went wrong so far. */
  get faults(): readonly string[] {
    return this.#faults;
  }

  /** Fails when anything went wrong that nobody was looking at. */
  settle(): void {
    if (this.#faults.length === 0) return;
    throw new Error(
      `the page has faults:\n${[...new Set(this.#faults)].map((fault) => `  ${fault}`).join("\n")}`,
    );
  }

  async signIn(token: string): Promise<void> {
    await this.#page.fill("#token", token);
    await this.#page.click("#sign-in-form button");
  }

  async click(selector: string): Promise<void> {
    await this.#page.locator(selector).first().click();
  }

  async select(selector: string, option: string): Promise<void> {
    await this.#page.selectOption(selector, option);
  }

  /** Presses something that asks first, gives a reason, and says yes. */
  async press(selector: string, action: string, reason: string): Promise<void> {
    await this.click(selector);
    await this.#page.fill("dialog input[type=text]", reason);
    await this.#page.locator("dialog button[type=submit]", { hasText: action }).click();
    await this.#page.waitForSelector("dialog", { state: "detached" });
  }

  /** Waits until an element shows a text. */
  async sees(selector: string, text: string): Promise<void> {
    const found = this.#page.locator(selector).filter({ hasText: text }).first();
    await found.waitFor({ state: "visible" });
  }

  async waitFor<T>(read: () => Promise<T>, until: (value: T) => boolean, ms = patience): Promise<T> {
    const end = performance.now() + ms;
    for (;;) {
      const value = await read();
      if (until(value)) return value;
      if (performance.now() > end)
        throw new Error(`waited ${ms} ms in vain; the last value was ${String(value)}`);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }

  /** Percent, as the page shows it; 0 while nothing was measured. */
  async triggerRate(): Promise<number> {
    return (
      Number.parseFloat((await this.#page.locator("#overview .figure").first().textContent()) ?? "") || 0
    );
  }

  /** Sends requests until the rate on the page is as it should be. */
  async rateMoves(send: () => Promise<unknown>, until: (rate: number) => boolean): Promise<void> {
    const read = async (): Promise<number> => {
      await send();
      return this.triggerRate();
    };
    await this.waitFor(read, until);
  }

  /** Everything anew, as after closing the page: the token is forgotten. */
  async reload(): Promise<void> {
    await this.#page.reload();
    await this.sees("#sign-in", "Sign in");
    await this.signIn(this.#server.token);
    await this.sees("#detectors", "Detectors");
  }

  /** Pictures in light and dark, and what axe finds in both. */
  async check(name: string): Promise<void> {
    for (const colorScheme of ["light", "dark"] as const) {
      await this.#page.emulateMedia({ colorScheme });
      await this.#axeFinds(`${name}, ${colorScheme}`);
      await this.picture(`${name}-${colorScheme}`);
    }
    await this.#page.emulateMedia({ colorScheme: "light" });
  }

  async picture(name: string): Promise<void> {
    this.#pictures += 1;
    const file = `${String(this.#pictures).padStart(2, "0")}-${name}.png`;
    await this.#page.evaluate("scrollTo({ top: 0, behavior: 'instant' })");
    await this.#page.screenshot({ path: join(this.#out, file), fullPage: true, animations: "disabled" });
  }

  /** A small screen: nothing sticks out at the side. */
  async narrow(): Promise<void> {
    await this.#page.setViewportSize(narrow);
    const excess = await this.#page.evaluate("document.documentElement.scrollWidth - innerWidth");
    if (Number(excess) > 0)
      this.#faults.push(`the page is ${String(excess)} pixels wider than a small screen`);
    await this.check("narrow");
    await this.#page.setViewportSize(wide);
  }

  /** Without a mouse: from the top of the page to an action, into its question and out again. */
  async keyboard(): Promise<void> {
    const focused = (): Promise<string> =>
      this.#page.evaluate<string>("document.activeElement.textContent.trim()");
    await this.#page.locator(".skip").focus();
    if ((await this.#page.locator(".skip").boundingBox())!.y < 0)
      this.#faults.push("the link to the panels stays hidden when it has the focus");
    for (let stops = 0; (await focused()) !== "Roll back"; stops += 1) {
      if (stops > 60) throw new Error("the Tab key does not reach the rollback");
      await this.#page.keyboard.press("Tab");
    }
    await this.#page.keyboard.press("Enter");
    await this.#page.waitForSelector("dialog[open]");
    await this.#page.keyboard.press("Escape");
    await this.#page.waitForSelector("dialog", { state: "detached" });
    if ((await focused()) !== "Roll back")
      this.#faults.push(`a question that was left puts the focus on "${await focused()}"`);
  }

  async #axeFinds(where: string): Promise<void> {
    await this.#page.evaluate(this.#axe);
    const { violations } = await this.#page.evaluate<AxeResults>("axe.run()");
    for (const { id, impact, help, nodes } of violations) {
      if (impact !== "serious" && impact !== "critical") continue;
      this.#faults.push(
        `${where}: ${id} (${impact}): ${help}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`,
      );
    }
  }

  #watch(): void {
    this.#page.on("pageerror", (error) => this.#faults.push(`script error: ${error.message}`));
    this.#page.on("console", (message) => {
      const expected = message.type() !== "error" || /status of 401/.test(message.text());
      if (!expected) this.#faults.push(`console: ${message.text()}`);
    });
    this.#page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(this.#server.url) && !url.startsWith("data:"))
        this.#faults.push(`a request left for ${url}`);
    });
  }
}
