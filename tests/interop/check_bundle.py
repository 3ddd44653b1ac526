"""Verifies an Annals bundle (`annals export --bundle FILE`) from the documents alone: README, RFC 6962, RFC 8032 and the C2SP
pages signed-note and tlog-checkpoint. Python's standard library and none of the project's code.

    python3 check_bundle.py FILE [KEY]        KEY is the log's public key: name+id+base64

Exit 0: every row is an unaltered entry of the log that the key signed, and no row is missing from the file.
Exit 1: not so; the line and the reason are printed. Without KEY the one in the file is believed, which proves much less.
"""

import base64
import datetime
import hashlib
import json
import sys

class Refused(Exception):
    pass

def demand(holds, why):
    if not holds:
        raise Refused(why)

def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

def unbase64(text, length=None):
    """Strict base64: one text for one value."""
    demand(isinstance(text, str) and text.isascii(), "not base64")
    try:
        value = base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused("not base64")
    demand(base64.b64encode(value).decode() == text, "not canonical base64")
    demand(length in (None, len(value)), f"{len(value)} bytes, expected {length}")
    return value

def strict_json(data):
    def members(pairs):
        demand(len({name for name, _ in pairs}) == len(pairs), "a member stands there twice")
        return dict(pairs)

    try:
        value = json.loads(data, object_pairs_hook=members)
    except ValueError:
        raise Refused("not JSON")
    demand(isinstance(value, dict), "not a JSON object")
    return value

# --- Ed25519 (RFC 8032, 5.1). Slow and plain: there is one signature to verify. ---

P = 2**255 - 19  # the field
L = 2**252 + 27742317777372353535851937790883648493  # the order of the base point
D = -121665 * pow(121666, -1, P) % P

def add(a, b):
    """The sum of two points (x, y, z, xy/z)."""
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P

def times(n, point):
    total = (0, 1, 1, 0)
    while n:
        total = add(total, point) if n & 1 else total
        point, n = add(point, point), n >> 1
    return total

def read_point(data):
    """32 bytes: y, and the sign of x in the highest bit."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if (x * x - square) % P == 0 else x * pow(2, (P - 1) // 4, P) % P
    demand(y < P and (x * x - square) % P == 0 and (x or not sign), "not a point of the curve")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P

BASE = read_point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))

def is_signed(key, message, signature):
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L
    left, right = times(s, BASE), add(read_point(r), times(h, read_point(key)))
    return all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))

# --- Keys and signed checkpoints (c2sp.org/signed-note, c2sp.org/tlog-checkpoint) ---

def read_key(text):
    """`name+id+base64(01 || key)`; the id is the beginning of SHA-256(name || LF || 01 || key)."""
    demand(text.count("+") >= 2, "not a public key")
    name, id_, key = text.split("+", 2)
    key = unbase64(key, 33)
    demand(key[0] == 1, "the key is not an Ed25519 key of a log")
    demand(sha256(name.encode(), b"\n", key)[:4].hex() == id_, "the key's id is not that of name and key")
    return name, bytes.fromhex(id_), key[1:]

def read_checkpoint(note, key):
    """Origin, size and root on a line each, a blank line, and signature lines, one of them the key's."""
    name, id_, public = key
    demand("\n\n" in note and note.endswith("\n"), "the checkpoint is not a signed note")
    text, signatures = note.rsplit("\n\n", 1)
    text, verified = text + "\n", False
    for line in signatures[:-1].split("\n"):
        parts = line.split(" ")
        demand(len(parts) == 3 and parts[0] == "\u2014", "a signature line is malformed")
        signature = unbase64(parts[2])
        if parts[1] == name and signature[:4] == id_:
            demand(is_signed(public, text.encode(), signature[4:]), "the checkpoint's signature is not the key's")
            verified = True
    demand(verified, "the key has not signed the checkpoint")
    origin, size, root = text.split("\n")[:3]
    demand(size.isascii() and size.isdigit() and str(int(size)) == size, "the checkpoint's size is not a number")
    return origin, int(size), unbase64(root, 32)

# --- Rows ---

