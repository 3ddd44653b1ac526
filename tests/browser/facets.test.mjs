// Every number beside a filter is the total behind its click: for all values of all menus, the strip, and the chart, with no
// filter and with several, on made-up and on real events. Asked of the fragments, so that thousands of clicks cost no browser;
// the clicks themselves are tested with the controls.

import { test } from 'node:test';

import { assert, demo, IS_SOAK, PAGE, real, theBrowser } from './world.mjs';

/** How many values of a menu are followed; in the long run all. */
const VALUES_MAX = IS_SOAK ? Infinity : 8;

/** What stands in a fragment, read by a browser that runs nothing of it. */
async function reader() {
  const page = await (await theBrowser()).newPage({ javaScriptEnabled: false });
  return {
    close: () => page.close(),
    read: (html) => page.evaluate((text) => {
      const content = new DOMParser().parseFromString(text, 'text/html');
      const number = (element) => Number(element?.textContent.replaceAll(',', '').match(/\d+/)?.[0] ?? NaN);
      const boxes = [...content.querySelectorAll('#filters input[type=checkbox], #filters [name=actor_kind]')];
      const choices = boxes.filter((box) => !box.checked && box.value !== 'any').map((box) => ({ name: box.name, value: box.value, count: number(box.parentElement.querySelector('.n')) }));
      const chosen = boxes.filter((box) => box.checked).length;
      const links = [...content.querySelectorAll('.strip a')].map((a) => ({ href: a.getAttribute('href'), count: number(a.querySelector('.n')) }));
      const bars = [...content.querySelectorAll('.plot a')].map((a) => ({ href: a.getAttribute('href'), count: Number(a.querySelector('title').textContent.match(/([\d,]+) entr/)[1].replaceAll(',', '')) }));
      const results = content.querySelector('#results');
      return { total: Number(results.dataset.total), url: results.dataset.url, choices, chosen, links, bars };
    }, html),
  };
}

const FILTERS = [
  'range=all',
  'range=all&action=contacts',
  'range=all&actor_kind=user&action=billing&action=contact.deleted',
  'range=all&q=a*',
  'range=all&action=other',
  'range=all&q=-action:auth&action=team&action=campaigns',
  'range=7d',
];

async function check(world, filters) {
  const { close, read } = await reader();
  const results = async (query) => {
    const answer = await fetch(`${world.url}${PAGE}_results?${query}`);
    assert.equal(answer.status, 200, query);
    return read(await answer.text());
  };
  let followed = 0;
  try {
    for (const filter of filters) {
      const shown = await results(filter);
      const sum = shown.links.slice(1).reduce((all, { count }) => all + count, 0);
      assert.equal(sum, shown.links[0].count, `${filter}: the tabs add up to All`);
      assert.equal(shown.bars.reduce((all, { count }) => all + count, 0), shown.total, `${filter}: the bars add up`);
      const byName = Map.groupBy?.(shown.choices, ({ name }) => name) ?? group(shown.choices);
      for (const [name, choices] of byName) {
        const own = new URLSearchParams(shown.url);
        // Values of one menu add up; alone, each is what a first click in this menu gives.
        const names = name === 'actor_kind' || name === 'actor' ? ['actor', 'actor_kind'] : [name];
        const is = names.some((known) => own.has(known));
        for (const one of names) own.delete(one);
        for (const { value, count } of choices.slice(0, VALUES_MAX)) {
          const wanted = new URLSearchParams(own);
          wanted.append(name, value);
          if (name === 'actor' && new URLSearchParams(shown.url).has('actor_kind')) wanted.append('actor_kind', new URLSearchParams(shown.url).get('actor_kind'));
          const behind = await results(wanted);
          assert.equal(behind.total, count, `${filter}${is ? ' (menu in use)' : ''}: ${name}=${value}`);
          followed += 1;
        }
      }
      for (const { href, count } of [...shown.links, ...shown.bars.filter((bar, at) => bar.count > 0 && (IS_SOAK || at % 17 === 0))]) {
        assert.equal((await results(href.slice(1))).total, count, `${filter}: ${href}`);
        followed += 1;
      }
    }
  } finally {
    await close();
  }
  assert.ok(followed > 50, `${followed} numbers were followed`);
}

function group(choices) {
  const groups = new Map();
  for (const choice of choices) groups.set(choice.name, [...(groups.get(choice.name) ?? []), choice]);
  return groups;
}

test('every count is the total behind its click: made-up events', async () => check(await demo(), FILTERS));

test('every count is the total behind its click: real events', async (t) => {
  const world = await real();
  if (!world) return t.skip('the real events are not there');
  await check(world, FILTERS);
});
