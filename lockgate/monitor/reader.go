// Package monitor reads what gates do and says what is wrong. It has no power:
// it holds no key, and no gate waits for it.
//
// What it believes: the log's public keys, the trust fingerprint of the
// directory's roots, and the functions that the gates themselves decide with.
// From the ledger's tiles it computes every hash anew, from opened evidence every
// decision.
//
// What it promises: whatever of the kinds listed at [Finding] is in what it was
// given, it finds. What it was not given it says: a release whose evidence
// nobody opened is counted, not judged.
//
// What an attacker may do: be a gate. He may show different ledgers to
// different readers; a reader who keeps the newest checkpoint he saw finds that
// out when the two histories meet, and witnesses find it at once.
package monitor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
)

// Source is where the ledger's checkpoint and tiles are read (C2SP tlog-tiles).
type Source interface {
	ReadCheckpoint(ctx context.Context) ([]byte, error)
	ReadEntryBundle(ctx context.Context, index uint64, partial uint8) ([]byte, error)
}

// Open makes a source of a directory or of an http(s) address.
func Open(at string, c *http.Client) (Source, error) {
	if !strings.HasPrefix(at, "http://") && !strings.HasPrefix(at, "https://") {
		if st, err := os.Stat(at); err != nil || !st.IsDir() {
			return nil, fmt.Errorf("monitor: %q is no folder and no http(s) address of a ledger", at)
		}
		return client.FileFetcher{Root: at}, nil
	}
	u, err := url.Parse(strings.TrimSuffix(at, "/") + "/")
	if err != nil {
		return nil, fmt.Errorf("monitor: %q: %w", at, err)
	}
	return client.NewHTTPFetcher(u, c)
}

// Entry is a leaf with its place in the ledger.
type Entry struct {
	Index uint64
	Leaf  ledger.Leaf
	Raw   []byte
}

// Reader follows one ledger. It has read and hashed every leaf up to its size.
type Reader struct {
	source   Source
	verifier ledger.Verifier
	tree     *compact.Range
	seen     []ledger.Checkpoint // kept from before, or seen by others
	newest   ledger.Checkpoint
	lied     bool // the log has misbehaved: no checkpoint of it is kept any more
}

// ErrNoLedger is a source without a checkpoint.
var ErrNoLedger = errors.New("monitor: there is no checkpoint")

// NewReader begins at the first leaf. seen are checkpoints that were kept from
// earlier, or that others have seen; none when this is the first time.
func NewReader(s Source, v ledger.Verifier, seen ...[]byte) (*Reader, error) {
	r := &Reader{source: s, verifier: v, tree: (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)}
	for _, raw := range seen {
		if len(raw) == 0 {
			continue
		}
		c, err := v.Open(raw)
		if err != nil {
			return nil, fmt.Errorf("monitor: a checkpoint that was kept: %w", err)
		}
		r.seen = append(r.seen, c)
	}
	return r, nil
}

// Newest is the newest checkpoint that fits all that was seen before; keep its Raw
// for the next time. Zero as long as there is none: then keep the one from before.
func (r *Reader) Newest() ledger.Checkpoint { return r.newest }

// Next reads what the ledger has since the last call, computes the Merkle root
// over everything and compares it with the checkpoint, and with the one that was
// kept from earlier when its size is passed. Findings are the ledger's
// misbehaviour; the error is the reader's own trouble.
func (r *Reader) Next(ctx context.Context) ([]Entry, []Finding, error) {
	raw, err := r.source.ReadCheckpoint(ctx)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, ErrNoLedger
	}
	if err != nil {
		return nil, nil, fmt.Errorf("monitor: %w", err)
	}
	cp, err := r.verifier.Open(raw)
	if err != nil {
		return nil, []Finding{{Kind: BadCheckpoint, Detail: err.Error()}}, nil
	}
	have := r.tree.End()
	for _, c := range r.seen {
		have = max(have, c.Size)
	}
	if cp.Size < have {
		r.lied = true
		return nil, []Finding{{Kind: RolledBack, Detail: fmt.Sprintf("the ledger shows %d leaves, and has shown %d", cp.Size, have)}}, nil
	}
	entries, findings, err := r.leaves(ctx, cp.Size)
	if err != nil {
		return nil, nil, err
	}
	if root, err := r.root(); err != nil {
		return nil, nil, err
	} else if root != cp.Root {
		findings = append(findings, Finding{Kind: BadRoot, Detail: fmt.Sprintf("the %d leaves do not hash to the checkpoint's root", cp.Size)})
	}
	for _, f := range findings {
		r.lied = r.lied || f.Kind != BadLeaf
	}
	if !r.lied {
		r.newest = cp
	}
	return entries, findings, nil
}

func (r *Reader) root() ([32]byte, error) {
	if r.tree.End() == 0 {
		return [32]byte(rfc6962.DefaultHasher.EmptyRoot()), nil
	}
	h, err := r.tree.GetRootHash(nil)
	if err != nil {
		return [32]byte{}, fmt.Errorf("monitor: %w", err)
	}
	return [32]byte(h), nil
}

// leaves reads up to a size, hashes, and decodes.
func (r *Reader) leaves(ctx context.Context, size uint64) ([]Entry, []Finding, error) {
	var entries []Entry
	var findings []Finding
	for r.tree.End() < size {
		at := r.tree.End()
		b, err := client.GetEntryBundle(ctx, r.source.ReadEntryBundle, at/256, size)
		if err != nil {
			return nil, nil, fmt.Errorf("monitor: reading leaf %d: %w", at, err)
		}
		from := at % 256
		if uint64(len(b.Entries)) <= from {
			return nil, nil, fmt.Errorf("monitor: the ledger lacks leaf %d of %d", at, size)
		}
		for _, raw := range b.Entries[from:] {
			if r.tree.End() == size {
				break
			}
			e := Entry{Index: r.tree.End(), Raw: raw}
			if e.Leaf, err = ledger.Decode(raw); err != nil {
				findings = append(findings, Finding{Kind: BadLeaf, Leaf: &e.Index, Detail: err.Error()})
			} else {
				entries = append(entries, e)
			}
			if err := r.tree.Append(rfc6962.DefaultHasher.HashLeaf(raw), nil); err != nil {
				return nil, nil, fmt.Errorf("monitor: %w", err)
			}
			f, err := r.compare()
			if err != nil {
				return nil, nil, err
			}
			findings = append(findings, f...)
		}
	}
	return entries, findings, nil
}

// compare holds what was read so far against the checkpoints of that size.
func (r *Reader) compare() ([]Finding, error) {
	for _, c := range r.seen {
		if c.Size != r.tree.End() {
			continue
		}
		root, err := r.root()
		if err != nil {
			return nil, err
		}
		if root != c.Root {
			return []Finding{{Kind: Forked, Detail: fmt.Sprintf("at %d leaves it is not the ledger that was seen before", c.Size)}}, nil
		}
	}
	return nil, nil
}
