"""Verifies a running server with tools that are not ours, from what it serves to anyone: the signed checkpoint, every tile
and leaf, an inclusion proof, a consistency proof. `aics-tlog`, `tlog-scales` (PyPI) and `openssl pkeyutl` each do it in
their own way, and each must refuse altered material.

    python tlog_check.py URL SEQ OLD_SIZE

Prints one line of JSON: what was verified, and how many alterations each tool refused.
"""

import base64
import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import aics_tlog
from tlog_scales import backend, reader, signing, tlog

MUTATIONS = 20


def main(url, seq, old_size):
    log = json.loads(fetch(f"{url}/v1/log"))
    note = fetch(f"{url}/checkpoint").decode()
    proof = parse_proof(fetch(f"{url}/v1/events/@{seq}/proof").decode())
    evidence = json.loads(fetch(f"{url}/v1/events/@{seq}/evidence"))
    consistency = json.loads(fetch(f"{url}/v1/consistency?from={old_size}"))
    leaf = base64.b64decode(evidence["leaf"])
    refused = {
        "aics-tlog": with_aics(url, log["public_key"], note, seq, leaf, proof, consistency),
        "tlog-scales": with_scales(url, log["public_key"], note, seq, leaf, proof, old_size),
        "openssl": with_openssl(log["public_key_pem"], note),
    }
    print(json.dumps({"size": int(note.split("\n")[1]), "refused": refused}))
    assert all(count >= MUTATIONS for count in refused.values()), refused


def with_aics(url, vkey, note, seq, leaf, proof, consistency):
    key = aics_tlog.parse_vkey(vkey)

    def head(note):
        parsed = aics_tlog.parse_note(note)
        result = aics_tlog.verify_checkpoint(parsed, key, expected_origin=key.name)
        assert result.log_ok, result
        return aics_tlog.parse_checkpoint(parsed.text)

    checkpoint = head(note)
    tiles = aics_tlog.HttpTileReader([url])
    audited = aics_tlog.audit_tiles(tiles, checkpoint.size, checkpoint.root)
    assert audited.bundles == (checkpoint.size + 255) // 256
    index, hashes, own_note = proof
    own = head(own_note)
    assert index == seq

    def included(leaf, index, size, hashes, root):
        assert aics_tlog.verify_leaf_inclusion(leaf, index, size, hashes, root)

    included(leaf, index, own.size, hashes, own.root)
    old, new = consistency["from"], consistency["to"]
    hashes_between = [base64.b64decode(text) for text in consistency["proof"]]

    def consistent(old_size, new_size, old_root, new_root, between):
        assert aics_tlog.verify_consistency(old_size, new_size, old_root, new_root, between)

    roots = [base64.b64decode(old["root"]), base64.b64decode(new["root"])]
    consistent(old["size"], new["size"], *roots, hashes_between)
    attempts = [lambda altered=altered: head(altered) for altered in altered_notes(note)]
    attempts += [lambda at=at: included(flip(leaf, at), index, own.size, hashes, own.root) for at in range(0, 66, 11)]
    attempts += [lambda at=at: included(leaf, index, own.size, flip_one(hashes, at), own.root) for at in range(len(hashes))]
    attempts += [lambda at=at: consistent(old["size"], new["size"], *roots, flip_one(hashes_between, at)) for at in range(len(hashes_between))]
    attempts += [lambda: included(leaf, index + 1, own.size, hashes, own.root)]
    return count_refusals(attempts)


def with_scales(url, vkey, note, seq, leaf, proof, old_size):
    key = signing.Vkey.from_string(vkey)

    def head(note):
        checkpoint = tlog.Checkpoint.from_text(note)
        # This reader looks at the three lines it needs; the text must be what it makes of them.
        assert note.split("\n\n")[0] + "\n" == checkpoint.serialize_body()
        checkpoint.verify(key)
        return checkpoint

    checkpoint = head(note)
    tiles = reader.TilesReader(backend.make_backend(url))
    tiles.set_size(checkpoint.size)
    assert tiles.calculate_root_hash() == checkpoint.root_hash
    assert tiles.get_entry(seq) == leaf
    index, hashes, own_note = proof
    own = head(own_note)

    def included(leaf, index, hashes):
        tlog.InclusionProof(index, own.size, hashes).check(aics_tlog.leaf_hash(leaf), own.root_hash)

    included(leaf, index, hashes)
    assert tiles.get_inclusion_proof(seq, own.size).node_hashes == hashes
    tiles.get_consistency_proof(old_size, checkpoint.size).check(tiles.mth(0, old_size), checkpoint.root_hash)
    attempts = [lambda altered=altered: head(altered) for altered in altered_notes(note)]
    attempts += [lambda at=at: included(flip(leaf, at), index, hashes) for at in range(0, 66, 11)]
    attempts += [lambda at=at: included(leaf, index, flip_one(hashes, at)) for at in range(len(hashes))]
    return count_refusals(attempts)


def with_openssl(pem, note):
    text, line = note.split("\n\n")
    signature = base64.b64decode(line.split(" ")[2])[4:]

    def verify(text, signature):
        with tempfile.TemporaryDirectory() as folder:
            files = {"key": pem.encode(), "text": text, "signature": signature}
            for name, data in files.items():
                Path(folder, name).write_bytes(data)
            command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key", "-rawin", "-in", "text", "-sigfile", "signature"]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)

    text = (text + "\n").encode()
    verify(text, signature)
    attempts = [lambda at=at: verify(flip(text, at), signature) for at in spread(len(text), 12)]
    attempts += [lambda at=at: verify(text, flip(signature, at)) for at in spread(len(signature), 12)]
    return count_refusals(attempts)


def altered_notes(note):
    """The note with one bit of its text or its signature flipped, at places all over it."""
    data = note.encode()
    signed = len(note.split("\n\n")[0].encode())
    places = list(spread(signed, 10)) + [len(data) - at for at in range(10, 80, 7)]
    return [flip(data, at).decode("utf-8", "replace") for at in places]


def count_refusals(attempts):
    refused = 0
    for attempt in attempts:
        try:
            attempt()
        except Exception:
            refused += 1
        else:
            raise SystemExit(f"an alteration was accepted: attempt {attempts.index(attempt)}")
    return refused


def parse_proof(text):
    head, note = text.split("\n\n", 1)
    kind, index, *hashes = head.split("\n")
    assert kind == "c2sp.org/tlog-proof@v1"
    return int(index.removeprefix("index ")), [base64.b64decode(line) for line in hashes], note


def spread(length, count):
    return range(0, length - 1, max(1, length // count))


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def flip_one(hashes, at):
    return hashes[:at] + [flip(hashes[at], at % 32)] + hashes[at + 1 :]


def fetch(url):
    with urllib.request.urlopen(url) as answer:
        return answer.read()


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), int(sys.argv[2]), int(sys.argv[3]))
