// The page without a mouse: every control is reached and used with keys alone; the single keys do what the list of them says,
// never while text is typed, and can be switched off.

import { test } from 'node:test';

import { assert, demo, rowIds, shows, total, until, visit, withPage } from './world.mjs';

const focused = (page) => page.evaluate(() => {
  const { activeElement: active } = document;
  return active.id || active.name || active.closest('tr')?.dataset.id || active.closest('details')?.id || active.className || active.tagName;
});

test('Tab goes through everything in order, the focus is always in sight, and nothing traps it', async () => {
  const world = await demo();
  await withPage({ height: 800 }, async (page) => {
    await visit(page, world.at('range=all&limit=25&action=contacts'));
    const seen = [];
    for (let n = 0; n < 400; n += 1) {
      await page.keyboard.press('Tab');
      const where = await page.evaluate(() => {
        const { activeElement: active } = document;
        if (active === document.body) return undefined;
        const box = active.getBoundingClientRect();
        const at = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
        const style = getComputedStyle(active);
        const isCovered = !(at && (active.contains(at) || at.contains(active) || at.closest('label')?.contains(active)));
        return {
          name: active.id || active.name || active.className.baseVal || active.className || active.tagName,
          isInSight: box.bottom > 0 && box.top < innerHeight && box.height > 0,
          isCovered,
          hasRing: style.outlineStyle !== 'none' || Boolean(active.closest('label')) || active.matches('.slider'),
          html: active.outerHTML.slice(0, 150),
        };
      });
      if (!where) break;
      seen.push(where);
    }
    assert.ok(seen.length < 400, 'Tab comes to an end');
    for (const { isInSight, isCovered, hasRing, html } of seen) assert.ok(isInSight && !isCovered && hasRing, `in sight ${isInSight}, covered ${isCovered}, ring ${hasRing}: ${html}`);
    const names = seen.map(({ name }) => name);
    const order = ['skip', 'integrity', 'live', 'export', 'q', 'tw', 'older'].map((name) => names.indexOf(name));
    assert.ok(order.every((at) => at >= 0), `${names.slice(0, 30)}`);
    assert.deepEqual(order, order.toSorted((a, b) => a - b));
    assert.equal(names.filter((name) => name === 'tw').length, 25);
  });
});

test('a filter is chosen, applied and removed with keys', async () => {
  const world = await demo();
  await withPage({}, async (page) => {
    await visit(page, world.at('range=all'));
    await page.focus('#m-action > summary');
    await page.keyboard.press('Enter');
    await page.focus('#m-action [value=contacts]');
    await shows(page, () => page.keyboard.press('Space'));
    assert.match(page.url(), /action=contacts/);
    assert.equal(await focused(page), 'action', 'focus stays on the box');
    await page.keyboard.press('Escape');
    assert.equal(await focused(page), 'm-action', 'Esc gives focus back to the button');
    assert.equal(await page.$eval('#m-action', (menu) => menu.open), false);
    await page.focus('.chip a');
    await shows(page, () => page.keyboard.press('Enter'));
    assert.doesNotMatch(page.url(), /action=/);
    assert.equal(await focused(page), 'q', 'focus does not fall off the page');
  });
});

test('single keys', async () => {
  const world = await demo();
  await withPage({ permissions: ['clipboard-read', 'clipboard-write'] }, async (page) => {
    await visit(page, world.at('range=all'));
    const press = (key) => page.keyboard.press(key);
    const ids = await rowIds(page);

    await press('/');
    assert.equal(await focused(page), 'q');
    await press('j');
    await page.waitForURL(/q=j/);
    assert.equal(await page.inputValue('[name=q]'), 'j', 'in a text field a key is a letter');
    await shows(page, () => page.fill('[name=q]', ''));
    await press('Escape');
    assert.equal(await page.evaluate(() => document.activeElement === document.body), true);

    await press('j');
    assert.equal(await focused(page), ids[0]);
    await press('j');
    await press('ArrowDown');
    await press('k');
    assert.equal(await focused(page), ids[1]);
    await press('Enter');
    await page.waitForSelector('tr.d');
    assert.equal(await focused(page), ids[1], 'opening keeps focus');
    await press('j');
    await press('o');
    await until(async () => (await page.locator('tr.d').count()) === 2, 'the second entry to open');
    await press('o');
    assert.equal(await page.locator('tr.d').count(), 1);
    await press('c');
    await until(async () => (await page.evaluate(() => navigator.clipboard.readText())) === `${world.at()}entries/${ids[2]}`, 'the link to be copied');
    await press('x');
    assert.equal(await page.locator('tr.d').count(), 0);

    await press('f');
    assert.equal(await page.$eval('#m-actor', (menu) => menu.open), true);
    await press('Escape');
    await shows(page, () => press(']'));
    assert.match(page.url(), /before=/);
    await shows(page, () => press('['));
    assert.deepEqual(await rowIds(page), ids);
    await page.evaluate(() => scrollTo(0, 800));
    await press('g');
    await press('g');
    assert.equal(await page.evaluate(() => scrollY), 0);
    await shows(page, () => press('l'));
    assert.match(page.url(), /live=1/);
    await shows(page, () => press('l'));
    assert.doesNotMatch(page.url(), /live=1/);
    const [download] = await Promise.all([page.waitForEvent('download'), press('e')]);
    assert.match(download.suggestedFilename(), /\.csv$/);
    await press('?');
    assert.match(await page.innerText('dialog[open]'), /Next entry/);
    await press('Escape');
    assert.equal(await page.locator('dialog').count(), 0);
    for (const held of ['Control', 'Alt', 'Meta']) {
      await press(`${held}+/`);
      assert.notEqual(await focused(page), 'q');
    }
  });
});

