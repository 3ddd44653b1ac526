// Verify in this browser: computes with WebCrypto, from the bytes of the evidence alone, what the server claims. The leaf
// commits to the body, the path leads from the leaf to the root, the root is signed. Each step is shown, none is skipped.
// The formats: RFC 6962, c2sp.org/tlog-checkpoint, and README, Prove and Bundles.

import { $, make, root as page, say } from './html.js';

const LEAF_BYTES = 66;
const COMMITMENT_AT = 34;
const TENANT_TAG = { from: 10, to: 26 };

class Refused extends Error {}

/** Runs all steps for the entry of a button and writes them below it. */
export async function verify(button) {
  const box = button.closest('.proof');
  $('.steps', box)?.remove();
  const list = make('ol', { class: 'steps' });
  box.append(list);
  const step = (sign, words) => list.append(make('li', { class: sign === '✓' ? 'ok' : sign === '✗' ? 'bad' : 'nil' }, `${sign} ${words}`));
  button.setAttribute('aria-disabled', 'true');
  try {
    const end = await steps(button, step);
    say(end);
  } catch (error) {
    const words = error instanceof Refused ? error.message : `could not be checked: ${error.message}`;
    step('✗', words);
    say(`Not verified: ${words}`, 'shout');
  } finally {
    button.removeAttribute('aria-disabled');
  }
}

async function steps(button, step) {
  demand(crypto.subtle, 'this browser only computes hashes on https or on this computer');
  const evidence = await json(button.dataset.verify);
  const [leaf, salt, body] = [evidence.leaf, evidence.salt, evidence.body].map(bytes);
  demand(leaf.length === LEAF_BYTES && leaf[0] === 1, 'the leaf is of no known version');
  const event = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  demand(isShown(button.closest('.det'), await opened(event, evidence.opened)), 'the entry shown here is not the one in the evidence');
  step('✓', `Payload shown here is the one in the evidence (${body.length.toLocaleString('en')} bytes)`);

  const commitment = await sha256(text('annals/body/v1\0'), salt, body);
  demand(same(commitment, leaf.slice(COMMITMENT_AT)), 'the leaf does not commit to this payload');
  const tag = await sha256(text('annals/tenant/v1\0'), text(event.tenant));
  demand(same(tag.slice(0, 16), leaf.slice(TENANT_TAG.from, TENANT_TAG.to)), 'the leaf is of another tenant');
  const hash = await sha256(Uint8Array.of(0), leaf);
  step('✓', `Leaf commits to it: ${short(hash)}`);

  const checkpoint = read(evidence.checkpoint);
  const root = await climb(hash, evidence.seq, checkpoint.size, evidence.proof.map(bytes));
  demand(same(root, checkpoint.root), 'the path does not lead to the root of the checkpoint');
  step('✓', `${evidence.proof.length} hashes lead to the root of ${checkpoint.size.toLocaleString('en')} entries: ${short(root)}`);

  const { public_key: key } = await json(`${page}log.json`);
  const signed = await isSigned(checkpoint, key);
  if (signed === undefined) {
    step('–', 'Signature not checked: this browser has no Ed25519');
    return 'Verified, but for the signature';
  }
  demand(signed, 'the checkpoint is not signed by the key of this log');
  step('✓', `Root is signed by ${key.split('+').slice(0, 2).join(' ')}. Compare the key with the one that you keep.`);
  return 'Verified: the entry is unaltered and in the signed log';
}

function demand(holds, why) {
  if (!holds) throw new Refused(why);
}

async function json(address) {
  const response = await fetch(address);
  const value = await response.json();
  demand(response.ok, value.detail ?? `the server answers ${response.status}`);
  return value;
}

