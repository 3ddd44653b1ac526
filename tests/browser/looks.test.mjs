// What can be measured of looks: axe finds nothing in any state × theme × width, nothing sticks out at 320 px, nothing shifts,
// targets are large enough, and the policy is the strict one.

import { get, createServer } from 'node:http';
import { describe, test } from 'node:test';

import { assert, axe, damaged, demo, demoEvents, IS_SOAK, rowIds, shared, shows, until, visit, WIDTHS, withPage, World } from './world.mjs';

/** Few rows, of every kind: axe looks at each of them again and again. */
const few = () =>
  shared('few', () => {
    const changed = (n) => ({ id: `few-${n}`, actor: { id: `u_${n}`, name: 'Ana Moreno', email: 'ana@example.com' }, action: n % 2 ? 'contact.updated' : 'contact.deleted', target: { type: 'contact', id: `c_${n}`, name: 'Anders Holm' }, changes: [{ field: 'stage', before: 'a long text with one word', after: n % 2 ? 'a long text with another word' : null }], context: { ip: '203.0.113.24', request_id: 'r_1' } });
    return World.start(demoEvents(8) + [1, 2, 3, 4].map((n) => JSON.stringify(changed(n))).join('\n'));
  });
const empty = () => shared('empty', () => World.start());
const openMenu = (menu) => (page) => page.click(`#${menu} > summary`);

/** Every state that a visitor can meet: where, how to get there, and what has to be in sight then. */
const STATES = [
  { name: 'the list', at: 'range=all', sees: 'tr.e' },
  { name: 'filters with chips and an open entry', at: 'range=all&action=contact.updated&action=contact.deleted&q=a*', sees: 'tr.d', act: (page) => page.click('.tw >> nth=0') },
  { name: 'the actor menu', at: 'range=all', act: openMenu('m-actor'), sees: '#m-actor .panel' },
  { name: 'the action menu, some chosen', at: 'range=all&action=contact.updated', act: openMenu('m-action'), sees: '#m-action .panel' },
  { name: 'the type menu', at: 'range=all', act: openMenu('m-type'), sees: '#m-type .panel' },
  { name: 'the date menu', at: '', act: openMenu('m-date'), sees: '#m-date .panel' },
  { name: 'the display menu', at: '', act: openMenu('m-display'), sees: '#m-display .panel' },
  { name: 'the views menu', at: '', act: openMenu('m-views'), sees: '#m-views .panel', from: 360 },
  { name: 'the table of days', at: '', act: (page) => page.click('.astab > summary'), sees: '.tt', covered: /^target-size.*class="dot/ },
  { name: 'no match', at: 'q=nothingofthekind&range=all', sees: '.blank' },
  { name: 'a wrong parameter', at: 'range=2d', status: 400, sees: '.err', act: async (page) => (await page.$('#m-date[open]')) ?? openMenu('m-date')(page) },
  { name: 'a wrong query', at: 'q=actr:x', status: 400, sees: '#err-q' },
  { name: 'nothing recorded', world: empty, at: '', sees: '.blank' },
  { name: 'a damaged log', world: damaged, at: 'range=24h', sees: '.note.bad' },
  { name: 'live', at: 'live=1', sees: '#live[aria-pressed=true]' },
  { name: 'the keys', at: '', act: (page) => page.keyboard.press('?'), sees: 'dialog[open]' },
  { name: 'a range in the chart', at: '', act: (page) => page.locator('[role=slider]').first().focus(), sees: '.brush' },
  { name: 'offline', at: '', sees: '#offline', expected: [/ERR_INTERNET_DISCONNECTED/], act: offline },
  { name: 'an entry on its own page', path: (id) => `entries/${id}`, sees: '.det' },
  { name: 'an entry that is not there', path: () => 'entries/none', status: 404, sees: '.blank' },
];

/** What the server answers to a GET, byte for byte. */
const fetchRaw = (world, path) =>
  new Promise((resolve, reject) => {
    get(new URL(path, world.url), async (answer) => {
      const parts = [];
      for await (const part of answer) parts.push(part);
      resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(parts) });
    }).on('error', reject);
  });

/**
 * Every second state has all rules in both themes at all widths, in the long run every state has. For the others each width
 * has all rules in one of the themes, in turn, and in the other one those about colours.
 */
function rules(nth, width, theme) {
  const own = WIDTHS.indexOf(width) % 2 ? 'light' : 'dark';
  return IS_SOAK || nth % 2 === 0 || theme === own ? undefined : ['color-contrast'];
}

async function offline(page) {
  await page.context().setOffline(true);
  await page.fill('[name=q]', 'maya');
}

