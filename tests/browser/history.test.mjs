// Back and forward: rows, filters, menus' numbers, scroll and focus are those that were left, and no address is ever wrong.

import { test } from 'node:test';

import { assert, demo, rowIds, shows, total, visit, withPage } from './world.mjs';

const look = async (page) => ({
  address: page.url().split('?')[1] ?? '',
  ids: await rowIds(page),
  total: await total(page),
  title: await page.title(),
  chips: await page.locator('.chip').allInnerTexts(),
  q: await page.inputValue('[name=q]'),
  menus: await page.locator('.filters > .menu > summary').allInnerTexts(),
  current: await page.locator('.strip [aria-current]').allInnerTexts(),
  exported: await page.getAttribute('#export', 'href'),
});

test('back and forward show what was there, step by step', async () => {
  const world = await demo();
  await withPage({}, async (page) => {
    await visit(page, world.at());
    const seen = [await look(page)];
    const steps = [
      () => page.click('.strip a:has-text("Contacts")'),
      () => page.click('td.v a >> nth=0'),
      () => page.click('.chip a >> nth=0'),
      () => page.click('#older'),
      () => page.click('.sizes a:has-text("25")'),
      () => page.locator('svg.plot:not(.layer) > a .b').last().click({ force: true }),
    ];
    for (const step of steps) {
      await shows(page, step);
      seen.push(await look(page));
      assert.notEqual(seen.at(-1).address, seen.at(-2).address, 'each step changes the address');
    }
    for (let at = seen.length - 2; at >= 0; at -= 1) {
      await shows(page, () => page.evaluate(() => history.back()));
      assert.deepEqual(await look(page), seen[at], `back to ${at}`);
    }
    for (let at = 1; at < seen.length; at += 1) {
      await shows(page, () => page.evaluate(() => history.forward()));
      assert.deepEqual(await look(page), seen[at], `forward to ${at}`);
    }
    // The address alone gives the same page.
    await page.reload();
    await page.waitForSelector('html.js');
    assert.deepEqual(await look(page), seen.at(-1));
  });
});

test('back restores scroll, focus and what was open', async () => {
  const world = await demo();
  await withPage({ height: 700 }, async (page) => {
    await visit(page, world.at('range=all'));
    await page.locator('.tw').nth(20).click();
    await page.waitForSelector('tr.d');
    const link = page.locator('.tw').nth(30);
    await link.scrollIntoViewIfNeeded();
    await link.focus();
    const [y, focused, address] = await page.evaluate(() => [Math.round(scrollY), document.activeElement.closest('tr').id, location.search]);
    assert.ok(y > 100);
    await shows(page, () => page.evaluate(() => document.querySelector('#older').click()));
    await shows(page, () => page.evaluate(() => history.back()));
    assert.equal(await page.evaluate(() => location.search), address);
    assert.equal(await page.locator('tr.d').count(), 1);
    assert.equal(await page.evaluate(() => document.activeElement.closest('tr')?.id), focused);
    const now = await page.evaluate(() => Math.round(scrollY));
    assert.ok(Math.abs(now - y) <= 1, `scrolled to ${now}, was at ${y}`);
  });
});

test('back from another page comes to the same place', async () => {
  const world = await demo();
  await withPage({ height: 700 }, async (page) => {
    await visit(page, world.at('range=all'));
    await page.locator('.tw').nth(5).click();
    await page.waitForSelector('tr.d');
    await page.evaluate(() => scrollTo(0, 600));
    const id = (await rowIds(page))[5];
    await page.goto(`${world.at()}entries/${id}`);
    await page.goBack();
    await page.waitForSelector('html.js');
    assert.equal(await page.locator('tr.d').count(), 1);
    assert.equal(await page.evaluate(() => Math.round(scrollY)), 600);
  });
});

test('opening entries and typing replace the address, filters add to the history', async () => {
  const world = await demo();
  await withPage({}, async (page) => {
    await visit(page, world.at('range=all'));
    const length = () => page.evaluate(() => history.length);
    const before = await length();
    await page.click('.tw >> nth=2');
    await page.waitForSelector('tr.d');
    await shows(page, () => page.fill('[name=q]', 'maya'));
    assert.equal(await length(), before);
    await shows(page, () => page.click('.strip a >> nth=2'));
    assert.equal(await length(), before + 1);
  });
});

test('a newer request takes the place of an older one', async () => {
  const world = await demo();
  await withPage({}, async (page) => {
    await visit(page, world.at('range=all'));
    let release;
    const held = new Promise((resolve) => (release = resolve));
    await page.route(/_results\?.*q=slow/, async (route) => {
      await held;
      await route.continue().catch(() => {});
    });
    const rows = await rowIds(page);
    await page.fill('[name=q]', 'slow');
    await page.waitForSelector('[aria-busy=true]');
    assert.deepEqual(await rowIds(page), rows, 'the old rows stay');
    await page.fill('[name=q]', 'maya');
    await page.waitForURL(/q=maya/);
    release();
    await page.unrouteAll({ behavior: 'wait' });
    await shows(page, () => page.click('.strip a:has-text("Contacts")'));
    assert.match(page.url(), /q=maya/);
    assert.equal(await page.inputValue('[name=q]'), 'maya');
  });
});

test('rows below the window follow those in it, and at once where they are seen or have the focus', async () => {
  const world = await demo();
  // How many rows are laid out as new results come, and once they rest.
  const rowsOf = (page, act) =>
    page.evaluate(async (how) => {
      const shown = () => [...document.querySelectorAll('#results tr.e')].filter((row) => row.offsetHeight > 0).length;
      const old = document.querySelector('#results');
      const first = new Promise((resolve) => {
        const observer = new MutationObserver(() => {
          if (document.querySelector('#results') === old) return;
          observer.disconnect();
          resolve(shown());
        });
        observer.observe(document.body, { childList: true, subtree: true });
      });
      if (how === 'focus') document.querySelectorAll('.tw')[2].focus();
      if (how === 'back') history.back();
      else document.querySelector('#older').click();
      const came = await first;
      await new Promise((resolve) => requestAnimationFrame(() => setTimeout(() => setTimeout(resolve))));
      return [came, shown()];
    }, act);
  await withPage({ height: 700 }, async (page) => {
    await visit(page, world.at('range=all'));
    assert.deepEqual(await rowsOf(page), [20, 50]);
    assert.deepEqual(await rowsOf(page, 'focus'), [50, 50], 'the focus may be in any row');
    assert.deepEqual(await rowsOf(page, 'back'), [50, 50], 'back leads to a place that may be far down');
  });
  await withPage({ height: 1400 }, async (page) => {
    await visit(page, world.at('range=all'));
    assert.deepEqual(await rowsOf(page), [50, 50], 'a tall window shows more');
  });
});