/** The event with what was sealed of it: the body has the digest of each part. */
async function opened(event, parts = {}) {
  for (const kind in parts) {
    const part = bytes(parts[kind]);
    const digest = bytes(event.sealed[kind].replace(/-/g, '+').replace(/_/g, '/'));
    demand(same(await sha256(part), digest), 'the leaf does not commit to this part');
    // Behind chance and a length; padded with zeros, which JSON has none of.
    const members = JSON.parse(new TextDecoder().decode(part.slice(20)).replaceAll('\0', ''));
    for (const pointer in members) {
      const steps = pointer.slice(1).split('/');
      const last = steps.pop();
      steps.reduce((object, step) => (object[step] ??= {}), event)[last] = members[pointer];
    }
  }
  return event;
}

/** Whatever the order of members. */
const ordered = (value) => JSON.stringify(value, (_, inner) => (inner?.constructor === Object ? ['{', ...Object.entries(inner).sort()] : inner));

/** What stands on the page is what was hashed. A payload too long to be shown has only its id to compare. */
function isShown(detail, event) {
  const shown = $('.json', detail)?.textContent;
  return event.id === detail.dataset.id && (!shown || ordered(JSON.parse(shown)) === ordered(event));
}

/** The root that a path leads to (RFC 9162, 2.1.3.2). Sizes beyond 2^32 need division instead of shifts. */
async function climb(hash, seq, size, path) {
  let [at, last] = [seq, size - 1];
  demand(Number.isSafeInteger(seq) && seq >= 0 && seq <= last, 'the entry is not in the tree of the checkpoint');
  const half = (n) => Math.floor(n / 2);
  for (const sibling of path) {
    demand(last > 0, 'the path is too long');
    if (at % 2 === 1 || at === last) {
      hash = await sha256(Uint8Array.of(1), sibling, hash);
      while (at % 2 === 0 && at !== 0) [at, last] = [half(at), half(last)];
    } else {
      hash = await sha256(Uint8Array.of(1), hash, sibling);
    }
    [at, last] = [half(at), half(last)];
  }
  demand(last === 0, 'the path is too short');
  return hash;
}

/** Origin, size and root on a line each, a blank line, and a line for each signature. */
function read(note) {
  const end = note.lastIndexOf('\n\n');
  demand(end > 0 && note.endsWith('\n'), 'the checkpoint is not a signed note');
  const [, size, root] = note.split('\n');
  demand(/^(0|[1-9][0-9]*)$/.test(size), 'the size in the checkpoint is not a number');
  const signatures = note.slice(end + 2, -1).split('\n').map((line) => line.split(' '));
  return { text: note.slice(0, end + 1), size: Number(size), root: bytes(root), signatures };
}

/** Whether the key (`name+id+base64`) signed it; undefined if this browser cannot tell. */
async function isSigned({ text: signed, signatures }, key) {
  const [name, id, ...rest] = key.split('+');
  const wanted = bytes(rest.join('+'));
  const named = await sha256(text(`${name}\n`), wanted);
  demand(wanted[0] === 1 && hex(named.slice(0, 4)) === id, 'the key of this log is malformed');
  let usable;
  try {
    usable = await crypto.subtle.importKey('raw', wanted.slice(1), { name: 'Ed25519' }, false, ['verify']);
  } catch {
    return undefined;
  }
  for (const [dash, who, value] of signatures) {
    const signature = dash === '—' && who === name ? bytes(value) : [];
    if (signature.length === 68 && hex(signature.slice(0, 4)) === id) {
      return crypto.subtle.verify('Ed25519', usable, signature.slice(4), text(signed));
    }
  }
  return false;
}

async function sha256(...parts) {
  const whole = await new Blob(parts).arrayBuffer();
  return new Uint8Array(await crypto.subtle.digest('SHA-256', whole));
}

const text = (string) => new TextEncoder().encode(string);
const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
const hex = (array) => [...array].map((byte) => byte.toString(16).padStart(2, '0')).join('');
const same = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);
const short = (hash) => `${hex(hash).slice(0, 8)}…${hex(hash).slice(-8)}`;
