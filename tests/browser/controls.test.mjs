// Every control of the page does what it says, with script and without: the same actions, the same addresses, the same
// numbers, and each number is the one the API gives.

import { describe, test } from 'node:test';

import { assert, damaged, demo, readFileSync, real, rowIds, shows, total, visit, withPage, World, demoEvents, until } from './world.mjs';

/** Does something that leads to another view: in place with script, by loading without. */
async function leads(page, script, act) {
  if (script) return shows(page, act);
  await Promise.all([page.waitForEvent('load'), act()]);
}

const open = (page, menu) => page.click(`#${menu} > summary`);
const query = (page) => new URL(page.url()).searchParams;
const number = (text) => Number(text.match(/[\d,]+(?!.*\d)/)[0].replaceAll(',', ''));
/** The number beside a choice. */
const beside = async (choice) => number(await choice.locator('xpath=..').locator('.n').innerText());

/** A browser notes that a page it loaded is a refusal; of what script fetches it has nothing to note. */
const REFUSED = [/status of 400.*audit-log\/\?/];

/** The logs that every control is tried on, each with a text that some of its entries have, and filters that some pass. */
const LOGS = [
  { log: 'made-up events', start: demo, text: 'maya -action:auth', days: 'range=7d', changed: 'action=contact.updated&range=all', some: 'action=billing&range=all' },
  { log: 'real events', start: real, text: 'security -action:unknown', days: 'from=2020-09-01T00%3A00%3A00Z&to=2020-10-01T00%3A00%3A00Z', changed: 'action=other&q=has%3Atarget&range=all', some: 'q=has%3Atarget&range=all' },
];