const isNarrow = (page) => page.evaluate(() => {
  const { scrollWidth, clientWidth } = document.documentElement;
  const wide = [...document.querySelectorAll('main *, header *')].filter((element) => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.right > clientWidth + 1 && !element.closest('.strip, .filters, .json, .vh, .diff, svg, .scroll');
  });
  // Words that stick out of their button.
  const cut = [...document.querySelectorAll('.btn')].filter((button) => button.clientWidth > 0 && button.scrollWidth > button.clientWidth + 1);
  return { scrollWidth, clientWidth, cut: cut.map((button) => button.outerHTML.slice(0, 160)), wide: wide.slice(0, 3).map((element) => element.outerHTML.slice(0, 160)) };
});

describe('axe finds nothing, and nothing sticks out', () => {
  for (const [nth, { name, at, path, sees, act, status = 200, world: other, expected = [], from = 0, covered }] of STATES.entries()) {
    test(`${name}: in light and dark, at ${WIDTHS.filter((width) => width >= from).join(', ')} px`, async () => {
      const world = await (other ?? few)();
      // A browser notes that the page it loaded is a refusal.
      const refused = status === 200 ? [] : [new RegExp(`status of ${status}.*audit-log/(\\?|entries/)`)];
      await withPage({ expected: [...expected, ...refused] }, async (page) => {
        let url = world.at(at);
        if (path) {
          const { events } = await world.json('/v1/events?limit=1&q=action:contact.updated');
          url = world.at() + path(events[0].id);
        }
        const answer = await visit(page, url);
        assert.equal(answer.status(), status);
        await act?.(page);
        for (const width of WIDTHS.filter((width) => width >= from).toReversed()) {
          await page.setViewportSize({ width, height: 900 });
          await page.waitForSelector(sees, { state: 'visible' });
          const { scrollWidth, clientWidth, wide, cut } = await isNarrow(page);
          assert.deepEqual(cut, [], `${width} px`);
          assert.ok(scrollWidth <= clientWidth, `${width} px: the page is ${scrollWidth} px wide: ${wide}`);
          for (const colorScheme of ['light', 'dark']) {
            await page.emulateMedia({ colorScheme });
            // A panel may lie over half of a tab below it, which is no smaller for that.
            const found = (await axe(page, rules(nth, width, colorScheme))).filter((text) => !covered?.test(text));
            assert.deepEqual(found, [], `${colorScheme}, ${width} px`);
          }
        }
      });
    });
  }
});

test('every answer has the strict policy, and the page loads nothing from elsewhere', async () => {
  const world = await demo();
  await withPage({}, async (page) => {
    const requests = [];
    page.on('request', (request) => requests.push(request.url()));
    const answer = await visit(page, world.at('range=all'));
    const policy = answer.headers()['content-security-policy'];
    for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "require-trusted-types-for 'script'", 'trusted-types audit', "frame-ancestors 'none'", "base-uri 'none'"]) assert.ok(policy.includes(part), part);
    assert.equal(answer.headers()['cache-control'], 'no-store');
    await page.click('.tw >> nth=0');
    await page.waitForSelector('tr.d');
    assert.deepEqual(requests.filter((url) => !url.startsWith(world.url)), []);
  });
  await withPage({ script: false }, async (page) => {
    await page.goto(world.at('range=all'));
    assert.equal(await page.locator('[style], [onclick], style, script:not([src])').count(), 0, 'no inline style or script');
  });
});

test('the policy stops HTML from anywhere else', async () => {
  const world = await demo();
  await withPage({ expected: [/TrustedHTML|policy:|Trusted/i] }, async (page) => {
    await visit(page, world.at());
    const refused = await page.evaluate(() => {
      const tried = [() => (document.body.innerHTML = '<b>'), () => window.trustedTypes.createPolicy('other', {}), () => window.trustedTypes.createPolicy('audit', { createHTML: (s) => s })];
      return tried.map((run) => {
        try {
          run();
          return false;
        } catch (error) {
          return error instanceof TypeError;
        }
      });
    });
    assert.deepEqual(refused, [true, true, true]);
  });
});

/** From here on `window.shifts` tells what moved without a hand's doing. */
const watchShifts = (page) =>
  page.addInitScript(() => {
    window.shifts = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts.push(`${entry.value}: ${entry.sources.map(({ node }) => node?.outerHTML?.slice(0, 120) ?? node?.textContent)}`);
    }).observe({ type: 'layout-shift', buffered: true });
  });

