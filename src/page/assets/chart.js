// Narrows the range in the chart: drag across the bars, or move the two grips with the keys. The bars are links that do the
// same for one bucket without this; the grips lie in a layer of their own, since the chart itself is hidden from who cannot
// see it.

import { $, counted, make } from './html.js';
import { cancel as stop, depth, go, onShown, query } from './nav.js';

/** So far the pointer may move and it is still a click, px. */
const CLICK_PX = 4;
const BARS_HEIGHT = 78;
const TIP = { width: 216, height: 38 };

let chart;
/** How far the range was narrowed when a click began. */
let clickedAt = 0;

export function start() {
  onShown(build);
  document.addEventListener('annals:chart', build);
  addEventListener('resize', () => chart && draw(chart.isActive));
  document.addEventListener('click', settle, true);
  document.addEventListener('dblclick', (event) => event.target.closest('.plot') && back(clickedAt));
  // What is dragged is the range, not a link or the text around.
  document.addEventListener('mousedown', (event) => event.target.closest('svg.plot') && event.preventDefault());
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

function build() {
  const plot = $('svg.plot');
  chart = undefined;
  if (!plot) return;
  const bars = [...plot.querySelectorAll(':scope > a')];
  if (bars.length === 0) return;
  const band = make('rect', { class: 'brush', y: 0, height: BARS_HEIGHT });
  const grips = ['Start of the range', 'End of the range'].map(grip);
  const tip = make('g', {}, make('rect', { class: 'tip', y: -46, rx: 5, ...TIP }), make('text', { class: 'tipt', y: -30 }), make('text', { class: 'tips', y: -15 }));
  const layer = make('svg', { class: 'plot layer', height: 96, focusable: 'false', role: 'group', 'aria-label': 'Range in the chart' }, band, ...grips, tip);
  const shell = make('div', { class: 'over' });
  Object.assign(shell.style, { position: 'relative' });
  Object.assign(layer.style, { position: 'absolute', inset: '0', pointerEvents: 'none' });
  plot.replaceWith(shell);
  shell.append(plot, layer);
  chart = { plot, layer, bars, band, grips, tip, range: [0, bars.length], isActive: false };
  plot.addEventListener('pointerdown', press);
  // Listened to outside of the drawing: one that listens to focus would take it.
  shell.addEventListener('keydown', keyed);
  shell.addEventListener('focusin', () => draw(true));
  shell.addEventListener('focusout', (event) => !layer.contains(event.relatedTarget) && !chart.drag && reset());
  draw(false);
}

function grip(label) {
  const hit = make('rect', { class: 'hit', x: -12, width: 24, y: 0, height: BARS_HEIGHT });
  const line = make('line', { class: 'edge', y1: 0, y2: BARS_HEIGHT });
  const handle = make('rect', { class: 'grip', x: -4, y: 30, width: 8, height: 18, rx: 2.5 });
  return make('g', { class: 'slider', role: 'slider', tabindex: 0, 'aria-label': label, 'aria-valuemin': 0 }, hit, line, handle);
}

/** Bucket borders count from 0 to the number of bars. */
function draw(isActive) {
  const { bars, band, grips, tip, range, plot } = chart;
  chart.isActive = isActive;
  const width = plot.getBoundingClientRect().width;
  const x = (border) => (border / bars.length) * width;
  const [from, to] = [...range].sort((a, b) => a - b);
  const [start, end] = [moment(from), moment(to)];
  const day = start.slice(0, start.lastIndexOf(' ') + 1);
  // A day is only said once.
  const words = `${start} to ${end.startsWith(day) ? end.slice(day.length) : end}`;
  band.setAttribute('x', x(from));
  band.setAttribute('width', x(to) - x(from));
  grips.forEach((grip, nth) => {
    grip.style.transform = `translateX(${x(range[nth])}px)`;
    grip.setAttribute('aria-valuemax', bars.length);
    grip.setAttribute('aria-valuenow', range[nth]);
    grip.setAttribute('aria-valuetext', moment(range[nth]));
    grip.style.pointerEvents = isActive ? 'auto' : 'none';
    grip.style.opacity = isActive ? 1 : 0;
  });
  for (const part of [band, tip]) part.style.display = isActive ? '' : 'none';
  const [box, first, second] = tip.children;
  first.textContent = isActive ? `${words}, ${counted(total(from, to))}` : '';
  second.textContent = isActive ? 'Enter to apply, Esc to cancel' : '';
  const room = Math.max(TIP.width, isActive ? first.getComputedTextLength() + 24 : 0);
  const left = Math.min(Math.max((x(from) + x(to) - room) / 2, 0), Math.max(width - room, 0));
  box.setAttribute('x', left);
  box.setAttribute('width', room);
  for (const line of [first, second]) line.setAttribute('x', left + room / 2);
}

function reset() {
  chart.range = [0, chart.bars.length];
  chart.drag?.abort();
  chart.drag = undefined;
  draw(false);
}

const of = (bar) => new URLSearchParams(bar.getAttribute('href').slice(1));
const title = (bar) => $('title', bar).textContent;
const total = (from, to) => chart.bars.slice(from, to).reduce((sum, bar) => sum + Number(title(bar).match(/([\d,]+) entr/)[1].replaceAll(',', '')), 0);

/** A border as the page writes moments, in the zone of the page. */
function moment(border) {
  const { bars } = chart;
  const at = border < bars.length ? of(bars[border]).get('from') : of(bars[border - 1]).get('to');
  const long = { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' };
  const timeZone = new URLSearchParams(query()).get('tz') ?? document.body.dataset.tz ?? 'UTC';
  const parts = new Intl.DateTimeFormat('en-GB', { ...long, timeZone }).formatToParts(new Date(at));
  const part = Object.fromEntries(parts.map(({ type, value }) => [type, value]));
  const seconds = part.second === '00' ? '' : `:${part.second}`;
  return `${part.day} ${part.month.slice(0, 3)} ${part.hour}:${part.minute}${seconds}`;
}

function borderAt(clientX, round) {
  const box = chart.plot.getBoundingClientRect();
  const border = ((clientX - box.left) / box.width) * chart.bars.length;
  return Math.min(Math.max(round(border), 0), chart.bars.length);
}

function press(event) {
  if (event.button !== 0 || !event.isPrimary || event.ctrlKey || event.metaKey || event.shiftKey) return;
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
  if (!bar || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  if (chart.wasDragged || event.detail > 1) return;
  clickedAt = depth();
  go(bar.getAttribute('href').slice(1), { depth: depth() + 1, top: 'keep' });
}

function keyed(event) {
  const nth = chart.grips.indexOf(event.target);
  if (nth < 0) return;
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
  event.stopPropagation();
  if (event.key !== 'Escape') draw(true);
}

function apply() {
  const [from, to] = [...chart.range].sort((a, b) => a - b);
  if (from === to) return reset();
  const wanted = of(chart.bars[from]);
  wanted.set('to', of(chart.bars[to - 1]).get('to'));
  go(wanted.toString(), { depth: depth() + 1, top: 'keep' });
}