for (const { log, start, text, days, changed, some } of LOGS) for (const script of [true, false]) {
  describe(`every control on ${log} with script ${script ? 'on' : 'off'}`, () => {
    const control = (name, at, run, refused = []) =>
      test(name, async (t) => {
        const world = await start();
        if (!world) return t.skip('the real events are not there');
        await withPage({ script, world, expected: script ? [] : refused }, async (page) => {
          if (script) await visit(page, world.at(at));
          else await page.goto(world.at(at));
          await run(page, world);
        });
      });
    const leadsTo = (page, act) => leads(page, script, act);
    /** Chooses in a menu; without script its Apply button has to be pressed. */
    const choose = (page, menu, act) =>
      leadsTo(page, async () => {
        await act();
        if (!script) await page.click(`#${menu} .apply`);
      });

    control('search finds what the API finds', 'range=all', async (page, world) => {
      await leadsTo(page, async () => {
        await page.fill('[name=q]', text);
        if (!script) await page.press('[name=q]', 'Enter');
      });
      const { total: expected } = await world.json(`/v1/events?limit=1&q=${encodeURIComponent(text)}`);
      assert.ok(expected > 0);
      assert.equal(await total(page), expected);
      assert.equal(query(page).get('q'), text);
      assert.equal(query(page).get('range'), 'all');
      assert.ok((await page.title()).includes(text));
    });

    control('Enter in the search keeps all filters', 'range=all&actor_kind=user&action=contacts&target_type=contact', async (page) => {
      await leadsTo(page, async () => {
        await page.fill('[name=q]', 'a*');
        await page.press('[name=q]', 'Enter');
      });
      await page.waitForURL(/q=a/);
      assert.equal(new URL(page.url()).search, '?action=contacts&actor_kind=user&q=a*&range=all&target_type=contact');
    });

    control('a wrong search is told at the field and the rest is kept', 'action=contacts', async (page) => {
      await leadsTo(page, async () => {
        await page.fill('[name=q]', 'actr:x');
        if (!script) await page.press('[name=q]', 'Enter');
      });
      assert.match(await page.innerText('#err-q'), /actr/);
      assert.equal(await page.inputValue('[name=q]'), 'actr:x');
      assert.equal(await page.getAttribute('[name=q]', 'aria-invalid'), 'true');
      assert.match(await page.innerText('#m-action > summary'), /Contacts/);
    }, REFUSED);

    for (const [menu, field] of [['m-actor', 'actor'], ['m-action', 'action'], ['m-type', 'target_type']]) {
      control(`${field}: a tick gives the number beside it, a second one adds, Clear takes all away`, 'range=all', async (page) => {
        const all = await total(page);
        await open(page, menu);
        const boxes = page.locator(`#${menu} .scroll > .opt input, #${menu} .branch > .opt input`);
        const [first, second] = [boxes.nth(0), boxes.nth(1)];
        const [one, two] = [await beside(first), await beside(second)];
        await choose(page, menu, () => first.check());
        assert.equal(await total(page), one);
        assert.equal(query(page).getAll(field).length, 1);
        if (script) assert.equal(await page.$eval(`#${menu}`, (details) => details.open), true, 'the menu stays open');
        else await open(page, menu);
        await choose(page, menu, () => second.check());
        assert.equal(await total(page), one + two);
        assert.equal(await page.innerText(`#${menu} > summary`).then((text) => /2 selected/.test(text)), true);
        if (!script) await open(page, menu);
        await leadsTo(page, () => page.click(`#${menu} .foot button:has-text("Clear")`));
        assert.equal(await total(page), all);
        assert.equal(query(page).getAll(field).length, 0);
      });
    }

    control('an action below a category gives the number beside it', 'range=all', async (page) => {
      await open(page, 'm-action');
      const branch = page.locator('#m-action .branch', { has: page.locator('[value=contacts]') });
      await branch.locator('summary').click();
      const verb = branch.locator('.kid input').nth(0);
      const expected = await beside(verb);
      await choose(page, 'm-action', () => verb.check());
      assert.equal(await total(page), expected);
      const category = page.locator('#m-action [value=contacts]');
      assert.equal(await category.getAttribute('class'), 'mixed');
      if (script) assert.equal(await category.evaluate((box) => box.indeterminate), true);
    });

    control('the switch between people and system', 'range=all', async (page) => {
      const all = await total(page);
      await open(page, 'm-actor');
      let sum = 0;
      for (const kind of ['user', 'system']) {
        const radio = page.locator(`[name=actor_kind][value=${kind}]`);
        const expected = await beside(radio);
        await choose(page, 'm-actor', () => radio.locator('xpath=..').click());
        assert.equal(await total(page), expected);
        sum += expected;
        if (!script) await open(page, 'm-actor');
      }
      // Others have types of their own.
      if (log === 'made-up events') assert.equal(sum, all);
      else assert.ok(sum < all);
    });

    control('the range: presets, all, and between two moments', '', async (page, world) => {
      await open(page, 'm-date');
      await choose(page, 'm-date', () => page.check('[name=range][value="24h"]'));
      assert.equal(query(page).get('range'), '24h');
      const day = await total(page);
      if (!script) await open(page, 'm-date');
      await choose(page, 'm-date', () => page.check('[name=range][value=all]'));
      assert.ok((await total(page)) > day);
      if (!script) await open(page, 'm-date');
      const from = new Date(Date.now() - 3 * 86_400_000).toISOString().slice(0, 11) + '00:00:00';
      await page.check('[name=range][value=custom]');
      await page.fill('[name=to]', '');
      const fillFrom = async () => {
        await page.fill('[name=from]', from);
        if (!script) await page.click('#m-date .apply');
      };
      await leadsTo(page, fillFrom);
      const expected = await world.json(`/v1/events?limit=1&from=${from}Z`);
      if (query(page).has('to')) {
        // The field for the end was still filled when the start was applied: the end is applied next.
        assert.ok(script);
      }
      await until(async () => (await total(page)) === expected.total, 'the total of the range');
    });

    control('a range that ends before it begins is told in the menu', '', async (page) => {
      await open(page, 'm-date');
      await page.check('[name=range][value=custom]');
      await page.fill('[name=from]', '2026-11-20T10:00:00');
      await leadsTo(page, async () => {
        await page.fill('[name=to]', '2026-11-19T10:00:00');
        if (!script) await page.click('#m-date .apply');
      });
      await page.waitForSelector('#err-from');
      assert.match(await page.innerText('#err-from'), /before the end/);
      assert.match(await page.inputValue('[name=from]'), /^2026-11-20T10:00/);
    }, REFUSED);

    control('chips remove one filter each, Clear all removes all', 'action=contacts&actor_kind=user&q=a&range=all', async (page) => {
      const chips = () => page.locator('.chip');
      const before = await chips().count();
      await leadsTo(page, () => page.click('.chip:has-text("Contacts") a'));
      assert.equal(await chips().count(), before - 1);
      assert.equal(query(page).has('action'), false);
      assert.equal(query(page).get('q'), 'a');
      await leadsTo(page, () => page.click('.chips a:has-text("Clear all")'));
      assert.equal([...query(page).keys()].length, 0);
    });

    control('the strip, and its tabs add up to All', 'range=all', async (page) => {
      const counts = await page.$$eval('.strip a .n', (all) => all.map((n) => Number(n.textContent.replaceAll(',', ''))));
      assert.equal(counts[0], counts.slice(1).reduce((a, b) => a + b));
      const tab = page.locator('.strip a:has-text("Billing")');
      const expected = number(await tab.innerText());
      await leadsTo(page, () => tab.click());
      assert.equal(await total(page), expected);
      assert.equal(await page.getAttribute('.strip a:has-text("Billing")', 'aria-current'), 'true');
    });

    control('a bar, and a day of the table, narrow the range to their numbers', days, async (page) => {
      const bars = page.locator('svg.plot:not(.layer) > a');
      const titles = script ? await bars.evaluateAll((all) => all.map((bar) => bar.dataset.tip)) : await bars.locator('title').allTextContents();
      const at = titles.findIndex((title) => number(title) > 0);
      await leadsTo(page, () => bars.nth(at).locator('.hit').click({ force: true, position: { x: 2, y: 60 } }));
      assert.equal(await total(page), number(titles[at]));
      await page.goBack();
      await page.waitForSelector('.astab');
      await page.click('.astab > summary');
      const row = page.locator('.tt tbody tr').nth(2);
      const expected = number(await row.locator('td').innerText());
      await leadsTo(page, () => row.locator('a').click());
      assert.equal(await total(page), expected);
    });

    control('order, page size, older and newer', 'range=all', async (page) => {
      const first = await rowIds(page);
      assert.equal(first.length, 50);
      await leadsTo(page, () => page.click('#older'));
      const second = await rowIds(page);
      assert.equal(new Set([...first, ...second]).size, 100);
      await leadsTo(page, () => page.click('#newer'));
      assert.deepEqual(await rowIds(page), first);
      await leadsTo(page, () => page.click('.sizes a:has-text("100")'));
      assert.deepEqual(await rowIds(page), [...first, ...second]);
      await leadsTo(page, () => page.click('th[aria-sort] a'));
      assert.equal(await page.getAttribute('th[aria-sort]', 'aria-sort'), 'ascending');
      const times = await page.$$eval('tr.e time', (all) => all.map((time) => time.dateTime));
      assert.deepEqual(times, times.toSorted());
    });

    control('an entry opens and closes, with everything that belongs to it', changed, async (page, world) => {
      const id = (await rowIds(page))[1];
      const row = `tr.e[data-id="${id}"]`;
      const click = () => page.click(`${row} .tw`);
      if (script) await click();
      else await leadsTo(page, click);
      await page.waitForSelector('tr.d');
      assert.deepEqual(query(page).getAll('open'), [id]);
      assert.equal(await page.getAttribute(`${row} .tw`, 'aria-expanded'), 'true');
      const controls = await page.getAttribute(`${row} .tw`, 'aria-controls');
      const detail = await page.innerText(`#${controls}`);
      for (const part of ['Before and after', 'Payload', 'Context', 'Integrity', 'Related entries']) assert.ok(detail.includes(part), part);
      const event = await world.json(`/v1/events/${encodeURIComponent(id)}`);
      assert.equal(JSON.parse(await page.textContent(`#${controls} .json`)).id, id);
      assert.ok(detail.includes(event.seq.toLocaleString('en')));
      const related = page.locator(`#${controls} .piv a`).first();
      const expected = number(await related.innerText());
      if (script) await click();
      else await leadsTo(page, click);
      assert.equal(await page.locator('tr.d').count(), 0);
      assert.deepEqual(query(page).getAll('open'), []);
      if (script) await click();
      else await leadsTo(page, click);
      await leadsTo(page, () => related.click());
      assert.equal(await total(page), expected);
    });

    control('actor, verb and target of a row are links that add their filter', 'range=all', async (page) => {
      for (const [cell, name] of [['td.a', 'actor'], ['td.v', 'action']]) {
        await leadsTo(page, () => page.click(`tr.e >> nth=0 >> ${cell} a`));
        assert.equal(query(page).getAll(name).length, 1);
      }
      const target = page.locator('td.g a').first();
      if (await target.count()) {
        await leadsTo(page, () => target.click());
        assert.ok(query(page).has('target') || query(page).has('q') || query(page).has('target_type'));
      }
    });

    control('the entry has a page of its own, its JSON, and its proof', 'range=all', async (page, world) => {
      const id = (await rowIds(page))[0];
      await page.goto(`${world.at()}entries/${id}`);
      assert.match(await page.title(), new RegExp(id));
      assert.equal(JSON.parse(await page.textContent('.json')).id, id);
      const answer = await page.request.get(`${world.at()}entries/${id}.json`);
      assert.deepEqual(await answer.json(), await world.json(`/v1/events/${id}`));
      const [download] = await Promise.all([page.waitForEvent('download'), page.click('a:has-text("Download proof")')]);
      const proof = JSON.parse(readFileSync(await download.path(), 'utf8'));
      const evidence = await world.json(`/v1/events/${id}/evidence`);
      assert.equal(proof.leaf, evidence.leaf);
      await page.click('a:has-text("Audit log")');
      await page.waitForSelector('#results');
    });

    control('JSON Lines is one click away and holds what the list says', some, async (page) => {
      await open(page, 'm-views');
      const [download] = await Promise.all([page.waitForEvent('download'), page.click('#m-views a:has-text("JSON Lines")')]);
      const lines = readFileSync(await download.path(), 'utf8').trim().split('\n').map(JSON.parse);
      assert.equal(lines.length, await total(page));
      assert.deepEqual(lines.slice(0, 50).map(({ id }) => id), await rowIds(page));
      assert.match(download.suggestedFilename(), /^audit-log_start_\d{8}T\d{4}Z\.jsonl$/);
    });

    control('a built-in view is a link', '', async (page) => {
      await open(page, 'm-views');
      await leadsTo(page, () => page.click('#m-views a:has-text("Billing and pricing changes")'));
      assert.deepEqual(query(page).getAll('action'), ['billing', 'pricing']);
    });

    control('the link with fixed times shows the same again, in the same zone', `${days}&q=a*`, async (page) => {
      const [ids, expected] = [await rowIds(page), await total(page)];
      assert.ok(expected > 0);
      await open(page, 'm-date');
      const href = await page.getAttribute('#m-date [data-copy]', 'href');
      const params = new URLSearchParams(href);
      await page.goto(new URL(href, page.url()).href);
      assert.equal(await total(page), expected);
      assert.deepEqual(await rowIds(page), ids);
      assert.equal(query(page).get('tz'), 'UTC');
    });

    control('the badge leads to the signed checkpoint', '', async (page) => {
      assert.match(await page.innerText('#integrity'), /Verified|Sealing|Not checked/);
      await Promise.all([page.waitForEvent('load'), page.click('#integrity')]);
      assert.match(await page.innerText('body'), /^annals\//);
    });

    control('the skip link leads to the entries', '', async (page) => {
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      assert.equal(await page.evaluate(() => document.activeElement.id), 'entries');
    });

    if (log === 'made-up events') test('views are saved and removed, the display is kept', async () => {
      const world = await World.start(demoEvents(50));
      try {
        await withPage({ script, world }, async (page) => {
          const visitPage = (query) => (script ? visit(page, world.at(query)) : page.goto(world.at(query)));
          await visitPage('action=contacts&range=all');
          await open(page, 'm-views');
          await page.fill('#m-views [name=name]', 'Ours <b>');
          await Promise.all([page.waitForEvent('load'), page.click('#m-views button:has-text("Save")')]);
          await visitPage('');
          await open(page, 'm-views');
          await leadsTo(page, () => page.click('#m-views a:has-text("Ours <b>")'));
          assert.equal(page.url().split('?')[1], 'action=contacts&range=all');
          await open(page, 'm-views');
          await Promise.all([page.waitForEvent('load'), page.click('#m-views [aria-label="Remove the view Ours <b>"]')]);
          assert.equal(await page.locator('#m-views a:has-text("Ours")').count(), 0);

          await open(page, 'm-display');
          await page.click('label:has(#theme-dark)');
          await page.click('label:has([name=rows][value=compact])');
          await page.check('[name=keys][value=off]');
          await page.fill('#tz', 'Asia/Kolkata');
          await Promise.all([page.waitForEvent('load'), page.click('#m-display button:has-text("Apply")')]);
          const html = await page.$eval('html', ({ dataset }) => ({ ...dataset }));
          assert.deepEqual([html.theme, html.rows, html.keys], ['dark', 'compact', 'off']);
          assert.match(await page.innerText('th[aria-sort]'), /Kolkata/);
          assert.equal(page.url().split('?')[1] ?? '', 'action=contacts&range=all');
        });
      } finally {
        await world.end();
      }
    });
  });
}

test('without script, a live page is loaded again by itself, and nothing that needs script is in sight', async () => {
  const world = await demo();
  await withPage({ script: false }, async (page) => {
    await page.goto(world.at('range=all'));
    await page.click('.tw >> nth=0');
    await page.waitForSelector('tr.d');
    for (const needs of await page.locator('.needs-js').all()) assert.equal(await needs.isVisible(), false);
    await page.click('#live');
    await page.waitForURL(/live=1/);
    assert.equal(await page.locator('noscript meta[http-equiv=refresh]').count() + await page.locator('meta[http-equiv=refresh]').count() > 0, true);
  });
});

test('the badge follows what is known, without loading the page again', async () => {
  const world = await World.start(demoEvents(20), { ANNALS_SCRUB_PERIOD_S: '0' });
  try {
    await withPage({}, async (page) => {
      await visit(page, world.at('range=all'));
      assert.match(await page.innerText('#integrity'), /Not checked/);
      world.settings.ANNALS_SCRUB_PERIOD_S = '1';
      await world.stop();
      await world.restart();
      await until(async () => (await world.json('/v1/log')).integrity.state === 'passed', 'a round to end');
      await shows(page, () => page.click('.strip a:has-text("Contacts")'));
      assert.match(await page.innerText('#integrity'), /Verified/);
      await shows(page, () => page.goBack());
      await shows(page, () => page.click('.strip a:has-text("Contacts")'));
      assert.match(await page.innerText('#integrity'), /Verified/);
    });
  } finally {
    await world.end();
  }
});

test('a damaged log is told on every page, with its place and the way to the report', async () => {
  const world = await damaged();
  for (const script of [true, false]) {
    await withPage({ script }, async (page) => {
      // The oldest entries are those that cannot be read.
      await page.goto(world.at('range=24h'));
      assert.match(await page.innerText('#integrity'), /Check failed/);
      assert.match(await page.innerText('.note.bad[role=alert]'), /segment 0 at byte 4096/);
      await leads(page, script, () => page.click('.strip a:has-text("Contacts")'));
      assert.match(await page.innerText('.note.bad[role=alert]'), /segment 0 at byte 4096/);
      await Promise.all([page.waitForEvent('load'), page.click('.note.bad a')]);
      assert.match(await page.innerText('body'), /"state":"failed"/);
    });
  }
});

test('a bar tells its bucket and its number, in one tip', async () => {
  const world = await demo();
  await withPage({}, async (page) => {
    await visit(page, world.at());
    const bars = page.locator('svg.plot:not(.layer) > a');
    const tips = await bars.evaluateAll((all) => all.map((bar) => bar.dataset.tip));
    const at = tips.findIndex((tip) => number(tip) > 1);
    assert.equal(await page.locator('.tip').isVisible(), false);
    await bars.nth(at).locator('.hit').hover({ force: true });
    const [start, count] = tips[at].split(/, (.*)/);
    assert.ok((await page.textContent('.tipt')).startsWith(`${start} to `), await page.textContent('.tipt'));
    assert.equal(await page.textContent('.tips'), count);
    assert.equal(await page.locator('.tip').isVisible(), true);
    assert.equal(await page.locator('svg.plot title').count(), 0, 'the browser shows none of its own');
    await page.hover('#count');
    assert.equal(await page.locator('.tip').isVisible(), false);
    await shows(page, () => bars.nth(at).locator('.hit').click({ force: true, position: { x: 2, y: 60 } }));
    await shows(page, () => page.goBack());
    await bars.nth(at).locator('.hit').hover({ force: true });
    assert.equal(await page.textContent('.tips'), count, 'also after the way back');
    assert.equal(await page.locator('[role=slider]').count(), 2);
  });
});

test('the link with fixed times is copied, and follows the filters while its menu is open', async () => {
  const world = await demo();
  await withPage({ zone: 'Asia/Kolkata', world, permissions: ['clipboard-read', 'clipboard-write'] }, async (page) => {
    await visit(page, world.at('action=contacts'));
    await open(page, 'm-date');
    await shows(page, () => page.check('[name=range][value="24h"]'));
    await page.click('#m-date [data-copy]');
    await until(async () => /Copied/.test(await page.innerText('#m-date [data-copy]')), 'the link to say so');
    assert.equal(await page.$eval('#m-date', (menu) => menu.open), true);
    const copied = new URL(await page.evaluate(() => navigator.clipboard.readText()));
    assert.equal(`${copied.origin}${copied.pathname}`, world.at());
    const { action, from, to, tz } = Object.fromEntries(copied.searchParams);
    assert.deepEqual([action, tz, Date.parse(to) - Date.parse(from)], ['contacts', 'Asia/Kolkata', 86_400_000]);
  });
});

test('a large export says that it began, and how large it is', async () => {
  const world = await demo();
  await withPage({}, async (page) => {
    // The server writes the note only above a million entries; what it says is tested there.
    await page.route(/audit-log\/\?/, async (route) => {
      const answer = await route.fetch();
      const note = '<div class="note info" id="exporting" hidden><span><b>Export started.</b> 2,104,551 entries, as CSV about 1.3 GB.</span></div>';
      await route.fulfill({ response: answer, body: (await answer.text()).replace('<section class="card hist"', `${note}$&`) });
    });
    await visit(page, world.at('range=all'));
    assert.equal(await page.locator('#exporting').isVisible(), false);
    await Promise.all([page.waitForEvent('download'), page.click('#export')]);
    assert.equal(await page.locator('#exporting').isVisible(), true);
    await until(async () => /Export started.*1\.3 GB/.test(await page.textContent('#say')), 'the announcement');
  });
});

test('on the narrowest screens the views are in the display menu, the saved ones as well', async () => {
  const world = await World.start(demoEvents(50));
  try {
    await withPage({ width: 320 }, async (page) => {
      await visit(page, world.at('action=contacts&range=all'));
      assert.equal(await page.locator('#m-views').isVisible(), false);
      await shows(page, () => page.click('.strip a:has-text("Team")'));
      await open(page, 'm-display');
      await page.fill('#m-display [name=name]', 'Ours');
      await Promise.all([page.waitForEvent('load'), page.click('#m-display button:has-text("Save this view")')]);
      assert.match(page.url(), /action=team/, 'the view is that of now');
      await visit(page, world.at());
      await open(page, 'm-display');
      await shows(page, () => page.click('#m-display a:has-text("Ours")'));
      assert.equal(page.url().split('?')[1], 'action=team&range=all');
    });
  } finally {
    await world.end();
  }
});

test('find asks the server and keeps what was chosen', async () => {
  const world = await demo();
  await withPage({}, async (page) => {
    await visit(page, world.at('range=all'));
    await open(page, 'm-actor');
    const boxes = page.locator('#m-actor .scroll .opt');
    const chosen = await boxes.first().locator('input').inputValue();
    await shows(page, () => boxes.first().locator('input').check());
    const wanted = await boxes.nth(4).locator('.nm').innerText();
    await page.fill('[name=find_actor]', wanted.split(' ')[0]);
    await page.waitForFunction(() => /that match/.test(document.querySelector('#m-actor .foot').textContent));
    assert.equal(await page.locator('#m-actor .scroll input:checked').first().inputValue(), chosen);
    const found = page.locator('#m-actor .scroll .opt', { hasText: wanted.split('\n')[0] }).last();
    await shows(page, () => found.locator('input').check());
    assert.equal(query(page).getAll('actor').length, 2);
    assert.match(await page.inputValue('[name=find_actor]'), /\S/, 'what was typed stays');
  });
});

test('copy buttons copy, say so, and change back', async () => {
  const world = await demo();
  await withPage({ permissions: ['clipboard-read', 'clipboard-write'] }, async (page) => {
    await visit(page, world.at('range=all'));
    const id = (await rowIds(page))[0];
    await page.click('.tw >> nth=0');
    await page.waitForSelector('tr.d');
    const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
    for (const [name, check] of [
      ['Copy link', (text) => assert.equal(text, `${world.at()}entries/${id}`)],
      ['Copy JSON', (text) => assert.equal(JSON.parse(text).id, id)],
      ['Copy as curl', (text) => assert.ok(text.includes('$AUDIT_TOKEN') && text.includes(`${world.url}/v1/events/${id}`), text)],
    ]) {
      const button = page.locator('.tools .btn', { hasText: name });
      const kind = await button.getAttribute('data-copy');
      await button.click();
      const same = page.locator(`.tools [data-copy=${kind}]`);
      await until(async () => /Copied/.test(await same.innerText()), 'the button to say so');
      await until(async () => /Copied/.test(await page.innerText('#say')), 'the live region to say so');
      check(await clipboard());
      await until(async () => (await same.innerText()).trim() === name, 'the label to come back');
    }
  });
});
