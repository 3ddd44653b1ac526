// Signing in by way of a real provider. The provider is at 127.0.0.1 and the page at localhost, so that to the browser they are
// two sites.

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { SECRET, settings, startProvider } from './provider.mjs';
import { World, assert, axe, demoEvents, total, until, withPage } from './world.mjs';

const FILTERS = 'action=contacts&q=maya&range=30d';
/** A refusal is a page with that status, which the console repeats. */
const REFUSED = [/the server responded with a status of 40[03]/];

/** A server with a provider, ended after `run`. */
async function withProvider(alg, run) {
  const dir = mkdtempSync(join(tmpdir(), 'annals-oidc-'));
  const provider = await startProvider();
  let world;
  try {
    const secret = join(dir, 'secret');
    writeFileSync(secret, `${SECRET}\n`);
    chmodSync(secret, 0o600);
    world = await World.start(demoEvents(300), {}, { toml: settings(provider.issuer, secret) });
    const home = world.at().replace('127.0.0.1', 'localhost');
    provider.serve([`${home}sign-in/callback`], alg);
    await run({ world, home, provider });
  } finally {
    await world?.end();
    await provider.end();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** From the page's address to the provider's question. */
async function toProvider(page, address) {
  await page.goto(address);
  await page.waitForURL(/\/sign-in\?/);
  await page.click('text=Sign in with Example & Co');
  await page.waitForSelector('text=Who are you?');
}

async function signIn(page, address, name) {
  await toProvider(page, address);
  await page.click(`button:has-text("${name}")`);
}

/** Says who they are, and gives the way back to the page instead of taking it. */
async function wayBack(page, who) {
  let answer = await page.request.post(page.url(), { form: { who }, maxRedirects: 0 });
  for (;;) {
    const next = answer.headers().location;
    if (next.includes('/sign-in/callback?')) return next;
    answer = await page.request.get(next, { maxRedirects: 0 });
  }
}

const sessions = async (context) => (await context.cookies()).filter(({ name }) => name === 'annals_session');

/** The newest entries with this action. */
async function entries(world, action, n) {
  return until(async () => {
    const { events } = await world.json(`/v1/events?order=-seq&limit=50&q=${encodeURIComponent(`source:annals action:${action}`)}`);
    return events.length >= n && events;
  }, `${n} entries of ${action}`);
}

for (const [alg, script] of [['RS256', true], ['ES256', false]]) {
  test(`a person signs in and comes back to what they asked for, ${alg}, ${script ? 'with' : 'without'} script`, async () => {
    await withProvider(alg, async ({ world, home }) => {
      await withPage({ script }, async (page, context) => {
        const wanted = `${home}?${FILTERS}`;
        await signIn(page, wanted, 'Maya');
        await page.waitForURL(wanted);
        assert.ok((await total(page)) >= 0);
        assert.equal(await page.innerText('.signed span'), 'Maya Lindqvist');
        const [session, ...others] = await sessions(context);
        assert.deepEqual([others.length, session.path, session.httpOnly, session.sameSite], [0, '/admin/audit-log', true, 'Lax']);
        assert.ok(!page.url().includes('code='), 'nothing of the way stays in the address');

        const [download] = await Promise.all([page.waitForEvent('download'), page.click('#export')]);
        await download.path();
        await page.click('text=Sign out');
        await page.waitForURL(/\/sign-in$/);
        assert.deepEqual(await sessions(context), []);
        await page.goto(wanted);
        await page.waitForURL(/\/sign-in\?/);
        // The provider still knows them: this time nobody asks.
        await page.click('#oidc');
        await page.waitForURL(wanted);
        assert.equal(await page.innerText('.signed span'), 'Maya Lindqvist');
      });
      const maya = { type: 'user', id: 'u_maya', name: 'Maya Lindqvist', email: 'maya@example.com' };
      for (const [action, n] of [['auth.sign_in', 2], ['auth.sign_out', 1]]) {
        for (const { actor, detail, outcome, context } of await entries(world, action, n)) {
          assert.deepEqual([actor, detail, outcome, context.ip], [maya, { by: 'oidc' }, 'success', '127.0.0.1'], action);
        }
      }
      const [exported] = await entries(world, 'audit.exported', 1);
      assert.deepEqual(exported.actor, maya);
      assert.match(exported.detail.query, /contacts/);
    });
  });
}

test('a role says what somebody may do and see', async () => {
  await withProvider('PS256', async ({ home }) => {
    await withPage({ expected: REFUSED }, async (page) => {
      await signIn(page, `${home}?range=all`, 'Sam');
      await page.waitForURL(`${home}?range=all`);
      await page.waitForSelector('html.js');
      assert.equal(await page.innerText('.signed span'), 'Sam <b>Whitlock');
      assert.equal(await page.locator('#export').count(), 0, 'who may not export is not offered it');
      assert.equal((await page.request.get(`${home}export.csv`)).status(), 403);
      const categories = await page.$$eval('#entries tr.e td.v', (cells) => cells.map((cell) => cell.innerText));
      assert.ok(categories.length > 0 && categories.every((text) => /auth\./.test(text)), `only what the role sees: ${categories}`);
      // The page's cookie opens the page and nothing else.
      assert.equal((await page.request.get(new URL('/v1/events', home).href)).status(), 401);
    });
  });
});

test('who has no role is told so, and is not in', async () => {
  await withProvider('EdDSA', async ({ world, home }) => {
    await withPage({ expected: REFUSED }, async (page, context) => {
      await signIn(page, home, 'Eve');
      await page.waitForSelector('h1:has-text("You cannot see this log yet")');
      assert.deepEqual(await sessions(context), []);
      assert.deepEqual(await axe(page), []);
      await page.click('text=Back to signing in');
      await page.waitForSelector('#oidc');
      assert.deepEqual(await axe(page), []);
      assert.equal((await page.request.get(`${home}?range=all`, { maxRedirects: 0, headers: { accept: 'text/html' } })).status(), 303);
    });
    const [refused] = await entries(world, 'auth.sign_in_failed', 1);
    assert.deepEqual([refused.detail, refused.outcome, refused.actor.id], [{ count: 1, by: 'oidc', why: 'no_role' }, 'denied', 'unknown']);
    assert.ok(!JSON.stringify(refused).includes('eve'), 'nothing of the token');
  });
});

test('who says no at the provider is told so and may try again', async () => {
  await withProvider('RS256', async ({ home }) => {
    await withPage({ expected: REFUSED }, async (page) => {
      await signIn(page, `${home}?${FILTERS}`, 'Nobody');
      await page.waitForSelector('text=You were not signed in there');
      await page.click('#oidc');
      await page.click('button:has-text("Maya")');
      await page.waitForURL(`${home}?${FILTERS}`);
    });
  });
});

test('the way back is taken once, by the browser that began', async () => {
  await withProvider('RS256', async ({ world, home }) => {
    const refused = async (page, address) => {
      const answer = await page.goto(address);
      assert.equal(answer.status(), 400);
      assert.match(await page.innerText('[role=alert]'), /begun in another browser, was used already, or took longer/);
    };
    let way;
    await withPage({ expected: REFUSED }, async (mine, context) => {
      await toProvider(mine, `${home}?${FILTERS}`);
      way = await wayBack(mine, 'u_maya');
      await withPage({ expected: REFUSED }, async (theirs, foreign) => {
        // A browser without a sign-in, and one with its own.
        await refused(theirs, way);
        await toProvider(theirs, home);
        await refused(theirs, way);
        assert.deepEqual(await sessions(foreign), []);
      });
      for (const other of ['state=made-up', '']) await refused(mine, way.replace(/state=[^&]+/, other));
      await mine.goto(way);
      await mine.waitForURL(`${home}?${FILTERS}`);
      assert.equal((await sessions(context)).length, 1);
      // What was used is used, also for who used it.
      await refused(mine, way);
    });
    const [failed] = await entries(world, 'auth.sign_in_failed', 1);
    assert.deepEqual(failed.detail, { count: 1, by: 'oidc', why: 'bad_state' });
    await world.stop();
    const code = new URL(way).searchParams.get('code');
    assert.ok(!world.said.includes(code) && !world.said.includes(SECRET) && !/eyJ/.test(world.said), world.said);
  });
});

test('while the provider cannot be reached the key still opens', async () => {
  await withProvider('RS256', async ({ world, home, provider }) => {
    await provider.end();
    await withPage({ expected: [/status of 502/] }, async (page) => {
      await page.goto(`${home}?${FILTERS}`);
      await page.click('#oidc');
      await page.waitForSelector('text=does not work at the moment');
      await page.fill('[name=key]', world.key);
      await page.click('button:has-text("Sign in")');
      await page.waitForURL(`${home}?${FILTERS}`);
      assert.equal(await page.innerText('.signed span'), 'first admin');
    });
  });
});
