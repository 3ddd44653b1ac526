// What somebody else wrote into an entry: markup, directions that turn text around, control bytes, very long values, members
// that are missing. All of it is shown as text, nothing of it does anything, and the page stays in shape.

import { test } from 'node:test';

import { assert, axe, real, rowIds, shared, shows, until, visit, WIDTHS, withPage, World } from './world.mjs';

const MARKUP = `"><img src=x onerror="document.title='owned'"><script>document.title='owned'</script><svg onload=alert(1)>&lt;b&gt;'"`;
const BIDI = 'admin\u202etxt.exe\u2066 \u200b\u2028\ufeffend';
const CONTROL = 'a\u0001b\u001b[31mred\u0007\ttab\nline\r\u007f\u0085';
const LONG = 'x'.repeat(190 * 1024);

const EVENTS = [
  { id: 'h-markup', actor: { id: MARKUP, name: MARKUP, email: MARKUP }, action: `contact.${MARKUP.slice(0, 60)}`, target: { type: MARKUP, id: MARKUP, name: MARKUP }, changes: [{ field: MARKUP, before: MARKUP, after: { [MARKUP]: MARKUP } }], reason: MARKUP, detail: { [MARKUP]: MARKUP, url: 'javascript:alert(1)' }, context: { ip: MARKUP, user_agent: MARKUP, request_id: MARKUP } },
  { id: 'h-bidi', actor: { id: BIDI, name: BIDI }, action: 'user.role_changed', target: { type: 'user', id: BIDI, name: BIDI }, changes: [{ field: BIDI, before: BIDI, after: `${BIDI}!` }], detail: { [BIDI]: BIDI } },
  { id: 'h-control', actor: { id: 'u_c', name: CONTROL }, action: 'user.updated', target: { type: 'user', id: 'u_c', name: CONTROL }, changes: [{ field: 'name', before: CONTROL, after: null }], detail: { note: CONTROL } },
  { id: 'h-long', actor: { id: 'u_l', name: 'L'.repeat(512) }, action: `contact.${'v'.repeat(240)}`, target: { type: 't'.repeat(1024), id: 'i'.repeat(1024), name: 'n'.repeat(512) }, changes: [{ field: 'f'.repeat(1024), before: 'short', after: LONG }] },
  { id: 'h-words', actor: { id: 'u_w' }, action: 'contact.updated', changes: [{ field: 'text', before: 'wort '.repeat(18_000), after: 'word '.repeat(18_000) }] },
  { id: 'h-bare', actor: { id: 'x' }, action: 'y' },
  { id: 'h-empty', actor: { id: ' ', name: '' }, action: ' ', target: { id: '' , name: ' ' }, changes: [{ field: '', before: '', after: [] }] },
  { id: '../../../etc/passwd?open=1#x', actor: { id: 'u_p', name: 'Path' }, action: 'user.viewed' },
  { id: '..', actor: { id: 'u_p', name: 'Dots' }, action: 'user.viewed' },
  { id: 'h-deep', actor: { id: 'u_d', name: 'Deep' }, action: 'user.viewed', detail: nest(20) },
  { id: 'h-numbers', actor: { id: 'u_n' }, action: 'invoice.issued', detail: { amount: 12.5, zero: -0 } },
];

function nest(depth) {
  return depth ? { a: [nest(depth - 1), '<b>'] } : {};
}

const world = () => shared('hostile', async () => {
  const started = await World.start();
  for (const event of EVENTS) {
    const answer = await fetch(`${started.url}/v1/events?wait=searchable`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(event) });
    // What the door refuses cannot be shown; it must refuse with words.
    if (answer.status !== 201) assert.equal((await answer.json()).status >= 400, true, event.id);
  }
  return started;
});

/** Nothing that came out of an entry is an element, an attribute that does something, or a link elsewhere. */
async function isHarmless(page) {
  const found = await page.evaluate(() => {
    const bad = [...document.querySelectorAll('main img, main script, main iframe, main object, main style, main svg[onload]')].map((element) => element.outerHTML.slice(0, 200));
    for (const element of document.querySelectorAll('*')) {
      for (const { name } of element.attributes) if (name.startsWith('on')) bad.push(element.outerHTML.slice(0, 200));
    }
    for (const link of document.querySelectorAll('a[href]')) if (new URL(link.href, location.href).origin !== location.origin) bad.push(link.outerHTML.slice(0, 200));
    const text = document.body.innerText + document.title + [...document.querySelectorAll('[aria-label], [title]')].map((element) => element.ariaLabel + element.title).join('');
    // eslint-disable-next-line no-control-regex
    const raw = text.match(/[\u0001-\u0008\u000b\u000c\u000e-\u001f\u007f\u202a-\u202e\u2066-\u2069\u200b\u2028\ufeff]/u);
    if (raw) bad.push(`a raw U+${raw[0].codePointAt(0).toString(16)} near ${JSON.stringify(text.slice(Math.max(raw.index - 30, 0), raw.index + 30))}`);
    if (/owned/.test(document.title) && !/onerror/.test(document.title)) bad.push('a script ran');
    return bad;
  });
  assert.deepEqual(found, []);
}

