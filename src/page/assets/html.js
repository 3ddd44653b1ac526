// The one door through which HTML comes into the document: fragments that our own server rendered, from fetch or from the
// tail. The page's policy (Trusted Types) lets nothing else in, so nobody else calls `createHTML`. Also the small words that
// every module needs to find and announce things.

const policy = window.trustedTypes?.createPolicy('audit', { createHTML: (html) => html }) ?? { createHTML: (html) => html };

/** From the document's address to the page: empty, or `../`. */
export const root = document.body.dataset.root;

export const $ = (selector, within = document) => within.querySelector(selector);
export const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

function parse(html) {
  const template = document.createElement('template');
  template.innerHTML = policy.createHTML(html);
  return template.content;
}

/** A fragment of the page, whatever its status: a refusal is a fragment as well. Throws if the answer is none. */
export async function get(path, signal) {
  const response = await fetch(root + path, { signal, credentials: 'same-origin' });
  // Signed out meanwhile: the page itself leads to where one signs in.
  if (response.status === 401) location.reload();
  const text = await response.text();
  const isOurs = new URL(response.url).origin === location.origin;
  if (!isOurs || !response.headers.get('content-type')?.startsWith('text/html')) {
    throw new Error(isOurs ? text.slice(0, 300) : 'not ours');
  }
  return parse(text);
}

/** Rows as they come. `rows` gets a fragment and the place it has in the log. */
export function follow(path, { opened, rows, broken }) {
  const source = new EventSource(root + path);
  source.addEventListener('open', opened);
  source.addEventListener('error', broken);
  source.addEventListener('entries', (event) => rows(parse(event.data), event.lastEventId));
  return source;
}

/** An element with attributes and children; text becomes text. */
export function make(name, attributes = {}, ...children) {
  const isDrawing = ['svg', 'g', 'rect', 'line', 'text', 'use'].includes(name);
  const element = isDrawing ? document.createElementNS('http://www.w3.org/2000/svg', name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export const counted = (n, one = 'entry', many = 'entries') => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;

/** Says it to who does not see it; `shout` interrupts. */
export function say(text, place = 'say') {
  const line = document.getElementById(place);
  if (!line) return;
  // The same words twice are only said twice if the line was empty in between.
  line.textContent = '';
  setTimeout(() => (line.textContent = text), 50);
}

/** A function that runs `wait_ms` after its last call. */
export function later(wait_ms, run) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(run, wait_ms, ...given);
  };
}
