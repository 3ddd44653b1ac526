// What is sealed: shown, hidden or erased on the page, and what the browser itself can check of it.

import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

import { annals, assert, axe, until, visit, withPage, World } from './world.mjs';

const TOML = '[oidc]\nissuer = "http://127.0.0.1:9/none"\nclient_id = "annals"\n[[oidc.roles]]\nvalue = "x"\nscopes = ["read"]\n';

const event = (n) => ({
  id: `ev_${n}`,
  tenant: 'acme',
  action: 'contact.updated',
  actor: { type: 'contact', id: `c_${n}`, name: `Quillwort ${n}`, email: `q${n}@example.org` },
  target: { type: 'contact', id: `c_${n}`, name: `Quillwort ${n}` },
  changes: [{ field: 'phone', before: '+49 170 1', after: `+49 170 2${n}` }],
  context: { ip: '192.0.2.7' },
  reason: 'asked by phone',
  detail: { note: 'zz secret zz', deep: { er: [1.5, null] } },
});

test('what is sealed is open, hidden or erased, and its proof verifies in each case', async () => {
  const world = await World.start([event(1), event(2)], { ANNALS_PURGE_AFTER_S: '0' }, { toml: TOML });
  try {
    const post = async (path, body) => {
      const headers = { 'content-type': 'application/json', ...world.shown() };
      const answer = await fetch(world.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
      assert.ok(answer.ok, `${path}: ${await answer.clone().text()}`);
      return answer.json();
    };
    const look = async (personal, words) => {
      const { path } = await post('/v1/viewers', { user: 'u_1', personal });
      await withPage({}, async (page) => {
        await visit(page, `${world.url}${path}?open=ev_1&range=all`);
        await page.waitForSelector('#entries tr.d [data-verify]');
        const text = await page.$eval('#entries', (entries) => entries.innerText);
        for (const [word, isThere] of Object.entries(words)) assert.equal(text.includes(word), isThere, `${word} in ${text}`);
        await page.click('[data-verify]');
        await page.waitForSelector('[data-verify]:not([aria-disabled])');
        const steps = await page.$$eval('.steps li', (items) => items.map((item) => `${item.className} ${item.textContent}`));
        assert.equal(steps.length, 4, steps.join('\n'));
        assert.ok(steps.every((step) => step.startsWith('ok')), steps.join('\n'));
        assert.deepEqual(await axe(page), []);
      });
    };
    await look(true, { 'zz secret zz': true, '+49 170 21': true, 'Quillwort 1': true, hidden: false, '[erased]': false });
    await look(false, { 'zz secret zz': false, '+49 170 21': false, Quillwort: false, hidden: true, phone: true, c_1: true });
    await post('/v1/erasures', { subject: { type: 'contact', id: 'c_1' }, tenant: 'acme' });
    await until(async () => (await world.json('/v1/erasures')).pending.length === 0, 'the purge');
    await look(true, { 'zz secret zz': false, '+49 170 21': false, 'Quillwort 1': false, 'Quillwort 2': true, '[erased]': true, phone: true, c_1: true });
  } finally {
    await world.end();
  }
});

test('a part that is not what was signed is found by the browser', async () => {
  const world = await World.start([event(1)]);
  try {
    await withPage({}, async (page) => {
      await page.route(/proof\.json/, async (route) => {
        const answer = await (await route.fetch()).json();
        const part = Buffer.from(answer.opened.content, 'base64');
        part[40] ^= 1;
        answer.opened.content = part.toString('base64');
        await route.fulfill({ json: answer });
      });
      await visit(page, world.at('open=ev_1&range=all'));
      await page.click('[data-verify]');
      await page.waitForSelector('[data-verify]:not([aria-disabled])');
      assert.match(await page.$eval('.steps', (steps) => steps.textContent), /does not commit to this part/);
    });
  } finally {
    await world.end();
  }
});

test('of what was cut out the page says so, and nothing passes for it', async () => {
  const world = await World.start([event(1), event(2)]);
  try {
    await until(async () => (await world.json('/v1/log')).watermarks.signed >= 2, 'a checkpoint');
    await world.stop();
    execFileSync(annals(), ['excise', '--data', `${world.dir}/data`, '--reason', 'in clear', '--yes', '0'], { stdio: 'ignore' });
    await world.restart();
    await withPage({}, async (page) => {
      await visit(page, world.at('open=excised-0&range=all'));
      await page.waitForSelector('#entries tr.d .proof');
      const text = await page.$eval('#entries', (entries) => entries.innerText);
      assert.match(text, /cut_out_by/);
      assert.match(text, /Included in the signed log\s+The content was cut out of the log/);
      // There is nothing to hold against the leaf.
      assert.equal(await page.$('[data-verify]'), null);
      assert.deepEqual(await axe(page), []);
      // Nor is an entry verified of which a server only claims that it was cut out.
      await page.route(/proof\.json/, async (route) => {
        const { salt, body, ...rest } = await (await route.fetch()).json();
        await route.fulfill({ json: { ...rest, excised: { by: 2, tenant: 'acme' } } });
      });
      await visit(page, world.at('open=ev_2&range=all'));
      await page.click('[data-verify]');
      await page.waitForSelector('[data-verify]:not([aria-disabled])');
      const steps = await page.$$eval('.steps li', (items) => items.map((item) => item.className));
      assert.deepEqual(steps, ['bad']);
    });
  } finally {
    await world.end();
  }
});
