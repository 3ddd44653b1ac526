// The verbs of the browser tests: a real server process over a directory of its own, a real browser, and pages that listen to
// everything the browser complains about. Nothing here sleeps: a test waits for what it expects.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after } from 'node:test';

import { chromium } from 'playwright-core';

const HERE = dirname(fileURLToPath(import.meta.url));
export const ROOT = join(HERE, '../..');
/** The program under test. */
export const annals = () => process.env.ANNALS_BIN ?? join(ROOT, 'target/debug/annals');
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const REAL = join(ROOT, '../shared/data/events-real.ndjson.zst');
/** Where script and style are taken from instead of the program: to try a change without building it. */
const ASSETS = process.env.BROWSER_ASSETS;
export const IS_SOAK = Boolean(process.env.ANNALS_SOAK);
/** How long we wait for something that should come soon. Generous: slow machines are not wrong, only slow. */
export const PATIENCE_MS = Number(process.env.BROWSER_PATIENCE_MS ?? 60_000);
export const PAGE = '/admin/audit-log/';
export const WIDTHS = [320, 375, 900, 1280];

/** A server process and its data directory. */
export class World {
  /** With settings of its environment; with those of a file too it asks for keys, and `key` is the admin's. */
  static async start(events = '', settings = {}, { toml } = {}) {
    const world = new World();
    world.toml = toml;
    world.key = toml && `annals_first_${'a1'.repeat(20)}`;
    world.dir = mkdtempSync(join(tmpdir(), 'annals-browser-'));
    world.settings = settings;
    await world.restart();
    if (events) await world.send(events);
    return world;
  }

