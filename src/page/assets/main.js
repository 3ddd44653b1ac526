// Where the page's script begins: says that it runs, starts the parts, and gives single keys their meaning. Every key does
// what a link or a field on the page does as well.

import { $, $$, make, say } from './html.js';
import * as chart from './chart.js';
import * as live from './live.js';
import * as menus from './menus.js';
import * as nav from './nav.js';
import * as rows from './rows.js';

/** Two presses of `g` within this time are one key, ms. */
const PAIR_MS = 800;

const KEYS = [
  ['/', 'Search', () => $('[name=q]')?.focus()],
  ['j', 'Next entry', () => rows.move(1)],
  ['k', 'Previous entry', () => rows.move(-1)],
  ['o', 'Open or close the entry', () => rows.current() && rows.toggle(rows.current())],
  ['x', 'Close all entries', () => $('#results') && rows.closeAll()],
  ['c', 'Copy the link of the entry', copyLink],
  ['f', 'First filter', openFilters],
  ['[', 'Newer page', () => $('a#newer')?.click()],
  [']', 'Older page', () => $('a#older')?.click()],
  ['l', 'Live on or off', () => $('a#live')?.click()],
  ['.', 'Show new entries', () => live.showWaiting()],
  ['e', 'Export CSV', () => $('#export')?.click()],
  ['g g', 'To the top', toTop],
  ['Backspace', 'One step out of the chart', () => chart.back()],
  ['?', 'These keys', help],
  ['Esc', 'Close what lies on top'],
];

document.documentElement.classList.add('js');
for (const part of [menus, rows, chart, live]) part.start();
if ($('#results')) nav.start();
document.addEventListener('keydown', pressed);
document.addEventListener('click', tellSize);
const pager = new IntersectionObserver((seen) => {
  for (const { isIntersecting, target } of seen) if (isIntersecting) nav.fetchAhead(target);
});
nav.onShown(watchPager);
watchPager();

function watchPager() {
  pager.disconnect();
  const older = $('a#older');
  if (older) pager.observe(older);
}

/** A large export takes its time: that it began, and how large it is, is said. */
function tellSize({ target }) {
  const note = $('#exporting');
  if (!note || !target.closest?.('a[href^="export."]')) return;
  note.hidden = false;
  say($('span', note).textContent);
}

let g_ms = 0;

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
  const { target, key } = event;
  if (key === 'Escape') return escape(event);
  const isText = target.closest('input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]');
  if (isText || $('dialog[open]')) return;
  // Arrows move between rows only from a row; anywhere else they scroll.
  const step = { ArrowDown: 1, ArrowUp: -1 }[key];
  if (step && target.matches('.tw')) {
    event.preventDefault();
    return rows.move(step);
  }
  if (document.documentElement.dataset.keys === 'off') return;
  const isPair = key === 'g' && event.timeStamp - g_ms < PAIR_MS;
  g_ms = key === 'g' && !isPair ? event.timeStamp : 0;
  const known = KEYS.find(([name]) => name === (isPair ? 'g g' : key));
  if (!known) return;
  event.preventDefault();
  known[2]();
}

/** The top layer first: a range being dragged, a menu; then the search is left. */
function escape(event) {
  if ($('dialog[open]')) return;
  if (chart.cancel() || menus.close()) event.preventDefault();
  else if (event.target.name === 'q') {
    event.preventDefault();
    event.target.blur();
  }
}

function copyLink() {
  const row = rows.current();
  if (!row) return;
  const link = make('a', { href: rows.pageOf(row), 'data-copy': 'link' }, 'Copy link');
  rows.copy(link);
}

function openFilters() {
  const menu = $('#m-actor');
  if (!menu) return;
  menu.open = true;
  $('input:checked, input', menu).focus();
}

function toTop() {
  scrollTo(0, 0);
  $('.skip').focus({ preventScroll: true });
}

function help() {
  const list = make('dl', { class: 'kv' });
  for (const [keys, what] of KEYS) {
    const names = { j: ['j', '↓'], k: ['k', '↑'], o: ['o', 'Enter'] }[keys] ?? keys.split(' ');
    list.append(make('dt', {}, ...names.map((name) => make('kbd', {}, name))), make('dd', {}, what));
  }
  const close = make('button', { class: 'btn', type: 'button' }, 'Close');
  const dialog = make('dialog', { class: 'card', 'aria-labelledby': 'h-keys' }, make('h2', { id: 'h-keys' }, 'Keys'), list, close);
  close.addEventListener('click', () => dialog.close());
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
  dialog.addEventListener('close', () => dialog.remove());
  for (const open of $$('dialog')) open.remove();
  document.body.append(dialog);
  dialog.showModal();
}