test('nothing shifts when the document arrives in pieces', async () => {
  const world = await demo();
  for (const mark of ['id="m-action"', 'id="results"', 'id="entries"']) {
    const server = createServer(async ({ url }, answer) => {
      const { status, headers, body } = await fetchRaw(world, url);
      for (const name of ['content-type', 'content-security-policy']) if (headers[name]) answer.setHeader(name, headers[name]);
      answer.statusCode = status;
      const at = body.indexOf(mark);
      if (at > 0 && headers['content-type'].startsWith('text/html')) {
        answer.write(body.subarray(0, at));
        await new Promise((resolve) => setTimeout(resolve, 400));
        answer.end(body.subarray(at));
      } else answer.end(body);
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      await withPage({ width: 1280 }, async (page) => {
        await watchShifts(page);
        const at = new URL(world.at('range=all'));
        await page.goto(`http://127.0.0.1:${server.address().port}${at.pathname}${at.search}`);
        await page.waitForSelector('html.js #entries');
        await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
        assert.deepEqual(await page.evaluate(() => window.shifts), [], mark);
      });
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }
});

test('nothing shifts: while loading, filtering, opening, going to the next page', async () => {
  const world = await demo();
  for (const width of WIDTHS) {
    await withPage({ width }, async (page) => {
      await watchShifts(page);
      await visit(page, world.at('range=all'));
      await page.locator('#older').evaluate((link) => link.focus());
      await page.evaluate(() => scrollTo(0, 0));
      await page.waitForFunction(() => document.readyState === 'complete');
      await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
      assert.deepEqual(await page.evaluate(() => window.shifts), [], `${width} px`);
      await shows(page, () => page.fill('[name=q]', 'maya'));
      await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
      await rowIds(page);
    });
  }
});

test('on a phone the chosen tab of the strip is in sight, and the strip stays where it was', async () => {
  const world = await demo();
  await withPage({ width: 375 }, async (page) => {
    const place = () => page.$eval('.strip', (strip) => {
      const [tab, box] = [strip.querySelector('[aria-current]').getBoundingClientRect(), strip.getBoundingClientRect()];
      return { scrolled: strip.scrollLeft, isInSight: tab.left >= box.left && tab.right <= box.right + 1 };
    });
    await visit(page, world.at('range=all'));
    await shows(page, () => page.click('.strip a:has-text("Consent")'));
    const { scrolled, isInSight } = await place();
    assert.ok(isInSight && scrolled > 100, `scrolled by ${scrolled}`);
    await shows(page, () => page.fill('[name=q]', 'a*'));
    assert.ok((await place()).isInSight);
    await page.reload();
    await page.waitForSelector('html.js');
    assert.ok((await place()).isInSight);
  });
});

test('targets have at least 24 px, or the room of it', async () => {
  const world = await demo();
  await withPage({ width: 375 }, async (page) => {
    await visit(page, world.at('range=all&action=contacts'));
    await page.click('#m-action > summary');
    const small = await page.$$eval('#m-action .opt, #m-action summary, .chip a, .tw, .pager a, .strip a, .btn', (all) => all.filter((element) => {
      const box = element.getBoundingClientRect();
      return box.width > 0 && (box.height < 24 || box.width < 24);
    }).map((element) => element.outerHTML.slice(0, 120)));
    assert.deepEqual(small, []);
    const low = await page.$$eval('#m-action .panel .opt', (all) => all.filter((option) => option.getBoundingClientRect().height > 0 && option.getBoundingClientRect().height < 40).length);
    assert.equal(low, 0, 'in sheets 40 px');
  });
});

for (const [name, options] of [['forced colours', { forcedColors: 'active' }], ['more contrast', { contrast: 'more' }], ['reduced motion', { reducedMotion: 'reduce' }]]) {
  test(`${name}: axe finds nothing and controls work`, async () => {
    const world = await demo();
    await withPage(options, async (page) => {
      await visit(page, world.at('range=all'));
      await page.click('.tw >> nth=0');
      await page.waitForSelector('tr.d');
      // What the system paints in forced colours is not in the styles that axe reads.
      const found = (await axe(page)).filter((text) => name !== 'forced colours' || !text.startsWith('color-contrast'));
      assert.deepEqual(found, []);
    });
  });
}

test('text at 200 % and with wide spacing is not cut off where it must be read', async () => {
  const world = await demo();
  await withPage({ width: 640 }, async (page) => {
    await visit(page, world.at('range=all'));
    await page.evaluate(() => {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync('* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important } p { margin-bottom: 2em !important }');
      document.adoptedStyleSheets = [sheet];
    });
    await until(async () => (await isNarrow(page)).scrollWidth <= 640, 'the page to stay in its width');
  });
});
