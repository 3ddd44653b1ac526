// What a visitor waits for, in a real browser, one line each: from the input to the painted result, bytes of page, style and
// script, requests, layout shift. Nothing is asserted; `make bench` prints it.
//
//     node bench.mjs [EVENTS]       a release build if there is one; BENCH_URL measures a server that runs

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { endAll, PAGE, ROOT, until, visit, withPage, World } from './world.mjs';

process.env.ANNALS_BIN ??= [join(ROOT, 'target/release/annals'), join(ROOT, 'target/debug/annals')].find(existsSync);
const events = Number(process.argv[2] ?? process.env.ANNALS_BENCH_EVENTS ?? 20_000);
const TURNS = Number(process.env.BENCH_TURNS ?? 15);

const running = process.env.BENCH_URL;
const world = running ? Object.assign(new World(), { url: running, end() {} }) : await World.start();
if (!running) {
  // By way of the commands: a million events do not fit in a string.
  const annals = process.env.ANNALS_BIN;
  execFileSync('sh', ['-c', `"${annals}" demo --events ${events} --days 30 | "${annals}" append --url ${world.url} -`], { stdio: 'ignore' });
  await until(async () => (await world.json('/v1/events?limit=1')).watermarks.searchable >= events, 'the index');
  // Merging takes a core: it is not what is measured here.
  const left = (metrics, name) => Number(metrics.match(new RegExp(`^${name} (\\d+)$`, 'm'))[1]);
  await until(async () => {
    const metrics = await (await fetch(`${world.url}/metrics`)).text();
    return left(metrics, 'annals_index_spans_unbuilt') + left(metrics, 'annals_index_spans_unmerged') === 0;
  }, 'the spans to be merged');
}

const sorted = (values) => values.toSorted((a, b) => a - b);
const at = (values, part) => sorted(values)[Math.min(Math.floor(values.length * part), values.length - 1)];
const print = (what, value, goal = '') => console.log(`browser  ${what.padEnd(44)} ${value}${goal && `   (goal ${goal})`}`);

/** Prints p50 and p95 of what `painted` measured. */
function report(what, took) {
  const [first, all] = [0, 1].map((which) => took.map((pair) => pair[which]));
  const ms = (values, part) => at(values, part).toFixed(0);
  print(what, `p50 ${ms(first, 0.5)}, p95 ${ms(first, 0.95)} ms; one frame on ${ms(all, 0.5)} and ${ms(all, 0.95)} ms`, '100 ms');
}

/** From just before an input to when the frame is painted that shows its result, and to one frame on, when the rows below the window are laid out too, ms. */
async function painted(page, act) {
  return page.evaluate(async ([selector, kind, value]) => {
    const old = document.querySelector(selector.watch);
    const before = performance.now();
    const seen = new Promise((resolve) => {
      const look = () => {
        const now = document.querySelector(selector.watch);
        if (now === old) return requestAnimationFrame(look);
        // A timer that is set in a frame runs when that one is painted.
        const took = [];
        setTimeout(() => took.push(performance.now() - before));
        return requestAnimationFrame(() => setTimeout(() => resolve([...took, performance.now() - before])));
      };
      look();
    });
    const target = document.querySelector(selector.on);
    if (kind === 'click') target.click();
    else {
      target.value = value;
      target.dispatchEvent(new Event('input', { bubbles: true }));
    }
    return seen;
  }, act);
}

const idle = (page) => page.evaluate(() => new Promise((resolve) => requestIdleCallback(resolve)));
const TYPING_MS = 150;
try {
  await withPage({}, async (page) => {
    const requests = [];
    page.on('request', (request) => requests.push(request.url()));
    await page.addInitScript(() => {
      window.shift = 0;
      new PerformanceObserver((list) => list.getEntries().forEach((entry) => (window.shift += entry.value))).observe({ type: 'layout-shift', buffered: true });
    });
    await visit(page, world.at());
    await idle(page);
    // As they are sent, without headers.
    const sent = await page.evaluate(() =>
      [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')].map((entry) => [entry.name, entry.encodedBodySize]));
    const bytes = (pattern) => sent.filter(([url]) => pattern.test(url)).reduce((sum, [, length]) => sum + length, 0);
    const kib = (n) => `${(n / 1024).toFixed(1)} KiB`;
    print('page of 50 rows', kib(bytes(new RegExp(`${PAGE}$`))), '25 KiB');
    print('style', kib(bytes(/\.css$/)), '8 KiB');
    print(`script, ${sent.filter(([url]) => url.endsWith('.js')).length} modules`, kib(bytes(/\.js$/)), '15 KiB');
    print('requests elsewhere', requests.filter((url) => !url.startsWith(world.url)).length, '0');
    print('layout shift', await page.evaluate(() => window.shift), '0');

    const results = { on: '', watch: '#results' };
    const kinds = {
      'a category in the strip': () => [{ ...results, on: '.strip a:nth-of-type(4)' }, 'click'],
      'All in the strip': () => [{ ...results, on: '.strip a' }, 'click'],
      'the next page': () => [{ ...results, on: '#older' }, 'click'],
      'a tick in a menu': () => [{ ...results, on: '#m-type .opt input' }, 'click'],
      'an entry opens': () => [{ on: 'tr.e:not(.open) .tw', watch: 'tr.e:not(.open)' }, 'click'],
    };
    for (const [name, act] of Object.entries(kinds)) {
      const took = [];
      for (let turn = 0; turn < TURNS; turn += 1) {
        if (name !== 'All in the strip') await visit(page, world.at());
        else await visit(page, world.at('action=contacts'));
        await idle(page);
        took.push(await painted(page, act()));
      }
      report(`${name}: input to paint`, took);
    }
    const typed = [];
    for (const word of ['maya', 'role', 'contact', 'sms', 'admin', 'invoice', 'agent', 'berlin', 'yes', 'open']) {
      typed.push((await painted(page, [{ on: '[name=q]', watch: '#results' }, 'type', word])).map((ms) => ms - TYPING_MS));
    }
    report(`a word, after ${TYPING_MS} ms of quiet: input to paint`, typed);
  });
} finally {
  await world.end();
  await endAll();
}
