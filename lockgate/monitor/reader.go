// Package monitor reads what gates do and says what is wrong. It has no power:
// it holds no key, and no gate waits for it.
//
// What it believes: the log's public keys, those of the witnesses, the trust
// fingerprint of the directory's roots, and the functions that the gates
// themselves decide with. From the ledger's tiles it computes every hash anew,
// from opened evidence every decision.
//
// What it promises: whatever of the kinds listed at [Finding] is in what it was
// given, it finds. What it was not given it says: a release whose evidence
// nobody opened is counted, not judged.
//
// What an attacker may do: be a gate. He may show different ledgers to
// different readers; a reader who keeps the newest checkpoint he saw finds that
// out when the two histories meet, and one who asks for witnesses' cosignatures
// at once, unless the witnesses help.
package monitor

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
)

// Entry is a leaf with its place in the ledger.
type Entry struct {
	Index uint64
	Leaf  ledger.Leaf
	Raw   []byte
	Bad   error // Raw is no leaf that a gate of this program writes, and Leaf is nothing
}

// entryOf decodes a leaf.
func entryOf(index uint64, raw []byte) Entry {
	l, err := ledger.Decode(raw)
	if err != nil {
		l = ledger.Leaf{}
	}
	return Entry{Index: index, Leaf: l, Raw: raw, Bad: err}
}

// ReaderConfig of a reader.
type ReaderConfig struct {
	Source    Source
	Verifier  ledger.Verifier
	Witnesses *ledger.Witnesses // who must have cosigned a checkpoint; nil: nobody
	Seen      [][]byte          // checkpoints that were kept from earlier, or that others have seen
}

// Reader follows one ledger. It has read and hashed every leaf up to its size.
type Reader struct {
	ReaderConfig
	tree   *compact.Range    // over what was read and hashed to a checkpoint
	head   ledger.Checkpoint // of exactly that; zero before the first
	seen   []ledger.Checkpoint
	split  []Finding         // what those contradict each other in
	newest ledger.Checkpoint // head, as long as nothing was found
	lied   bool              // the log has misbehaved: no checkpoint of it is kept any more
}

// ErrNoLedger is a source without a checkpoint.
var ErrNoLedger = errors.New("monitor: there is no checkpoint")

var ranges = compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}

// NewReader begins at the first leaf.
func NewReader(cfg ReaderConfig) (*Reader, error) {
	if err := cfg.Witnesses.Of(cfg.Verifier); err != nil {
		return nil, err
	}
	r := &Reader{ReaderConfig: cfg, tree: ranges.NewEmptyRange(0)}
	for _, raw := range cfg.Seen {
		if len(raw) == 0 {
			continue
		}
		c, err := cfg.Verifier.Open(raw)
		if err != nil {
			return nil, fmt.Errorf("monitor: a checkpoint that was kept: %w", err)
		}
		for _, other := range r.seen {
			if other.Size == c.Size && other.Root != c.Root {
				r.split = append(r.split, r.contradiction(other, c, "two checkpoints that were seen say different things of the first %d leaves", c.Size))
			}
		}
		r.seen = append(r.seen, c)
	}
	return r, nil
}

// Newest is the newest checkpoint that fits all that was seen before; keep its Raw
// for the next time. Zero as long as there is none: then keep the one from before.
func (r *Reader) Newest() ledger.Checkpoint { return r.newest }

// Next reads what the ledger has since the last call. The checkpoint must bear
// the signatures of the log and of enough witnesses, and no false one; it must
// have grown out of the last one, by a consistency proof; and the Merkle root
// over all leaves that were read must be its own, and at their sizes those of
// the checkpoints that were seen. Leaves that do not hash to a checkpoint are
// read again the next time. Findings are the ledger's misbehaviour; the error is
// the reader's own trouble, after which nothing has changed.
func (r *Reader) Next(ctx context.Context) ([]Entry, []Finding, error) {
	raw, err := r.Source.ReadCheckpoint(ctx)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, ErrNoLedger
	}
	if err != nil {
		return nil, nil, fmt.Errorf("monitor: %w", err)
	}
	entries, findings, err := r.upTo(ctx, raw)
	if err != nil {
		return nil, nil, err
	}
	findings = append(findings, r.split...)
	for _, f := range findings {
		// Of a checkpoint that is not signed as it must be nothing was believed.
		r.lied = r.lied || f.Kind != BadCheckpoint && f.Kind != Uncosigned && f.Kind != BadCosignature
	}
	if !r.lied {
		r.newest = r.head
	}
	return entries, findings, nil
}

