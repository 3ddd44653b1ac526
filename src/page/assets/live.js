// The live tail: entries as they come, on top if nobody is reading further down, else behind a bar that says how many wait.
// Every entry comes exactly once: the tail goes on after the last one that was seen, over reconnects and restarts.

import { $, $$, counted, follow, get, make, say } from './html.js';
import { go, onShown, query } from './nav.js';

const ROWS_MAX = 500;
/** At most so often the list changes, ms. */
const BATCH_MS = 250;
const TINT_MS = 3_000;
/** Counts, strip and chart follow so often, ms. */
const COUNTS_MS = 5_000;
const ANNOUNCE_MS = 10_000;
const BACKOFF_MS = { first: 1_000, most: 30_000 };
/** A page that nobody sees keeps its connection for so long, ms. */
const HIDDEN_MS = 300_000;

let tail;

export function start() {
  onShown(sync);
  document.addEventListener('click', (event) => {
    if (!event.target.closest?.('a.fresh')) return;
    event.preventDefault();
    showWaiting();
  });
  document.addEventListener('visibilitychange', () => {
    clearTimeout(tail?.hidden);
    if (!tail) return;
    if (document.hidden) tail.hidden = setTimeout(pause, HIDDEN_MS, tail);
    else if (!tail.source && !tail.retry) connect(tail);
  });
  addEventListener('online', () => tail?.retry && connect(tail));
  addEventListener('pagehide', stop);
  addEventListener('pageshow', (event) => event.persisted && sync());
}

/** What waited comes into the list. */
export function showWaiting() {
  if (!tail?.waiting.length) return;
  const params = new URLSearchParams(query());
  if (isFirstPage(params)) {
    for (const row of $$('#entries tr.new')) row.classList.remove('new');
    insert(tail.waiting.splice(0));
    $('#entries').scrollIntoView();
    $('#entries .tw')?.focus({ preventScroll: true });
    drawBar();
    return;
  }
  for (const name of ['before', 'after', 'open', 'sort']) params.delete(name);
  go(params.toString(), { top: 'entries' });
}

const isFirstPage = (params) => !params.has('before') && !params.has('after') && params.get('sort') !== 'asc';

/** Follows what the address says. */
function sync() {
  stop();
  // The button is no link where a range that is over has nothing live.
  if (!new URLSearchParams(query()).has('live') || !$('a#live') || !$('#results').dataset.total) return;
  const seen = $('#results').dataset.seen ?? Math.max(-1, ...$$('#entries tr.e').map((row) => Number(row.dataset.seq)));
  tail = { last: seen, buffer: [], waiting: [], backoff_ms: BACKOFF_MS.first, said: 0, unsaid: 0 };
  tail.counts = setInterval(refresh, COUNTS_MS, tail);
  connect(tail);
}

function stop() {
  if (!tail) return;
  tail.source?.close();
  for (const timer of ['batch', 'retry', 'hidden', 'counts']) clearTimeout(tail[timer]);
  tail = undefined;
}

function pause(mine) {
  mine.source?.close();
  mine.source = undefined;
}

function connect(mine) {
  clearTimeout(mine.retry);
  mine.retry = undefined;
  const params = new URLSearchParams(query());
  for (const name of ['open', 'before', 'after', 'limit', 'sort']) params.delete(name);
  params.set('last_event_id', mine.last);
  mine.source?.close();
  mine.source = follow(`_tail?${params}`, {
    opened: () => {
      if (mine !== tail) return;
      mine.backoff_ms = BACKOFF_MS.first;
      label('Live');
      if (mine.wasBroken) refresh(mine);
      mine.wasBroken = false;
    },
    rows: (content, id) => {
      if (mine !== tail) return;
      mine.last = id;
      mine.isStale = true;
      mine.buffer.push(...content.children);
      mine.batch ??= setTimeout(flush, BATCH_MS, mine);
    },
    // The browser's own reconnecting gives up after an answer that is no stream, so it is done here.
    broken: () => {
      if (mine !== tail || mine.retry) return;
      pause(mine);
      mine.wasBroken = true;
      label('Reconnecting');
      mine.retry = setTimeout(connect, mine.backoff_ms, mine);
      mine.backoff_ms = Math.min(mine.backoff_ms * 2, BACKOFF_MS.most);
    },
  });
}

