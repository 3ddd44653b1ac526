// Goes from one view to the next without loading the page: fetches `/_results`, puts it in place of the old one, and keeps
// address, title, history, scroll and focus right. The address stays the only state; what stands here is remembered only so
// that Back shows the same rows at the same place at once.

import { $, $$, get, make, root, say } from './html.js';

/** How long old rows stay without a sign that new ones are coming, ms. */
const BUSY_AFTER_MS = 150;
/** Without old rows, placeholders appear after this, ms. */
const SKELETON_AFTER_MS = 300;
/** Views that Back finds in memory. */
const PLACES_MAX = 20;
/** What was fetched ahead is as good as new for so long, ms. */
const AHEAD_MS = 10_000;
const RETRY_MS_MAX = 30_000;
/** As many rows as `.first` leaves. */
const ROWS_FIRST = 20;

const places = new Map();
const listeners = [];
const ahead = new Map();
let pending;
let retry_ms = 1_000;
let retry;
let number = Date.now();
let here;

/** The query string of what is shown. */
export const query = () => $('#results')?.dataset.url ?? location.search.slice(1);
/** Calls back whenever other results are shown, and once at the start. */
export const onShown = (run) => listeners.push(run);
/** How often the range was narrowed in the chart since another filter changed. */
export const depth = () => history.state?.depth ?? 0;

export function start() {
  history.scrollRestoration = 'manual';
  const known = history.state ?? {};
  history.replaceState({ ...known, n: ++number }, '');
  here = { n: number, form: $('#filters')?.cloneNode(true) };
  scrollStrip(0);
  if (known.y) scrollTo(0, known.y);
  if (known.focus) $(known.focus)?.focus({ preventScroll: true });
  addEventListener('pagehide', remember);
  addEventListener('popstate', restore);
  document.addEventListener('click', followLink);
  addEventListener('online', () => retry && go(...retry));
  for (const kind of ['pointerover', 'focusin']) {
    document.addEventListener(kind, (event) => {
      const link = event.target.closest?.('a#newer, a#older');
      if (link) fetchAhead(link);
    });
  }
  for (const run of listeners) run();
}

/** The query string that a form asks for: no empty fields, nothing of the find fields. */
export function asked(form, submitter) {
  const params = new URLSearchParams();
  for (const [name, value] of new FormData(form, submitter)) {
    if (value !== '' && !name.startsWith('find_')) params.append(name, value);
  }
  if (params.get('range') !== 'custom') for (const name of ['from', 'to']) params.delete(name);
  return params.toString();
}

/** Shows another view. Resolves to whether it did: a newer request takes an older one's place. */
export async function go(wanted, { replace = false, depth = 0, top = 'list', quiet = false } = {}) {
  pending?.abort();
  clearTimeout(retry?.timer);
  const mine = (pending = new AbortController());
  const busy = [setTimeout(setBusy, BUSY_AFTER_MS, true), setTimeout(setSkeleton, SKELETON_AFTER_MS)];
  let content;
  try {
    content = await (taken(wanted) ?? get(`_results?${wanted}`, mine.signal));
  } catch (error) {
    if (!mine.signal.aborted) failed(error, wanted, { replace, depth, top, quiet });
    return false;
  } finally {
    busy.forEach(clearTimeout);
    if (pending === mine) setBusy(false);
  }
  if (mine.signal.aborted) return false;
  pending = retry = undefined;
  retry_ms = 1_000;
  const active = document.activeElement;
  const focus = active === document.body ? undefined : nameOf(active);
  if (!replace) {
    remember();
    history.pushState({ n: ++number, depth }, '', address($('#results', content).dataset.url));
    here = { n: number };
  } else {
    history.replaceState({ ...history.state, n: here.n, depth }, '', address($('#results', content).dataset.url));
  }
  if (top !== 'back' && (top !== 'keep' || scrollY === 0)) showFirst($('#results', content), active);
  show(content);
  refocus(focus);
  if (top === 'list' && $('#entries')?.getBoundingClientRect().top < 0) $('#entries').scrollIntoView();
  if (top === 'entries') toEntries();
  if (!quiet) announce();
  return true;
}

/** The same view with another address: which entries are open does not change what was found. */
export function rename(wanted) {
  history.replaceState(history.state, '', address(wanted));
  const results = $('#results');
  if (results) results.dataset.url = wanted;
}

/** Stops waiting for what was asked for last. */
export const cancel = () => pending?.abort();

const address = (wanted) => (wanted ? `?${wanted}` : './');

function remember() {
  const place = { y: Math.round(scrollY), focus: nameOf(document.activeElement) };
  history.replaceState({ ...history.state, ...place }, '');
  keep(place);
}

