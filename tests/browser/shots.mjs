// Pictures of the main states at three widths, light and dark: to be looked at next to the mock-ups, and two of them for the
// README. `node shots.mjs [DIR]`; `node shots.mjs --readme` makes only docs/page-light.png and docs/page-dark.png.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { damaged, demoEvents, endAll, ROOT, until, visit, withPage, World } from './world.mjs';

const isForReadme = process.argv.includes('--readme');
const out = isForReadme ? join(ROOT, 'docs') : (process.argv[2] ?? join(ROOT, 'tests/browser/shots'));
mkdirSync(out, { recursive: true });

const menu = (id) => (page) => page.click(`#${id} > summary`);

async function drag(page) {
  const box = await page.locator('svg.plot:not(.layer)').boundingBox();
  await page.mouse.move(box.x + box.width * 0.62, box.y + 50);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.67, box.y + 50, { steps: 4 });
}

/** An entry with a before and an after. */
async function open(page) {
  await page.locator('tr.e:has(del):has(ins) .tw').first().click();
  await page.waitForSelector('tr.d');
}

async function find(page) {
  await menu('m-actor')(page);
  await page.locator('#m-actor .scroll input').nth(3).check();
  await page.waitForURL(/actor=/);
  await page.fill('[name=find_actor]', 'ma');
  await page.waitForFunction(() => /that match/.test(document.querySelector('#m-actor .foot').textContent));
}

/** Entries that come while one is being read. */
async function wait(page) {
  await open(page);
  await world.send([1, 2].map(() => ({ actor: { id: 'u_81', name: 'Maya Lindqvist' }, action: 'contact.viewed' })));
  await page.waitForSelector('a.fresh');
}

/** Name, address, what to do there, whether the whole page is in the picture, and of which server. */
const STATES = [
  ['list', ''],
  ['open', '', open, true],
  ['filtered', 'action=contact.deleted&action=contact.updated&q=a*', menu('m-action')],
  ['actor', '', menu('m-actor')],
  ['date', '', menu('m-date')],
  ['display', '', menu('m-display')],
  ['views', '', menu('m-views')],
  ['brush', 'action=contacts', drag],
  ['no-match', 'q=nothingofthekind'],
  ['wrong', 'range=2d'],
  ['live', 'live=1'],
  ['waiting', 'live=1', wait],
  ['found', '', find],
  ['damaged', 'range=24h', undefined, false, damaged],
  ['keys', '', (page) => page.keyboard.press('?')],
  ['entry', undefined],
];

const README = [['page-light', 'light'], ['page-dark', 'dark']];

// Read again at once, so that the badge has something to tell.
const world = await World.start(demoEvents(12_000, 7), { ANNALS_SCRUB_PERIOD_S: '1' });
await until(async () => (await world.json('/v1/log')).integrity.checked?.events === 12_000, 'everything to be read again');
const { events } = await world.json('/v1/events?limit=1&q=change:role');
try {
  for (const theme of ['light', 'dark']) {
    for (const width of isForReadme ? [1280] : [1280, 900, 375]) {
      await withPage({ theme, width, height: width < 500 ? 812 : 820, zone: 'Europe/Berlin', world, expected: [/status of 400/] }, async (page) => {
        if (isForReadme) {
          const [name] = README.find(([, other]) => other === theme);
          await visit(page, world.at());
          if (theme === 'light') await open(page);
          await page.evaluate(() => scrollTo(0, 0));
          await page.screenshot({ path: join(out, `${name}.png`) });
          return;
        }
        for (const [name, query, act, isWhole, other] of STATES) {
          const at = (await other?.())?.at(query) ?? (query === undefined ? `${world.at()}entries/${events[0].id}` : world.at(query));
          await visit(page, at);
          await act?.(page);
          await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
          await page.screenshot({ path: join(out, `${name}-${width}-${theme}.png`), fullPage: Boolean(isWhole) });
          if (name === 'brush') await page.mouse.up();
        }
      });
    }
  }
} finally {
  await world.end();
  await endAll();
}
console.log(out);
