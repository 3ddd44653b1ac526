// Times in two zones: one half an hour off, one on the days the clock changes. Both clocks of a row are one instant, the chart
// cuts days where the viewer's days end, and fields of the range are read in the viewer's zone.

import { test } from 'node:test';

import { assert, shared, shows, total, visit, withPage, World } from './world.mjs';

const AT = [
  // Berlin: on 30 March 2025 at 01:00Z the clock goes from 02:00 to 03:00.
  ['2025-03-29T23:30:00.000Z', '30 Mar 2025 00:30:00', '30 Mar 2025 05:00:00'],
  ['2025-03-30T00:59:59.999Z', '30 Mar 2025 01:59:59', '30 Mar 2025 06:29:59'],
  ['2025-03-30T01:00:00.001Z', '30 Mar 2025 03:00:00', '30 Mar 2025 06:30:00'],
  ['2025-03-30T21:59:59.000Z', '30 Mar 2025 23:59:59', '31 Mar 2025 03:29:59'],
  ['2025-03-30T22:00:00.000Z', '31 Mar 2025 00:00:00', '31 Mar 2025 03:30:00'],
  // On 26 October 2025 at 01:00Z it goes from 03:00 back to 02:00.
  ['2025-10-26T00:30:00.000Z', '26 Oct 2025 02:30:00', '26 Oct 2025 06:00:00'],
  ['2025-10-26T01:30:00.000Z', '26 Oct 2025 02:30:00', '26 Oct 2025 07:00:00'],
  ['2025-10-26T22:59:59.000Z', '26 Oct 2025 23:59:59', '27 Oct 2025 04:29:59'],
];
const world = () => shared('zones', () => World.start(AT.map(([time], nth) => ({ id: `z${nth}`, time, actor: { id: 'u_1' }, action: 'user.invited' }))));

for (const [nth, zone, offsets] of [[1, 'Europe/Berlin', ['UTC+01:00', 'UTC+02:00']], [2, 'Asia/Kolkata', ['UTC+05:30']]]) {
  for (const script of [true, false]) {
    test(`${zone}, script ${script ? 'on' : 'off'}: both clocks are right, also where the clock changes`, async () => {
      const here = await world();
      await withPage({ script, zone, world: here }, async (page) => {
        await page.goto(here.at('range=all&sort=asc'));
        const rows = await page.$$eval('tr.e', (all) => all.map((row) => [row.querySelector('time').dateTime, row.querySelector('td.t .l1').textContent.trim(), row.querySelector('td.t .l2').textContent.trim()]));
        assert.equal(rows.length, AT.length);
        rows.forEach(([instant, local, utc], at) => {
          assert.equal(new Date(instant).toISOString(), AT[at][0]);
          assert.ok(local.startsWith(AT[at][nth]), `${local} is ${AT[at][nth]} in ${zone}`);
          assert.equal(utc, AT[at][0].replace('T', ' '));
        });
        const city = zone.split('/')[1];
        assert.match(await page.innerText('th[aria-sort]'), new RegExp(city));
        await page.goto(here.at('range=all&open=z0&open=z2'));
        const details = await page.$$eval('tr.d', (all) => all.map((row) => row.querySelector('.kv').textContent));
        for (const detail of details) assert.ok(offsets.some((offset) => detail.includes(`${zone}, ${offset}`)), detail);
      });
    });
  }
}

test('a day of 23 hours and one of 25 hours are one bar each, with all of their entries', async () => {
  const here = await world();
  await withPage({ zone: 'Europe/Berlin', world: here }, async (page) => {
    for (const [day, next, entries, hours] of [['2025-03-30', '2025-03-31', 4, 23], ['2025-10-26', '2025-10-27', 3, 25]]) {
      await visit(page, here.at('range=all'));
      await page.click('#m-date > summary');
      await page.check('[name=range][value=custom]');
      await page.fill('[name=from]', `${day}T00:00:00`);
      await page.fill('[name=to]', `${next}T00:00:00`);
      await page.waitForURL(/from=.*to=/);
      await page.waitForFunction((n) => document.querySelector('#results').dataset.total === String(n), entries);
      const { searchParams } = new URL(page.url());
      assert.equal((Date.parse(searchParams.get('to')) - Date.parse(searchParams.get('from'))) / 3_600_000, hours);
      const lines = await page.$$eval('.tt tbody tr', (all) => all.map((row) => Number(row.querySelector('td').textContent)));
      assert.equal(lines.reduce((a, b) => a + b, 0), entries);
    }
  });
});

test('the hour that comes twice is two instants', async () => {
  const here = await world();
  await withPage({ zone: 'Europe/Berlin', world: here }, async (page) => {
    await visit(page, here.at('from=2025-10-26T01%3A00%3A00Z&to=2025-10-26T02%3A00%3A00Z'));
    assert.equal(await total(page), 1);
    assert.equal(await page.getAttribute('tr.e', 'data-id'), 'z6');
  });
});

test('on a first visit times are UTC, and the browser proposes its zone', async () => {
  const here = await world();
  await withPage({ timezoneId: 'Asia/Kolkata' }, async (page) => {
    await visit(page, here.at('range=all'));
    assert.match(await page.innerText('th[aria-sort]'), /UTC/);
    await page.click('#m-display > summary');
    assert.match(await page.inputValue('#tz'), /^Asia\/(Kolkata|Calcutta)$/);
    await Promise.all([page.waitForEvent('load'), page.click('#m-display button:has-text("Apply")')]);
    assert.match(await page.innerText('th[aria-sort]'), /Kolkata|Calcutta/);
    await shows(page, () => page.click('th[aria-sort] a'));
  });
});