for (const script of [true, false]) {
  test(`hostile values are text, script ${script ? 'on' : 'off'}`, async () => {
    const here = await world();
    await withPage({ script }, async (page) => {
      page.on('dialog', () => assert.fail('a script ran'));
      await page.goto(here.at('range=all'));
      await isHarmless(page);
      const ids = await rowIds(page);
      assert.ok(ids.length >= 8, `${ids}`);
      for (const id of ids) {
        await page.goto(here.at(new URLSearchParams({ range: 'all', open: id }).toString()));
        assert.equal(await page.locator('tr.d').count(), 1, id);
        await isHarmless(page);
      }
    });
  });
}

test('they are opened, filtered by, copied and verified like any other', async () => {
  const here = await world();
  await withPage({}, async (page, context) => {
    await visit(page, here.at('range=all'));
    const ids = await rowIds(page);
    for (const [nth] of ids.entries()) {
      await page.locator('.tw').nth(nth).click();
      await until(async () => (await page.locator('tr.e').nth(nth).getAttribute('class')).includes('open'), 'the row to open');
      const detail = page.locator(`tr.e >> nth=${nth} >> xpath=following-sibling::tr[1]`);
      await detail.locator('.det[data-id]').waitFor();
      assert.equal(await detail.locator('.det').getAttribute('data-id'), ids[nth]);
      await detail.locator('[data-verify]').click();
      await detail.locator('.steps li', { hasText: 'signed by' }).waitFor();
      assert.equal(await detail.locator('.steps .bad').count(), 0);
      await isHarmless(page);
      await page.locator('.tw').nth(nth).click();
    }
    // The entry's own page is reached by whatever id.
    for (const [nth, id] of ids.entries()) {
      const press = () => page.locator('.tw').nth(nth).click({ modifiers: ['Control'] });
      const [own] = await Promise.all([context.waitForEvent('page'), press()]);
      await own.waitForSelector('.det');
      assert.equal(await own.getAttribute('.det', 'data-id'), id);
      await isHarmless(own);
      await own.close();
    }
  });
});

test('a link on a hostile value finds exactly its entries', async () => {
  const here = await world();
  await withPage({}, async (page) => {
    for (const cell of ['td.a', 'td.v', 'td.g']) {
      await visit(page, here.at('range=all'));
      const row = page.locator('tr.e[data-id="h-markup"]');
      if (!(await row.count())) continue;
      await shows(page, () => row.locator(`${cell} a`).click());
      assert.deepEqual(await rowIds(page), ['h-markup'], cell);
      await isHarmless(page);
    }
  });
});

test('long values keep the page in its width', async () => {
  const here = await world();
  for (const width of WIDTHS) {
    await withPage({ width }, async (page) => {
      await visit(page, here.at('range=all&open=h-long&open=h-markup&open=h-words&open=h-deep'));
      const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
      assert.ok(wide <= room, `${width} px: the page is ${wide} px wide`);
      assert.deepEqual(await axe(page), []);
    });
  }
});

test('real events, which others wrote: pages of them, open, in two widths', async (t) => {
  const world = await real();
  if (!world) return t.skip('the real events are not there');
  for (const width of [320, 1280]) {
    await withPage({ width }, async (page) => {
      await visit(page, world.at('range=all'));
      for (let turn = 0; turn < 4; turn += 1) {
        await isHarmless(page);
        // At once: none waits for another, and none forgets another.
        await page.locator('tr.e .tw').evaluateAll((all, from) => all.slice(from, from + 3).forEach((link) => link.click()), turn * 7);
        await until(async () => (await page.locator('tr.d').count()) === 3, 'three entries to open');
        assert.equal(new URL(page.url()).searchParams.getAll('open').length, 3);
        await isHarmless(page);
        const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
        assert.ok(wide <= room, `${width} px: the page is ${wide} px wide`);
        await shows(page, () => page.click('#older'));
      }
    });
  }
});