function keep(place) {
  if (!here) return;
  places.delete(here.n);
  places.set(here.n, { ...here, ...place, head: $('.head'), results: $('#results') });
  if (places.size > PLACES_MAX) places.delete(places.keys().next().value);
}

async function restore(event) {
  const to = event.state ?? {};
  // A place within the page has another address and the same view.
  if (to.n === here.n || (!to.n && location.search.slice(1) === query())) return;
  pending?.abort();
  keep({ y: Math.round(scrollY), focus: nameOf(document.activeElement) });
  const known = places.get(to.n);
  here = { n: to.n ?? ++number, form: known?.form };
  const { y = 0, focus } = known ?? to;
  for (const menu of $$('details.menu[open]')) menu.open = false;
  if (known?.form) {
    const content = make('div', {}, known.head, known.form.cloneNode(true), known.results);
    show(content, true);
  } else if (!(await go(location.search.slice(1), { replace: true, top: 'back', depth: to.depth }))) {
    return;
  }
  scrollTo(0, y);
  if (focus) $(focus)?.focus({ preventScroll: true });
  announce();
}

function show(content, isBack = false) {
  const [head, form, results] = ['.head', '#filters', '#results'].map((part) => $(part, content));
  const left = $('.strip')?.scrollLeft ?? 0;
  here.form = form.cloneNode(true);
  mend($('#filters'), form, isBack);
  $('.head').replaceWith(head);
  $('#results').replaceWith(results);
  document.title = results.dataset.title;
  $('#m-display [name=back]').value = results.dataset.url;
  $('#m-display .only-xs').replaceChildren(...$('#m-views .panel').cloneNode(true).children);
  scrollStrip(left);
  for (const run of listeners) run();
}

/** Rows below the window are laid out once the others are painted: not where a row has the focus, or more than those fit. */
function showFirst(results, active) {
  const row = $('tr.e')?.offsetHeight;
  if (!row || innerHeight > ROWS_FIRST * row || active?.closest('.log')) return;
  results.classList.add('first');
  requestAnimationFrame(() => setTimeout(() => results.classList.remove('first')));
}

/** The chosen tab is in sight; the strip moves only as far as that takes. */
function scrollStrip(left) {
  const strip = $('.strip');
  if (!strip) return;
  strip.scrollLeft = left;
  const tab = $('[aria-current]', strip);
  if (tab) strip.scrollLeft = Math.min(Math.max(left, tab.offsetLeft + tab.offsetWidth + 8 - strip.clientWidth), tab.offsetLeft - 8);
}

/** The form stays where it is, so that typing goes on in the same field and an open menu stays open. */
function mend(form, newer, isBack) {
  const [field, next] = [$('[name=q]', form), $('[name=q]', newer)];
  if (isBack || document.activeElement !== field) field.value = next.value;
  copy(next, field, ['aria-invalid', 'aria-describedby']);
  // The button that Enter presses has to stay the first one.
  const isKept = (child) => child.matches('.search, .filters, button');
  for (const child of [...form.children]) if (!isKept(child)) child.remove();
  for (const child of [...newer.children]) if (!isKept(child)) form.append(child);
  for (const menu of $$('.filters > .menu', form)) {
    const other = $(`#${menu.id}`, newer);
    const [summary, wanted] = [$('summary', menu), $('summary', other)];
    summary.className = wanted.className;
    summary.replaceChildren(...wanted.childNodes);
    if (menu.open && !isBack) mendPanel($('.panel', menu), $('.panel', other));
    else $('.panel', menu).replaceWith($('.panel', other));
    menu.open ||= other.open && !isBack;
  }
  $('#filters + .note')?.remove();
  const note = newer.nextElementSibling;
  if (note?.matches('.note')) form.after(note);
}

/** In a menu that is open the choices keep their places; what is said about them changes. */
function mendPanel(panel, newer) {
  const active = document.activeElement;
  for (const error of $$('.err', panel)) error.remove();
  $('.foot', panel).before(...$$('.err', newer));
  if (active?.name === 'actor_kind') {
    $('.scroll', panel).replaceWith($('.scroll', newer));
    $('.foot', panel).replaceWith($('.foot', newer));
    return;
  }
  for (const input of $$('input[name]', panel)) {
    const isChoice = input.type === 'checkbox' || input.type === 'radio';
    const same = $$(`input[name="${input.name}"]`, newer).find((other) => !isChoice || other.value === input.value);
    if (isChoice) {
      input.checked = Boolean(same?.checked);
      input.classList.toggle('mixed', Boolean(same?.classList.contains('mixed')));
      const [count, other] = [$('.n', input.parentElement), same && $('.n', same.parentElement)];
      if (count && other) count.textContent = other.textContent;
    } else if (same && input !== active && !input.name.startsWith('find_')) {
      input.value = same.value;
    }
    if (same) copy(same, input, ['aria-invalid', 'aria-describedby']);
  }
  for (const link of $$('[data-copy]', panel)) copy($('[data-copy]', newer), link, ['href']);
  if (!$('.find input', panel)?.value) $('.foot span', panel).textContent = $('.foot span', newer).textContent;
}

