// The CSV of the page, downloaded with one click, read back and compared with the list: the same rows in the same order, the
// same values, and nothing in it that a spreadsheet would run.

import { test } from 'node:test';

import { assert, demo, readFileSync, real, rowIds, total, visit, withPage } from './world.mjs';

/** RFC 4180, strictly: quotes are doubled, and a field is quoted as a whole or not at all. */
function parse(text) {
  const rows = [];
  let [row, field, at] = [[], '', 0];
  while (at < text.length) {
    if (text[at] === '"') {
      for (;;) {
        const end = text.indexOf('"', at + 1);
        assert.ok(end > 0, 'a quote is not closed');
        field += text.slice(at + 1, end);
        at = end + 1;
        if (text[at] !== '"') break;
        field += '"';
      }
      assert.ok([',', '\r', '\n', undefined].includes(text[at]), `something follows a quoted field at ${at}`);
    }
    const [end] = /[,\r\n]|$/.exec(text.slice(at, at + 1)) ? [at] : [at];
    if (text[end] === ',') {
      row.push(field);
      field = '';
      at += 1;
    } else if (text[end] === '\r' || text[end] === '\n') {
      rows.push([...row, field]);
      [row, field] = [[], ''];
      at += text[end] === '\r' && text[end + 1] === '\n' ? 2 : 1;
    } else {
      field += text[at];
      at += 1;
    }
  }
  assert.equal(field + row.join(''), '', 'the last line is cut');
  const [head, ...lines] = rows;
  return lines.map((line) => {
    assert.equal(line.length, head.length);
    return Object.fromEntries(head.map((name, nth) => [name, line[nth]]));
  });
}

async function compare(world, query, zone) {
  await withPage({ world, zone }, async (page) => {
    await visit(page, world.at(query));
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#export')]);
    assert.match(download.suggestedFilename(), /^audit-log_(start|\d{8}T\d{4}Z)_\d{8}T\d{4}Z\.csv$/);
    const text = readFileSync(await download.path(), 'utf8');
    assert.equal(text.charCodeAt(0), 0xfeff, 'it begins with the mark that spreadsheets look for');
    const lines = parse(text.slice(1));
    assert.equal(lines.length, await total(page));
    let at = 0;
    for (;;) {
      const ids = await rowIds(page);
      const [locals, utcs] = await page.$eval('#entries', (entries) => ['td.t .l1', 'td.t .l2'].map((cell) => [...entries.querySelectorAll(cell)].map((time) => time.firstChild.data)));
      assert.deepEqual(lines.slice(at, at + ids.length).map(({ id }) => id), ids);
      assert.equal(utcs.length, locals.length);
      const times = await page.$$eval('tr.e time', (all) => all.map((time) => time.dateTime));
      times.forEach((time, nth) => assert.equal(lines[at + nth].time_utc.slice(0, 23), time.slice(0, 23)));
      times.forEach((time, nth) => {
        const local = lines[at + nth].time_local.slice(11, 19);
        assert.ok(locals[nth].includes(local), `${locals[nth]} and ${local}`);
      });
      at += ids.length;
      const older = page.locator('a#older');
      if (at >= 150 || !(await older.count())) break;
      await Promise.all([page.waitForURL(/before=/), older.click()]);
      await page.waitForFunction((first) => document.querySelector('#entries tr.e').dataset.id !== first, ids[0]);
    }
    // What a spreadsheet would run has a quote in front.
    for (const line of lines) for (const [name, value] of Object.entries(line)) assert.doesNotMatch(value, /^[=+@\t\r]/, `${name} of ${line.id}`);
  });
}

test('the CSV is the list: made-up events, two filters and a zone', async () => {
  const world = await demo();
  await compare(world, 'action=contacts&actor_kind=user&range=all', 'Asia/Kolkata');
});

test('the CSV is the list: oldest first', async () => compare(await demo(), 'action=billing&range=all&sort=asc', 'Europe/Berlin'));

test('the CSV is the list: real events', async (t) => {
  const world = await real();
  if (!world) return t.skip('the real events are not there');
  await compare(world, 'range=all', 'America/New_York');
});
