// Narrows the range in the chart: drag across the bars, or move the two grips with the keys. The bars are links that do the
// same for one bucket without this; the grips lie in a layer of their own, since the chart itself is hidden from who cannot
// see it.

import { $, $$, counted, make } from './html.js';
import { cancel as stop, depth, go, isPlain, onShown } from './nav.js';

/** So far the pointer may move and it is still a click, px. */
const CLICK_PX = 4;
const BARS_HEIGHT = 78;
const TIP = { width: 216, height: 38 };
const APPLY = 'Enter to apply, Esc to cancel';

let chart;
/** How far the range was narrowed when a click began. */
let clickedAt = 0;

export function start() {
  onShown(build);
  document.addEventListener('annals:chart', build);
  addEventListener('resize', () => chart && draw(chart.isActive));
  document.addEventListener('click', settle, true);
  document.addEventListener('dblclick', ({ target }) => target.closest('.plot') && back(clickedAt));
  // What is dragged is the range, not a link or the text around.
  document.addEventListener('mousedown', (event) => event.target.closest('svg.plot') && event.preventDefault());
  document.addEventListener('pointerdown', press);
  document.addEventListener('pointerover', hover);
  // Listened to outside of the drawing: one that listens to focus would take it.
  document.addEventListener('keydown', keyed);
  document.addEventListener('focusin', ({ target }) => isGrip(target) && draw(true));
  document.addEventListener('focusout', (event) => isGrip(event.target) && !isGrip(event.relatedTarget) && !chart.drag && reset());
}

/** One step back out of what was narrowed; seen from a depth, if a click has narrowed it since. */
export function back(from = depth()) {
  stop();
  const steps = depth() - Math.max(from - 1, 0);
  if (steps > 0) history.go(-steps);
}

/** Gives up a range that is not applied yet. Says whether there was one. */
export function cancel() {
  if (!chart?.isActive) return false;
  reset();
  return true;
}

const isGrip = (element) => Boolean(chart?.grips.includes(element));

function build() {
  chart = undefined;
  $('svg.layer')?.remove();
  const plot = $('svg.plot');
  const bars = plot ? $$('a', plot) : [];
  if (bars.length === 0) return;
  const names = bars.map((bar) => {
    // The browser's own tip would lie over ours.
    const title = $('title', bar);
    title?.remove();
    return (bar.dataset.tip ??= title.textContent).split(/, (.*)/);
  });
  const band = make('rect', { class: 'brush', y: 0, height: BARS_HEIGHT });
  const grips = ['Start of the range', 'End of the range'].map(grip);
  const tip = make('g', {}, make('rect', { class: 'tip', y: -46, rx: 5, ...TIP }), make('text', { class: 'tipt', y: -30 }), make('text', { class: 'tips', y: -15 }));
  const layer = make('svg', { class: 'plot layer', height: 96, focusable: 'false', role: 'group', 'aria-label': 'Range in the chart' }, band, ...grips, tip);
  plot.after(layer);
  chart = { plot, bars, names, band, grips, tip, range: [0, bars.length], isActive: false };
  draw(false);
}

function grip(label) {
  const hit = make('rect', { class: 'hit', x: -12, width: 24, y: 0, height: BARS_HEIGHT });
  const line = make('line', { class: 'edge', y1: 0, y2: BARS_HEIGHT });
  const handle = make('rect', { class: 'grip', x: -4, y: 30, width: 8, height: 18, rx: 2.5 });
  return make('g', { class: 'slider', role: 'slider', tabindex: 0, 'aria-label': label, 'aria-valuemin': 0 }, hit, line, handle);
}

/** Where a bucket border stands, px. Borders count from 0 to the number of bars. */
const x = (border) => (border / chart.bars.length) * chart.plot.getBoundingClientRect().width;
const ends = () => chart.range.toSorted((a, b) => a - b);

function draw(isActive) {
  const { bars, names, band, grips, range } = chart;
  chart.isActive = isActive;
  const [from, to] = ends();
  band.setAttribute('x', x(from));
  band.setAttribute('width', x(to) - x(from));
  band.style.display = isActive ? '' : 'none';
  grips.forEach((grip, nth) => {
    grip.style.transform = `translateX(${x(range[nth])}px)`;
    grip.setAttribute('aria-valuemax', bars.length);
    grip.setAttribute('aria-valuenow', range[nth]);
    grip.setAttribute('aria-valuetext', moment(range[nth]));
    grip.style.pointerEvents = isActive ? 'auto' : 'none';
    grip.style.opacity = isActive ? 1 : 0;
  });
  const total = names.slice(from, to).reduce((sum, [, words]) => sum + Number(words.replace(/\D/g, '')), 0);
  tell(from, to, isActive && `${span(from, to)}, ${counted(total)}`, APPLY);
}