function copy(from, to, names) {
  for (const name of names) {
    if (from.hasAttribute(name)) to.setAttribute(name, from.getAttribute(name));
    else to.removeAttribute(name);
  }
}

/** How an element is found again after its surroundings were replaced. */
function nameOf(element) {
  if (!element || element === document.body) return '';
  if (element.id) return `#${CSS.escape(element.id)}`;
  const row = element.closest('tr[id]');
  if (row) return element.matches('.tw') ? `#${row.id} .tw` : '';
  const menu = element.closest('details[id]');
  if (menu && element.matches('summary')) return `#${menu.id} > summary`;
  if (element.name) {
    const value = /^(checkbox|radio|submit)$/.test(element.type) ? `[value="${CSS.escape(element.value)}"]` : '';
    return `[name="${CSS.escape(element.name)}"]${value}`;
  }
  const list = element.closest('.strip, .sizes, .chips');
  if (!list) return '';
  const at = [...list.querySelectorAll('a')].indexOf(element) + 1;
  return list.matches('.chips') ? `.chip:nth-of-type(${at}) a` : `.${list.className} a:nth-of-type(${at})`;
}

/** Focus that went away with the old rows goes to what stands in its place, else to the list. */
function refocus(name) {
  const active = document.activeElement;
  if (name === undefined || (active && active !== document.body)) return;
  const same = name && $(name);
  if (same) same.focus({ preventScroll: true });
  else if (name.startsWith('.chip')) $('[name=q]').focus({ preventScroll: true });
  else $('#entries')?.focus({ preventScroll: true });
}

function toEntries() {
  const entries = $('#entries');
  entries.scrollIntoView();
  entries.focus({ preventScroll: true });
}

function announce() {
  const results = $('#results');
  const { total } = results.dataset;
  if (total === undefined) say(results.dataset.title.split(',')[0], 'shout');
  else say($('#count', results)?.textContent ?? results.dataset.title.split(', ')[0]);
}

function setBusy(isBusy) {
  if (isBusy) $('#entries')?.setAttribute('aria-busy', 'true');
  else $('#entries')?.removeAttribute('aria-busy');
}

function setSkeleton() {
  const blank = $('#entries .blank');
  if (!blank) return;
  const line = (width) => make('span', { class: `sk ${width}` });
  const row = () => make('div', { class: 'e' }, line('w3'), line('w2'));
  blank.replaceChildren(row(), row(), row(), row());
}

/** The server did not answer: the last rows stay, and it is asked again. */
function failed(error, wanted, how) {
  retry = [wanted, how];
  retry.timer = setTimeout(() => go(wanted, how), retry_ms);
  retry_ms = Math.min(retry_ms * 2, RETRY_MS_MAX);
  if ($('#offline')) return;
  const words = navigator.onLine === false ? 'You are offline.' : 'The server does not answer.';
  const again = make('a', { href: address(wanted) }, 'Try again');
  const rest = ' The entries below are the last that were loaded. Trying again.';
  $('#results').prepend(make('div', { class: 'note', id: 'offline' }, make('span', {}, make('b', {}, words), rest), again));
  say(`${words} ${error.message}`, 'shout');
}

/** Fetches the next page before it is asked for. */
export function fetchAhead(link) {
  const wanted = link.getAttribute('href').replace(/^\?/, '');
  if (ahead.has(wanted) && performance.now() - ahead.get(wanted).at_ms < AHEAD_MS) return;
  const content = get(`_results?${wanted}`);
  content.catch(() => ahead.delete(wanted));
  ahead.clear();
  ahead.set(wanted, { content, at_ms: performance.now() });
}

function taken(wanted) {
  const known = ahead.get(wanted);
  ahead.delete(wanted);
  return known && performance.now() - known.at_ms < AHEAD_MS ? known.content : undefined;
}

/** Links that stay on the page are followed here, unless the click asks for another window. */
function followLink(event) {
  const link = event.target.closest?.('a[href]');
  if (event.defaultPrevented || !link || !isPlain(event) || !$('#results') || link.hasAttribute('download')) return;
  const href = link.getAttribute('href');
  const to = new URL(href, location.href);
  if (to.origin !== location.origin || to.pathname !== location.pathname || href.startsWith('#')) return;
  event.preventDefault();
  const menu = link.closest('details.menu');
  if (menu) {
    menu.open = false;
    $('summary', menu).focus();
  }
  go(to.search.slice(1), { top: link.matches('#newer, #older') ? 'entries' : 'list' });
}

export const isPlain = (event) => event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
