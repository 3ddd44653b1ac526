// Opens and closes entries in place, copies what stands in them, and moves focus from row to row. The address keeps which
// entries are open; without this the same links load the page.

import { $, $$, get, make, root, say } from './html.js';
import { isPlain, query, rename } from './nav.js';
import { verify } from './verify.js';

const OPEN_MAX = 10;
const COPIED_MS = 2_000;

export function start() {
  document.addEventListener('click', clicked);
  document.addEventListener('auxclick', (event) => event.button === 1 && aside(event));
}

function clicked(event) {
  const { target } = event;
  const button = target.closest?.('[data-copy], [data-verify]');
  if (button && isPlain(event)) {
    event.preventDefault();
    return button.dataset.copy ? copy(button) : verify(button);
  }
  const row = target.closest?.('tr.e');
  if (!row || event.defaultPrevented) return;
  const isDisclosure = target.closest('.tw');
  if (isDisclosure && (event.ctrlKey || event.metaKey)) return aside(event);
  if (!isPlain(event)) return;
  if (isDisclosure) {
    event.preventDefault();
    return toggle(row);
  }
  if (target.closest('a, button, input, summary') || String(getSelection())) return;
  toggle(row);
}

/** The address of an entry's own page. Some ids would lead elsewhere. */
export function pageOf({ dataset: { id, seq } }) {
  return `${root}entries/${/^(\.+|@.*|.*\.json)$/s.test(id) ? `@${seq}` : encodeURIComponent(id)}`;
}

/** The entry's own page, in another tab. */
function aside(event) {
  const row = event.target.closest?.('.tw')?.closest('tr.e');
  if (!row) return;
  event.preventDefault();
  open(pageOf(row), '_blank', 'noopener');
}

/** Opens a row, or closes it. Focus stays where it is. */
export async function toggle(row) {
  // Asked anew each time: others may open or close while this one loads.
  const others = () => new URLSearchParams(query()).getAll('open').filter((id) => id !== row.dataset.id);
  if (row.classList.contains('open')) {
    shut(row);
    return setOpen(others());
  }
  const link = $('.tw', row);
  row.classList.add('open');
  link.setAttribute('aria-expanded', 'true');
  let detail;
  try {
    detail = (await get(`_detail/@${row.dataset.seq}?${query()}`)).firstElementChild;
  } catch (error) {
    const words = make('p', { class: 'nil' }, `The entry could not be loaded. ${error.message}`);
    const cell = make('td', { role: 'cell', colspan: '6' }, make('div', { class: 'det' }, words));
    detail = make('tr', { class: 'd', role: 'row', id: `${row.id}-d` }, cell);
    say(words.textContent, 'shout');
  }
  // It may have been closed meanwhile, or gone with its page.
  if (!row.isConnected || !row.classList.contains('open') || document.getElementById(detail.id)) return;
  row.after(detail);
  link.setAttribute('aria-controls', detail.id);
  const all = [...others(), row.dataset.id];
  for (const id of all.splice(0, all.length - OPEN_MAX)) {
    const other = $$('tr.e.open').find((known) => known.dataset.id === id);
    if (other) shut(other);
  }
  setOpen(all);
}

/** Closes all. */
export function closeAll() {
  for (const row of $$('tr.e.open')) shut(row);
  setOpen([]);
}

function shut(row) {
  row.classList.remove('open');
  $('.tw', row).setAttribute('aria-expanded', 'false');
  $('.tw', row).removeAttribute('aria-controls');
  document.getElementById(`${row.id}-d`)?.remove();
}

function setOpen(ids) {
  const params = new URLSearchParams(query());
  params.delete('open');
  for (const id of ids.sort()) params.append('open', id);
  params.sort();
  rename(params.toString());
}

/** The next or previous row takes focus; from outside the list, the first one in sight. */
export function move(step) {
  const links = $$('#entries .tw');
  const at = links.indexOf(document.activeElement?.closest('tr.e')?.querySelector('.tw'));
  const first = links.findIndex((link) => link.getBoundingClientRect().top > 0);
  links[at < 0 ? first : at + step]?.focus();
}

/** The row that has focus. */
export const current = () => document.activeElement?.closest?.('tr.e');

export async function copy(button) {
  const { copy: what, text, src } = button.dataset;
  let done = true;
  try {
    // Without https the clipboard is closed to scripts.
    await navigator.clipboard.writeText(what === 'link' ? button.href : (text ?? (await fetched(src))));
  } catch {
    done = false;
  }
  const label = $('span.needs-js', button) ?? button;
  const node = [...label.childNodes].findLast((child) => child.nodeType === Node.TEXT_NODE);
  const words = (button.dataset.label ??= node.data);
  button.style.minWidth = `${button.offsetWidth}px`;
  node.data = done ? 'Copied' : 'Not copied';
  say(done ? 'Copied' : 'Could not be copied', done ? 'say' : 'shout');
  clearTimeout(button.timer);
  button.timer = setTimeout(() => (node.data = words), COPIED_MS);
}

async function fetched(src) {
  const response = await fetch(src);
  if (!response.ok) throw new Error(response.status);
  return response.text();
}
