// Verify in this browser: what is sound is verified step by step, and every way to cheat is found and named. The cheating is
// done to the answers on their way, since the server does not.

import { test } from 'node:test';

import { assert, demo, visit, withPage } from './world.mjs';

const flip = (base64, at = -1) => {
  const bytes = Buffer.from(base64, 'base64');
  bytes[at < 0 ? bytes.length + at : at] ^= 1;
  return bytes.toString('base64');
};

/** An open entry; `verified` presses the button and gives the steps, with these changes on the way. */
async function withEntry(run) {
  const world = await demo();
  await withPage({}, async (page) => {
    let change = {};
    for (const [name, pattern] of [['evidence', /proof\.json/], ['log', /log\.json$/]]) {
      await page.route(pattern, async (route) => {
        const answer = await (await route.fetch()).json();
        change[name]?.(answer);
        await route.fulfill({ json: answer });
      });
    }
    await visit(page, world.at('action=contact.updated&range=all&limit=25'));
    await page.click('.tw >> nth=3');
    await page.waitForSelector('[data-verify]');
    await run(async (changes) => {
      change = changes;
      await page.click('[data-verify]');
      await page.waitForSelector('.steps li');
      await page.waitForSelector('[data-verify]:not([aria-disabled])');
      return page.$$eval('.steps li', (items) => items.map((item) => [item.className, item.textContent]));
    });
  });
}

test('an entry is verified in four steps', async () => {
  await withEntry(async (verified) => {
    const steps = await verified({});
    assert.deepEqual(steps.map(([kind]) => kind), ['ok', 'ok', 'ok', 'ok'], JSON.stringify(steps));
    assert.match(steps.map(([, text]) => text).join('\n'), /Payload[\s\S]*Leaf commits[\s\S]*hashes lead to the root[\s\S]*signed by annals\//);
  });
});

const CHEATS = [
  ['a payload that is not the one shown', (e) => (e.body = Buffer.from(Buffer.from(e.body, 'base64').toString().replace('"success"', '"failure"')).toString('base64')), /not the one in the evidence/],
  ['another salt', (e) => (e.salt = flip(e.salt)), /does not commit/],
  ['another leaf', (e) => (e.leaf = flip(e.leaf)), /does not commit/],
  ['another time of arrival', (e) => (e.leaf = flip(e.leaf, 5)), /does not lead to the root/],
  ['another tenant', (e) => (e.leaf = flip(e.leaf, 12)), /another tenant/],
  ['a hash of the path', (e) => (e.proof[1] = flip(e.proof[1])), /does not lead to the root/],
  ['a path that is too short', (e) => e.proof.pop(), /too short/],
  ['a path that is too long', (e) => e.proof.push(e.proof[0]), /too long/],
  ['another place', (e) => (e.seq ^= 1), /does not lead to the root/],
  ['a place outside the tree', (e) => (e.seq = 1e9), /not in the tree/],
  ['another root', (e) => (e.checkpoint = e.checkpoint.replace(/\n([A-Za-z0-9+/]{43}=)\n/, (_, root) => `\n${flip(root)}\n`)), /does not lead to the root/],
  ['another origin', (e) => (e.checkpoint = e.checkpoint.replace(/^annals/, 'annalz')), /not signed by the key/],
  ['another signature', (e) => (e.checkpoint = e.checkpoint.replace(/([A-Za-z0-9+/]+=*)\n$/, (_, text) => `${flip(text)}\n`)), /not signed by the key/],
  ['no signature', (e) => (e.checkpoint = `${e.checkpoint.split('\n\n')[0]}\n\n`), /not signed/],
];

test('every way to cheat is found and named', async (t) => {
  await withEntry(async (verified) => {
    for (const [name, evidence, words] of CHEATS) {
      await t.test(name, async () => {
        const steps = await verified({ evidence });
        assert.equal(steps.at(-1)[0], 'bad', JSON.stringify(steps));
        assert.match(steps.at(-1)[1], words);
      });
    }
    await t.test('another key', async () => {
      const steps = await verified({ log: (log) => (log.public_key = log.public_key.replace(/.{4}$/, 'AAA=')) });
      assert.equal(steps.at(-1)[0], 'bad');
      assert.match(steps.at(-1)[1], /malformed|not signed/);
    });
    const steps = await verified({});
    assert.equal(steps.at(-1)[0], 'ok', 'what is sound is verified again');
  });
});