def root_from(hash_, seq, size, proof):
    """The root that an inclusion proof leads to (RFC 9162, 2.1.3.2)."""
    at, last = seq, size - 1
    for sibling in proof:
        demand(last > 0, "the proof is too long")
        if at & 1 or at == last:
            hash_ = sha256(b"\x01", sibling, hash_)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            hash_ = sha256(b"\x01", hash_, sibling)
        at, last = at >> 1, last >> 1
    demand(last == 0, "the proof is too short")
    return hash_

def content(row, leaf):
    salt, body = unbase64(row["salt"], 16), unbase64(row["body"])
    demand(sha256(b"annals/body/v1\0", salt, body) == leaf[34:], "body and salt are not what the leaf commits to")
    return strict_json(body)

def cut_out(left, leaf):
    """The content is gone for good, as the entry `by` of the log says; the row stands at the time of its arrival."""
    demand(set(left) == {"by", "tenant"} and type(left["by"]) is int, "what is left of the entry is malformed")
    received = int.from_bytes(leaf[2:10], "big")
    at = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=received)
    return {"tenant": left["tenant"], "time": at.isoformat(timespec="milliseconds")}

def check_row(row, size, root):
    """The leaf commits to the body, and the proof leads from the leaf to the root. Gives the body's time."""
    demand(type(row["seq"]) is int and 0 <= row["seq"] < size, "seq is not in the checkpoint's tree")
    leaf = unbase64(row["leaf"], 66)
    demand(leaf[0] == 1, "the leaf is of no known version")
    event = cut_out(row["excised"], leaf) if "excised" in row else content(row, leaf)
    tag = sha256(b"annals/tenant/v1\0", event["tenant"].encode())[:16]
    demand(tag == leaf[10:26], "the body's tenant is not the leaf's")
    proof = [unbase64(hash_, 32) for hash_ in row["proof"]]
    demand(root_from(sha256(b"\0", leaf), row["seq"], size, proof) == root, "the proof does not lead to the root")
    return event["time"]

def place(order, time, seq):
    """Rows stand by rising place: by time up to its milliseconds and then seq, or by seq; with `-` the other way round."""
    sign, ms = (-1 if order[0] == "-" else 1), int("".join(filter(str.isdigit, time[:23])))
    return (sign * ms if "time" in order else 0, sign * seq)

def next_line(lines, *shapes):
    line = next(lines, None)
    demand(line is not None, "the file ends too early")
    demand(line.endswith(b"\n"), "the file is cut")
    value = strict_json(line)
    demand(set(value) in [set(shape.split()) for shape in shapes], "a line with other members than expected")
    return value

def check(lines, key):
    """A head, rows, a last line that counts them, and nothing else."""
    head = next_line(lines, "annals_bundle origin public_key query order checkpoint")
    demand(head["annals_bundle"] == 1, "a version of bundles that is not known here")
    demand(key in (None, head["public_key"]), "the bundle names another key than the one given")
    origin, size, root = read_checkpoint(head["checkpoint"], read_key(head["public_key"]))
    demand(origin == head["origin"], "the checkpoint is of another log")
    demand(head["order"] in ("time", "-time", "seq", "-seq"), "an order that is not known")
    rows, highest, before = 0, -1, None
    while "seq" in (row := next_line(lines, "seq leaf salt body proof", "seq leaf excised proof", "rows last_seq")):
        here = place(head["order"], check_row(row, size, root), row["seq"])
        demand(before is None or before < here, "a row stands out of order, or twice")
        rows, highest, before = rows + 1, max(highest, row["seq"]), here
    demand(row["rows"] == rows, f"the last line counts {row['rows']} rows, there are {rows}")
    last = -1 if row["last_seq"] is None else row["last_seq"]
    demand(type(last) is int and highest <= last < size, "last_seq does not fit the rows or the checkpoint")
    demand(next(lines, None) is None, "something follows the last line")
    print(f"verified: {rows} rows of {origin}, proven under its signed checkpoint of {size} entries")

def main():
    at, key = 0, sys.argv[2] if len(sys.argv) > 2 else None

    def counted(file):
        nonlocal at
        for line in file:
            at += 1
            yield line

    try:
        with open(sys.argv[1], "rb") as file:
            check(counted(file), key)
    except (Refused, KeyError, TypeError, AttributeError, ValueError) as why:
        sys.exit(print(f"REFUSED: line {at}: {why}") or 1)
    if key is None:
        print("the key is the one in the file: compare it with the log's own")

if __name__ == "__main__":
    main()