function flush(mine) {
  mine.batch = undefined;
  if (mine !== tail) return;
  const known = new Set(mine.waiting.map((row) => row.id));
  const rows = mine.buffer.splice(0).filter((row) => !document.getElementById(row.id) && !known.has(row.id));
  if (rows.length === 0) return;
  mine.unsaid += rows.length;
  if (mine.waiting.length === 0 && mayInsert()) {
    insert(rows);
  } else {
    mine.waiting.push(...rows);
    drawBar();
  }
  announce(mine);
}

/** Nobody is reading: at the top, nothing open, focus elsewhere. */
function mayInsert() {
  const body = $('#entries .log > tbody');
  if (!body) return true;
  const isAtTop = $('#entries').getBoundingClientRect().top >= 0;
  return isFirstPage(new URLSearchParams(query())) && isAtTop && !$('tr.d', body) && !body.contains(document.activeElement);
}

/** The newest on top, as everywhere. */
function insert(rows) {
  const body = $('#entries .log > tbody');
  if (!body) return go(query(), { replace: true, top: 'keep', quiet: true });
  const cut = $$('tr.cut', body).at(-1);
  for (const row of rows) {
    row.classList.add('new');
    if (cut) cut.after(row);
    else body.prepend(row);
  }
  setTimeout(() => rows.forEach((row) => row.classList.remove('new')), TINT_MS);
  const all = $$('tr.e', body);
  for (const row of all.slice(ROWS_MAX)) {
    document.getElementById(`${row.id}-d`)?.remove();
    row.remove();
  }
  if (all.length > ROWS_MAX) mendOlder(all[ROWS_MAX - 1]);
}

/** What fell off the end of the list is what the next page begins with. */
function mendOlder(row) {
  const older = $('a#older');
  if (!older) return;
  const params = new URLSearchParams(older.getAttribute('href').slice(1));
  params.set('before', `${Date.parse($('time', row).dateTime)}.${row.dataset.seq}`);
  older.setAttribute('href', `?${params}`);
}

/** The bar takes room above what is being read; scrolling by as much keeps that in place. */
function drawBar() {
  const { waiting } = tail;
  const list = $('#entries');
  const place = $('.log, .blank', list);
  let bar = $('a.fresh', list);
  const before = place.getBoundingClientRect().top;
  if (waiting.length === 0) bar?.remove();
  else {
    if (!bar) place.before((bar = make('a', { class: 'fresh', href: `?${query()}` }, '', make('kbd', { 'aria-hidden': 'true' }, '.'))));
    bar.firstChild.data = `Show ${counted(waiting.length, 'new entry', 'new entries')} `;
  }
  const moved = place.getBoundingClientRect().top - before;
  if (moved && waiting.length) scrollBy({ top: moved, behavior: 'instant' });
}

function announce(mine) {
  if (Date.now() - mine.said < ANNOUNCE_MS) return;
  say(counted(mine.unsaid, 'new entry', 'new entries'));
  mine.said = Date.now();
  mine.unsaid = 0;
}

/** Numbers, strip and chart; the rows are left alone. */
async function refresh(mine) {
  if (!mine.isStale && !mine.wasBroken) return;
  mine.isStale = false;
  let content;
  try {
    content = await get(`_results?${query()}`);
  } catch {
    return;
  }
  const newer = $('#results', content);
  if (mine !== tail || newer.dataset.url !== query() || !newer.dataset.total) return;
  for (const part of ['#integrity', '.strip', '#shown']) {
    const [old, other] = [$(part), $(part, content)];
    if (!old || !other || old.contains(document.activeElement)) continue;
    const { scrollLeft } = old;
    old.replaceWith(other);
    other.scrollLeft = scrollLeft;
  }
  const rows = $$('#entries tr.e').length;
  const shown = $('#shown b');
  if (shown && isFirstPage(new URLSearchParams(query())) && rows > 0) shown.textContent = `1 to ${rows.toLocaleString('en')}`;
  $('#results').dataset.total = newer.dataset.total;
  document.title = newer.dataset.title;
  const [chart, other] = [$('#results .hist'), $('.hist', newer)];
  // Not while it is being used.
  if (chart && other && !chart.matches(':focus-within, :hover') && !$('details[open]', chart)) {
    chart.replaceWith(other);
    document.dispatchEvent(new Event('annals:chart'));
  } else if (chart && other) {
    $('#count', chart).textContent = $('#count', other).textContent;
  }
}

function label(words) {
  const text = $('#live .txt');
  if (text) text.textContent = words;
}