test('single keys can be switched off', async () => {
  const world = await demo();
  await withPage({}, async (page, context) => {
    await context.addCookies([{ name: 'annals_view', value: 'theme=auto&rows=two&keys=off', url: world.at() }]);
    await visit(page, world.at('range=all'));
    await page.keyboard.press('/');
    assert.notEqual(await focused(page), 'q');
    await page.keyboard.press('j');
    assert.equal(await page.evaluate(() => document.activeElement === document.body), true);
  });
});

test('the range is narrowed with the grips, and Backspace leads back out', async () => {
  const world = await demo();
  await withPage({}, async (page) => {
    await visit(page, world.at());
    const all = await total(page);
    const sliders = page.locator('[role=slider]');
    await sliders.nth(0).focus();
    const max = Number(await sliders.nth(0).getAttribute('aria-valuemax'));
    await page.keyboard.press('Shift+ArrowRight');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowLeft');
    assert.equal(await sliders.nth(0).getAttribute('aria-valuenow'), '10');
    await sliders.nth(1).focus();
    await page.keyboard.press('Home');
    await page.keyboard.press('End');
    await page.keyboard.press('Shift+ArrowLeft');
    assert.equal(await sliders.nth(1).getAttribute('aria-valuenow'), String(max - 10));
    const expected = Number((await page.textContent('.tipt')).match(/([\d,]+) entr/)[1].replaceAll(',', ''));
    assert.ok(expected > 0 && expected < all);
    await page.keyboard.press('Escape');
    assert.equal(await sliders.nth(0).getAttribute('aria-valuenow'), '0');
    await sliders.nth(0).focus();
    await page.keyboard.press('Shift+ArrowRight');
    await sliders.nth(1).focus();
    await page.keyboard.press('Shift+ArrowLeft');
    await shows(page, () => page.keyboard.press('Enter'));
    assert.equal(await total(page), expected);
    await shows(page, () => page.keyboard.press('Backspace'));
    assert.equal(await total(page), all);
  });
});

test('the range is narrowed by dragging; Esc gives it up; a double click leads back out', async () => {
  const world = await demo();
  await withPage({}, async (page) => {
    await visit(page, world.at());
    const before = page.url();
    const box = await page.locator('svg.plot:not(.layer)').boundingBox();
    const [y, left, right] = [box.y + 50, box.x + box.width * 0.3, box.x + box.width * 0.6];
    await page.mouse.move(left, y);
    await page.mouse.down();
    await page.mouse.move(right, y, { steps: 5 });
    assert.match(await page.textContent('.tipt'), / to .*entr/);
    await page.keyboard.press('Escape');
    await page.mouse.up();
    assert.equal(page.url(), before);

    await page.mouse.move(left, y);
    await page.mouse.down();
    await page.mouse.move(right, y, { steps: 5 });
    const expected = Number((await page.textContent('.tipt')).match(/([\d,]+) entr/)[1].replaceAll(',', ''));
    await shows(page, () => page.mouse.up());
    assert.equal(await total(page), expected);
    // Chips have pushed the chart down.
    const now = await page.locator('svg.plot:not(.layer)').boundingBox();
    await shows(page, () => page.mouse.dblclick(now.x + 5, now.y + 20));
    await page.waitForURL(before);
  });
});
