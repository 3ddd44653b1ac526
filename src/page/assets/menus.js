// The menus: what is chosen in them applies at once, a find field asks the server, Esc or a click outside closes. Without
// this the same form is sent by its Apply button.

import { $, $$, get, later, say } from './html.js';
import { asked, go, onShown, query } from './nav.js';

const TYPING_MS = 150;

export function start() {
  const form = $('#filters');
  document.addEventListener('click', closeOthers);
  document.addEventListener('click', (event) => event.target.closest('a[href="#tz"]') && openZone(event));
  document.addEventListener('toggle', opened, true);
  $('#m-display form')?.addEventListener('change', (event) => prefer(event.currentTarget, event.target));
  const zone = $('#tz');
  if (zone && !zone.value) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? '';
  if (!form) return;
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    go(asked(form, event.submitter), { replace: document.activeElement === form.elements.q });
  });
  const typed = later(TYPING_MS, () => go(asked(form), { replace: true, top: 'keep' }));
  const dated = later(TYPING_MS, () => go(asked(form)));
  const find = later(TYPING_MS, finds);
  form.addEventListener('input', ({ target }) => {
    if (target.name === 'q') typed();
    else if (target.name.startsWith('find_')) find(target);
  });
  form.addEventListener('change', ({ target }) => {
    if (target.name === 'q' || target.name.startsWith('find_')) return;
    if (target.name === 'action') settle(target);
    if (target.name === 'from' || target.name === 'to') {
      $('[name=range][value=custom]', form).checked = true;
      dated();
    } else if (target.value === 'custom') {
      $('[name=from]', form).focus();
    } else {
      go(asked(form));
    }
  });
  form.addEventListener('keydown', (event) => {
    // Enter would press the form's button; what is found is chosen with Space or a click.
    if (event.key === 'Enter' && event.target.name?.startsWith('find_')) event.preventDefault();
  });
  onShown(mark);
}

/** Closes the open menu that lies on top and gives focus back to its button. Says whether there was one. */
export function close() {
  const menu = $('details.menu[open]');
  if (!menu) return false;
  menu.open = false;
  $('summary', menu).focus();
  return true;
}

function closeOthers(event) {
  for (const menu of $$('details.menu[open]')) if (!menu.contains(event.target)) menu.open = false;
}

function openZone(event) {
  event.preventDefault();
  $('#m-display').open = true;
  $('#tz').select();
}

function opened({ target }) {
  if (target.open && target.matches?.('#filters .menu')) mark();
}

/** The dash of a category of which some actions are chosen cannot be written in HTML. */
function mark() {
  for (const box of $$('#m-action input.mixed')) box.indeterminate = true;
  for (const box of $$('#m-action .branch > label > input:not(.mixed)')) box.indeterminate = false;
}

/** A category stands for all its actions: either it is chosen or some of them. */
function settle(box) {
  const branch = box.closest('.branch');
  if (!branch) return;
  const [category, ...verbs] = $$('input[name=action]', branch);
  if (box === category) for (const verb of verbs) verb.checked = false;
  else if (box.checked) category.checked = false;
  category.classList.toggle('mixed', !category.checked && verbs.some((verb) => verb.checked));
  mark();
}

let finding;

async function finds(field) {
  finding?.abort();
  const mine = (finding = new AbortController());
  const facet = field.name.slice('find_'.length);
  const params = new URLSearchParams(query());
  if (field.value.trim()) params.set('find', field.value.trim());
  const panel = field.closest('.panel');
  try {
    const content = await get(`_facet/${facet}?${params}`, mine.signal);
    $('.scroll', panel).replaceWith($('.scroll', content));
    $('.foot', panel).replaceWith($('.foot', content));
    mark();
    say($('.foot span', panel).textContent);
  } catch (error) {
    if (!mine.signal.aborted) $('.foot span', panel).textContent = `Not found: ${error.message}`;
  }
}

/** Choices of the display apply at once and are kept; the zone changes every time on the page and has its own button. */
async function prefer(form, { name, value }) {
  if (name === 'tz') return;
  const html = document.documentElement;
  if (name === 'theme') html.dataset.theme = value;
  if (name === 'rows') html.dataset.rows = value;
  if (name === 'keys') html.dataset.keys = value;
  const body = new URLSearchParams(new FormData(form));
  // A zone that is still being typed, or only proposed, is not chosen yet.
  body.set('tz', document.body.dataset.tz ?? '');
  const answer = await fetch(form.action, { method: 'POST', body, redirect: 'manual' }).catch(() => undefined);
  if (answer?.type !== 'opaqueredirect') say('Your choice could not be kept', 'shout');
}