/** The tip over a stretch of the chart, in two lines; no words, no tip. */
function tell(from, to, ...words) {
  const [box, ...lines] = chart.tip.children;
  chart.tip.style.display = words[0] ? '' : 'none';
  if (!words[0]) return;
  lines.forEach((line, nth) => (line.textContent = words[nth]));
  const room = Math.max(TIP.width, lines[0].getComputedTextLength() + 24);
  const left = Math.max(Math.min((x(from) + x(to) - room) / 2, x(chart.bars.length) - room), 0);
  box.setAttribute('x', left);
  box.setAttribute('width', room);
  for (const line of lines) line.setAttribute('x', left + room / 2);
}

/** Over a bar: which bucket it is and how many entries it has. */
function hover({ target }) {
  if (!chart || chart.isActive) return;
  const nth = chart.bars.indexOf(target.closest?.('svg.plot a'));
  if (nth < 0) tell(0, 0);
  else tell(nth, nth + 1, span(nth, nth + 1), chart.names[nth][1]);
}

function reset() {
  chart.range = [0, chart.bars.length];
  chart.drag?.abort();
  chart.drag = undefined;
  draw(false);
}

const of = (bar) => new URLSearchParams(bar.getAttribute('href').slice(1));

/** A border as the server wrote it, in the zone of the page. */
const moment = (border) => chart.names[border]?.[0] ?? chart.plot.dataset.end;

/** From one border to another; a day is only said once. */
function span(from, to) {
  const [start, end] = [moment(from), moment(to)];
  const day = start.slice(0, start.lastIndexOf(' ') + 1);
  return `${start} to ${end.startsWith(day) ? end.slice(day.length) : end}`;
}

function borderAt(clientX, round) {
  const box = chart.plot.getBoundingClientRect();
  const border = ((clientX - box.left) / box.width) * chart.bars.length;
  return Math.min(Math.max(round(border), 0), chart.bars.length);
}

function press(event) {
  if (!chart || event.target.closest('svg.plot') !== chart.plot || !event.isPrimary || !isPlain(event)) return;
  const start = event.clientX;
  const drag = new AbortController();
  const { signal } = drag;
  const mine = chart;
  mine.drag = drag;
  mine.wasDragged = false;
  addEventListener('pointermove', (moved) => {
    if (!mine.wasDragged && Math.abs(moved.clientX - start) < CLICK_PX) return;
    mine.wasDragged = true;
    const isRight = moved.clientX > start;
    mine.range = [borderAt(start, isRight ? Math.floor : Math.ceil), borderAt(moved.clientX, isRight ? Math.ceil : Math.floor)];
    draw(true);
  }, { signal });
  addEventListener('pointerup', () => {
    drag.abort();
    mine.drag = undefined;
    if (mine.wasDragged && mine === chart) apply();
  }, { signal });
  addEventListener('pointercancel', () => mine === chart && reset(), { signal });
}

/** The end of a drag is no click on a bar; a click on one is a step in, and the second half of a double click is nothing. */
function settle(event) {
  const bar = event.target.closest?.('svg.plot a');
  if (!bar || !isPlain(event)) return;
  event.preventDefault();
  if (chart.wasDragged || event.detail > 1) return;
  clickedAt = depth();
  go(bar.getAttribute('href').slice(1), { depth: depth() + 1, top: 'keep' });
}

function keyed(event) {
  if (!isGrip(event.target)) return;
  const nth = chart.grips.indexOf(event.target);
  const { range, bars } = chart;
  const far = event.shiftKey ? 10 : 1;
  const moves = { ArrowLeft: -far, ArrowDown: -far, ArrowRight: far, ArrowUp: far, Home: -Infinity, End: Infinity };
  if (event.key in moves) range[nth] = Math.min(Math.max(range[nth] + moves[event.key], 0), bars.length);
  else if (event.key === 'Enter') return apply();
  else if (event.key === 'Escape') {
    reset();
    event.target.blur();
  } else return;
  event.preventDefault();
  if (event.key !== 'Escape') draw(true);
}

function apply() {
  const [from, to] = ends();
  if (from === to) return reset();
  const wanted = of(chart.bars[from]);
  wanted.set('to', of(chart.bars[to - 1]).get('to'));
  go(wanted.toString(), { depth: depth() + 1, top: 'keep' });
}
