// The live tail: each entry once and in order, through pauses, restarts and kills of the server; rows never move under a reader.

import { test } from 'node:test';

import { assert, demoEvents, rowIds, until, visit, withPage, World } from './world.mjs';

let n = 0;
const event = (action = 'contact.updated') => ({ id: `live-${(n += 1)}`, actor: { id: 'u_live', name: 'Live <i>' }, action });
const liveIds = async (page) => (await rowIds(page)).filter((id) => id.startsWith('live-'));
const newestFirst = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => `live-${to - at}`);

async function inLiveWorld(options, run) {
  const world = await World.start(demoEvents(120));
  n = 0;
  try {
    await withPage({ ...options, world }, (page) => run(page, world));
  } finally {
    await world.end();
  }
}

test('entries come in on top, once and in order', async () => {
  await inLiveWorld({}, async (page, world) => {
    await visit(page, world.at());
    await page.click('#live');
    await page.waitForFunction(() => document.querySelector('#live').getAttribute('aria-pressed') === 'true');
    assert.match(page.url(), /live=1/);
    await world.send([event(), event(), event()]);
    await until(async () => (await liveIds(page)).length === 3, 'three new rows');
    assert.deepEqual((await rowIds(page)).slice(0, 3), newestFirst(1, 3));
    await until(async () => /^[1-3] new entr/.test(await page.textContent('#say')), 'the announcement');
    await until(async () => (await page.locator('tr.new').count()) === 0, 'the tint to go');
    // Counts follow.
    await until(async () => (await page.innerText('#count')) === '123 entries', 'the count to follow');
    await page.click('#live');
    await page.waitForFunction(() => document.querySelector('#live').getAttribute('aria-pressed') === 'false');
  });
});

test('filters hold for what comes', async () => {
  await inLiveWorld({}, async (page, world) => {
    await visit(page, world.at('action=billing&live=1&range=all'));
    await world.send([event('contact.updated'), event('wallet.topped_up'), event('contact.deleted'), event('wallet.topped_up')]);
    await until(async () => (await liveIds(page)).length >= 2, 'two rows');
    assert.deepEqual(await liveIds(page), ['live-4', 'live-2']);
  });
});

test('nothing that is being read moves: entries wait behind a bar', async () => {
  await inLiveWorld({ height: 600 }, async (page, world) => {
    await visit(page, world.at('live=1'));
    await page.locator('.tw').nth(2).click();
    await page.waitForSelector('tr.d');
    const top = () => page.$eval('tr.d', (row) => row.getBoundingClientRect().top);
    const before = await top();
    await world.send([event(), event()]);
    await page.waitForSelector('a.fresh');
    await until(async () => /Show 2 new entries/.test(await page.innerText('a.fresh')), 'the bar to count');
    assert.ok(Math.abs((await top()) - before) <= 1, `what is read moved from ${before} to ${await top()}`);
    assert.deepEqual(await liveIds(page), []);
    await page.keyboard.press('.');
    await page.waitForFunction(() => !document.querySelector('a.fresh'));
    assert.deepEqual((await rowIds(page)).slice(0, 2), newestFirst(1, 2));
    assert.equal(await page.locator('tr.d').count(), 1, 'what was open stays open');

    // Scrolled down, nothing open.
    await page.keyboard.press('x');
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    const rowTop = () => page.$eval('tr.e >> nth=20', (row) => row.getBoundingClientRect().top).catch(() => page.locator('tr.e').nth(20).evaluate((row) => row.getBoundingClientRect().top));
    const at = await rowTop();
    await world.send([event()]);
    await page.waitForSelector('a.fresh');
    assert.ok(Math.abs((await rowTop()) - at) <= 1);
    await page.click('a.fresh');
    assert.deepEqual((await rowIds(page)).slice(0, 3), newestFirst(1, 3));
  });
});

for (const signal of ['SIGTERM', 'SIGKILL']) {
  test(`a restart of the server (${signal}) leaves no gap and gives nothing twice`, async () => {
    const expected = [/ERR_CONNECTION_REFUSED/, /ERR_INCOMPLETE_CHUNKED_ENCODING/, /ERR_EMPTY_RESPONSE/, /ERR_CONNECTION_RESET/, /503/];
    await inLiveWorld({ expected }, async (page, world) => {
      await visit(page, world.at('live=1'));
      await world.send([event(), event()]);
      await until(async () => (await liveIds(page)).length === 2, 'the first rows');
      await world.stop(signal);
      await until(async () => (await page.innerText('#live')) === 'Reconnecting', 'the button to say so');
      await world.restart();
      // Sent before the page is back, most likely: it has to come all the same.
      await world.send([event(), event(), event()]);
      await until(async () => (await liveIds(page)).length >= 5, 'what came meanwhile');
      await until(async () => (await page.innerText('#live')) === 'Live', 'the button to say so');
      await world.send([event()]);
      await until(async () => (await liveIds(page)).length >= 6, 'what comes after');
      assert.deepEqual(await liveIds(page), newestFirst(1, 6));
      assert.equal(new Set(await rowIds(page)).size, (await rowIds(page)).length);
    });
  });
}

test('entries between the page and its tail are not lost', async () => {
  await inLiveWorld({}, async (page, world) => {
    // The script of the page arrives late; what was recorded meanwhile is neither in the page nor new to a tail from now on.
    let release;
    const held = new Promise((resolve) => (release = resolve));
    await page.route(/live\.js/, async (route) => {
      await held;
      await route.fallback();
    });
    await page.goto(world.at('live=1&q=action%3Anone.yet+OR+live'), { waitUntil: 'commit' });
    await page.waitForSelector('#results');
    await world.send([event(), event()]);
    release();
    await page.waitForSelector('html.js');
    await until(async () => (await liveIds(page)).length === 2, 'both rows');
  });
});

test('a list that grows is cut at 500 rows, and the next page begins where it was cut', async () => {
  await inLiveWorld({}, async (page, world) => {
    await visit(page, world.at('live=1'));
    await world.send(Array.from({ length: 520 }, () => event()));
    await until(async () => (await liveIds(page)).length === 500, '500 rows');
    assert.deepEqual(await liveIds(page), newestFirst(21, 520));
    await page.click('#older');
    await until(async () => (await rowIds(page))[0] === 'live-20', 'the next page');
  });
});

test('a range that is over has nothing live, and says why', async () => {
  await inLiveWorld({}, async (page, world) => {
    await visit(page, world.at('to=2026-01-01T00%3A00%3A00Z'));
    assert.match(await page.innerText('#live'), /the range ended in the past/);
    assert.equal(await page.getAttribute('#live', 'aria-disabled'), 'true');
  });
});