  /** Starts the server, or starts it again at the same address. */
  async restart() {
    const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('ANNALS_')));
    const listen = this.url ? new URL(this.url).host : '127.0.0.1:0';
    const access = this.toml ? ['--config', join(this.dir, 'annals.toml')] : ['--no-auth'];
    if (this.toml) {
      writeFileSync(join(this.dir, 'annals.toml'), this.toml);
      clean.ANNALS_BOOTSTRAP_ADMIN_KEY = this.key;
    }
    const given = ['serve', ...access, '--data', join(this.dir, 'data'), '--listen', listen];
    this.child = spawn(annals(), given, { env: { ...clean, ...this.settings }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.said = '';
    this.child.stderr.on('data', (bytes) => (this.said += bytes));
    for await (const line of createInterface({ input: this.child.stdout })) {
      assert.match(line, /^listening on /, this.said);
      this.url = line.replace('listening on ', '').trim();
      break;
    }
    assert.ok(this.url, `the server did not start: ${this.said}`);
    await until(async () => (await fetch(`${this.url}/readyz`)).ok, 'the server to be ready');
  }

  async stop(signal = 'SIGTERM') {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill(signal);
    await ended;
  }

  async end() {
    await this.stop('SIGKILL');
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** Sends events, a thousand at a time, and waits until they are found. */
  async send(lines) {
    const all = (Array.isArray(lines) ? lines.map((event) => JSON.stringify(event)) : lines.split('\n')).filter(Boolean);
    for (let at = 0; at < all.length; at += 1_000) {
      const answer = await fetch(`${this.url}/v1/events?wait=searchable`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-ndjson', ...this.shown() },
        body: all.slice(at, at + 1_000).join('\n'),
      });
      assert.equal(answer.status, 201, await answer.text());
    }
    await until(async () => {
      const { watermarks } = await this.json('/v1/events?limit=1&count=none');
      return watermarks.signed >= watermarks.durable && watermarks.searchable >= watermarks.durable;
    }, 'everything to be searchable and signed');
  }

  /** The header with the key, if one is asked for. */
  shown() {
    return this.key ? { 'x-api-key': this.key } : {};
  }

  async json(path) {
    const answer = await fetch(this.url + path, { headers: this.shown() });
    assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.clone().text()}`);
    return answer.json();
  }

  /** The address of the page with this query string. */
  at(query = '') {
    return `${this.url}${PAGE}${query ? `?${query}` : ''}`;
  }
}

/** Waits until there is something, looking again and again. */
export async function until(look, what) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await Promise.resolve().then(look).catch(() => undefined);
    if (found) return found;
    assert.ok(Date.now() < end, `waited ${PATIENCE_MS} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Made-up events whose times end now. */
export function demoEvents(n, days = 6) {
  return execFileSync(annals(), ['demo', '--events', String(n), '--days', String(days)], { maxBuffer: 1 << 28, encoding: 'utf8' });
}

/** Real events, every `nth` of them, or none and a loud notice. */
export function realEvents(nth = IS_SOAK ? 1 : 10) {
  if (!existsSync(REAL)) {
    console.error(`\n  ******  NOT TESTED: the real events are not there (${REAL})  ******\n`);
    return undefined;
  }
  const lines = execFileSync('zstd', ['-dc', REAL], { maxBuffer: 1 << 28, encoding: 'utf8' }).split('\n');
  return lines.filter((line, at) => line && at % nth === 0).join('\n');
}

let browser;
const worlds = new Map();

/** The browser, started once. */
export async function theBrowser() {
  const quiet = ['--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
  browser ??= chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu', ...quiet] });
  return browser;
}

/** A world that several tests look at and none changes; `make` is called once. */
export function shared(name, make) {
  if (!worlds.has(name)) worlds.set(name, make());
  return worlds.get(name);
}

/** Real events, looked at only; nothing where they are not there. */
export const real = () => shared('real', async () => { const events = realEvents(); return events && World.start(events); });

/** A server that has read everything again and found a segment that rotted. */
export const damaged = () =>
  shared('damaged', async () => {
    const world = await World.start('', { ANNALS_SEGMENT_EVENTS: '64', ANNALS_SCRUB_PERIOD_S: '1' });
    // What is sent together lies in one segment.
    const events = demoEvents(200).split('\n');
    while (events.length > 0) await world.send(events.splice(0, 50).join('\n'));
    const segments = () => readdirSync(join(world.dir, 'data/log')).filter((name) => name.endsWith('.seg'));
    await until(() => segments().length > 0, 'a sealed segment');
    const path = join(world.dir, 'data/log', segments()[0]);
    const bytes = readFileSync(path);
    bytes[4_100] ^= 1;
    // A sealed segment is read-only: another file takes its place.
    writeFileSync(`${path}.rot`, bytes);
    renameSync(`${path}.rot`, path);
    await until(async () => (await world.json('/v1/log')).integrity.state === 'failed', 'the damage to be found');
    return world;
  });

/** Made-up events, looked at only. */
export const demo = () => shared('demo', () => World.start(demoEvents(IS_SOAK ? 20_000 : 3_000)));

/** Closes what is shared. */
export async function endAll() {
  await (await browser)?.close();
  for (const world of worlds.values()) await (await world.catch(() => undefined))?.end();
}

// Scripts that are no tests use the same verbs and end by themselves.
if (/\.test\.mjs$/.test(process.argv[1])) after(endAll);

/**
 * A page of a fresh browser profile. Whatever the console says as an error or warning, whatever the policy blocks and every
 * uncaught exception fails the test, unless it is expected.
 */
export async function withPage(options, run) {
  const { script = true, zone, width = 1280, height = 900, theme = 'light', expected = [], ...more } = options;
  const context = await (await theBrowser()).newContext({
    javaScriptEnabled: script,
    viewport: { width, height },
    colorScheme: theme,
    acceptDownloads: true,
    timezoneId: 'UTC',
    ...more,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const complaints = [];
  const complain = (text) => expected.some((pattern) => pattern.test(text)) || complaints.push(text);
  const listen = (page) => {
    page.on('console', (message) => ['error', 'warning'].includes(message.type()) && complain(`console: ${message.text()} ${message.location().url}`));
    page.on('pageerror', (error) => complain(`uncaught: ${error.stack}`));
    page.on('requestfailed', (request) => {
      const why = request.failure()?.errorText;
      // What was asked for and is not wanted any more; and scripts of a browser that runs none.
      if (!/ERR_ABORTED/.test(why) && !(!script && why === 'csp' && request.url().endsWith('.js'))) complain(`request: ${why} ${request.url()}`);
    });
  };
  context.on('page', listen);
  if (ASSETS) await context.route(/_assets\/[^/]+\/[^/]+\.(js|css)$/, (route) => route.fulfill({ path: join(ASSETS, new URL(route.request().url()).pathname.split('/').pop()) }));
  if (script) {
    await context.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
    });
  }
  if (zone) await chooseZone(context, zone, options.world);
  const page = await context.newPage();
  try {
    const result = await run(page, context);
    assert.deepEqual(complaints, [], 'the browser complained');
    return result;
  } finally {
    await context.close();
  }
}

/** The viewer's zone, as the display menu would set it. */
export async function chooseZone(context, zone, world, others = '') {
  const value = new URLSearchParams({ theme: 'auto', rows: 'two', keys: 'on', tz: zone }).toString() + others;
  await context.addCookies([{ name: 'annals_view', value, url: `${world.url}${PAGE}` }]);
}

/** Loads the page and waits until its script runs. */
export async function visit(page, url) {
  const answer = await page.goto(url);
  await page.waitForSelector('html.js');
  return answer;
}

/** Does something and waits until other results are there. */
export async function shows(page, act) {
  const before = await page.$('#results');
  await act();
  await page.waitForFunction((old) => document.querySelector('#results') !== old && !document.querySelector('[aria-busy]'), before);
}

export const total = (page) => page.$eval('#results', (results) => Number(results.dataset.total));
export const rowIds = (page) => page.$$eval('#entries tr.e', (rows) => rows.map((row) => row.dataset.id));

export { assert, readFileSync };

/** What axe finds, in few words: everything about WCAG 2.2 AA and its best practices, or only these rules. */
export async function axe(page, rules) {
  await page.evaluate(axeSource());
  const runOnly = rules ?? ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
  const { violations } = await page.evaluate((only) => window.axe.run(document, { resultTypes: ['violations'], runOnly: only }), runOnly);
  return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 200)).join(' | ')} (${nodes.length})`);
}

let source;
const axeSource = () => (source ??= readFileSync(join(HERE, 'node_modules/axe-core/axe.min.js'), 'utf8'));