// upTo reads up to a checkpoint.
func (r *Reader) upTo(ctx context.Context, raw []byte) ([]Entry, []Finding, error) {
	cp, bad := r.open(raw)
	if bad != nil {
		return nil, []Finding{*bad}, nil
	}
	have := r.head.Size
	for _, c := range r.seen {
		have = max(have, c.Size)
	}
	if cp.Size < have {
		return nil, []Finding{{Kind: RolledBack, Detail: fmt.Sprintf("the ledger shows %d leaves, and has shown %d", cp.Size, have), Notes: notes(cp)}}, nil
	}
	grown, err := consistent(ctx, r.Source, r.head, cp)
	if err != nil {
		return nil, nil, err
	}
	if !grown {
		return nil, []Finding{r.contradiction(r.head, cp, "the %d leaves that were read are no beginning of the %d that it shows now", r.head.Size, cp.Size)}, nil
	}
	leaves, err := fetch(ctx, r.Source, r.head.Size, cp.Size)
	if err != nil {
		return nil, nil, err
	}
	return r.take(leaves, cp)
}

// maxNote is the longest note that is kept with a finding.
const maxNote = 64 << 10

// open verifies a checkpoint; what is wrong with it is a finding.
func (r *Reader) open(raw []byte) (ledger.Checkpoint, *Finding) {
	cp, err := r.Verifier.Open(raw)
	kind := BadCheckpoint
	if err == nil {
		err = r.Witnesses.Check(raw)
		kind = Uncosigned
		if errors.Is(err, ledger.ErrCosignature) {
			kind = BadCosignature
		}
	}
	if err != nil {
		f := &Finding{Kind: kind, Detail: err.Error()}
		if len(raw) <= maxNote {
			f.Notes = []string{string(raw)}
		}
		return ledger.Checkpoint{}, f
	}
	return cp, nil
}

// take hashes leaves and goes on to the checkpoint that they lead to.
func (r *Reader) take(leaves [][]byte, cp ledger.Checkpoint) ([]Entry, []Finding, error) {
	tree, err := ranges.NewRange(0, r.tree.End(), append([][]byte(nil), r.tree.Hashes()...))
	if err != nil {
		return nil, nil, fmt.Errorf("monitor: %w", err)
	}
	var findings []Finding
	entries := make([]Entry, 0, len(leaves))
	for _, raw := range leaves {
		entries = append(entries, entryOf(tree.End(), raw))
		if err := tree.Append(rfc6962.DefaultHasher.HashLeaf(raw), nil); err != nil {
			return nil, nil, fmt.Errorf("monitor: %w", err)
		}
		for _, c := range r.seen {
			if c.Size != tree.End() {
				continue
			}
			root, err := rootOf(tree)
			if err != nil {
				return nil, nil, err
			}
			if root != c.Root {
				findings = append(findings, r.contradiction(c, cp, "at %d leaves it is not the ledger that was seen before", c.Size))
			}
		}
	}
	root, err := rootOf(tree)
	if err != nil {
		return nil, nil, err
	}
	if tree.End() != cp.Size || root != cp.Root {
		return nil, append(findings, Finding{Kind: BadRoot, Detail: fmt.Sprintf("the %d leaves do not hash to the checkpoint's root", cp.Size), Notes: notes(cp)}), nil
	}
	r.tree, r.head = tree, cp
	return entries, findings, nil
}

func rootOf(tree *compact.Range) ([32]byte, error) {
	if tree.End() == 0 {
		return [32]byte(rfc6962.DefaultHasher.EmptyRoot()), nil
	}
	h, err := tree.GetRootHash(nil)
	if err != nil {
		return [32]byte{}, fmt.Errorf("monitor: %w", err)
	}
	return [32]byte(h), nil
}
