package monitor

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/ursa-virtual/ursa/lockgate/monitor/journal"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// What is kept between two lives of a monitor are facts, in the order in which
// they were taken in: leaves that hashed to a signed checkpoint, decisions whose
// evidence verified, and what the ledger was found to do. Sums are made of them
// again by the same functions, so a monitor that was killed says what one says
// that read everything, and another period or another policy asks for nothing to
// be read again. The leaves carry their own proof: they must hash to checkpoints
// that the log signed. Decisions do not, so who can write the file can invent
// them.

// keptVersion of the format; another one begins again.
const keptVersion = 1

// keptHead says what a file is about. Under other keys or other trust nothing in
// it was verified.
type keptHead struct {
	Version uint64   `cbor:"1,keyasint"`
	Origin  string   `cbor:"2,keyasint"`
	Ed25519 string   `cbor:"3,keyasint"`
	MLDSA   string   `cbor:"4,keyasint"`
	Trust   [32]byte `cbor:"5,keyasint"`
}

// keptPart is what was taken in at once.
type keptPart struct {
	Leaves     []byte         `cbor:"1,keyasint,omitempty"` // each after its length in two bytes, big endian
	Checkpoint []byte         `cbor:"2,keyasint,omitempty"` // what they hash to, with all before
	Found      []byte         `cbor:"3,keyasint,omitempty"` // a Finding of the ledger, as JSON
	Policies   [][]byte       `cbor:"4,keyasint,omitempty"` // that the decisions name and none before did
	Decisions  []keptDecision `cbor:"5,keyasint,omitempty"`
}

type keptDecision struct {
	Name     []byte   `cbor:"1,keyasint"` // of a file, so any bytes
	Decision decision `cbor:"2,keyasint"`
}

// Names translate the names of evidence for a file that outlives this process,
// where they must mean the same; the zero value leaves them as they are.
type Names struct {
	Out func(name string) (kept string)
	In  func(kept string) (name string, ok bool) // false: it is not from a place that is looked at now
}

// errKept is why a file cannot be gone on from.
var errKept = errors.New("cannot be gone on from")

// keeper writes what a follower takes in.
type keeper struct {
	j        *journal.Journal
	names    Names
	policies map[[32]byte]bool // that the file has
	part     keptPart          // decisions that were not written yet
}

// batch is how many decisions are written at once: at most so many are opened
// again after a kill.
const batch = 256

// Keep makes a follower that has read nothing go on from what a file keeps, and
// keep there what it takes in from now on. note says, in a line for people, what
// could not be gone on from; empty: nothing.
func (f *Follower) Keep(file journal.File, names Names) (note string, err error) {
	if names.Out == nil {
		names = Names{Out: func(n string) string { return n }, In: func(n string) (string, bool) { return n, true }}
	}
	k := &keeper{names: names, policies: map[[32]byte]bool{}}
	v := f.Reader.Verifier
	head, err := canon.Marshal(keptHead{Version: keptVersion, Origin: v.Origin, Ed25519: v.Ed25519, MLDSA: v.MLDSA, Trust: f.Auditor.o.Trust})
	if err != nil {
		return "", fmt.Errorf("monitor: %w", err)
	}
	first := true
	var lost bool
	k.j, lost, err = journal.Open(file, func(record []byte) error {
		if first {
			first = false
			if string(record) != string(head) {
				return fmt.Errorf("%w: it was kept in another format, of another ledger, or under another trust", errKept)
			}
			return nil
		}
		return f.replay(record, k)
	})
	switch {
	case errors.Is(err, errKept):
		if err := f.begin(k); err != nil {
			return "", err
		}
		note, first = fmt.Sprintf("%s; the ledger is read from its first leaf", err), true
	case err != nil:
		return "", err
	case lost:
		note = fmt.Sprintf("its end was torn or changed; what stands before is gone on from: %d leaves, %d decisions", f.Auditor.report.Leaves, f.Auditor.report.Opened)
	}
	f.kept = k
	if first {
		return note, k.j.Append(head)
	}
	return note, nil
}

// begin forgets what was replayed.
func (f *Follower) begin(k *keeper) error {
	r, err := NewReader(f.Reader.ReaderConfig)
	if err != nil {
		return err
	}
	*f = *NewFollower(r, NewAuditor(f.Auditor.o), f.Views...)
	clear(k.policies)
	return k.j.Reset()
}

// replay takes in what was kept.
func (f *Follower) replay(record []byte, k *keeper) error {
	var p keptPart
	if err := canon.Unmarshal(record, &p, len(record)); err != nil {
		return fmt.Errorf("%w: %w", errKept, err)
	}
	if len(p.Checkpoint) > 0 {
		leaves, err := splitLeaves(p.Leaves)
		if err != nil {
			return err
		}
		entries, findings, err := f.Reader.resume(leaves, p.Checkpoint)
		if err != nil {
			return err
		}
		f.found(findings)
		f.Auditor.Read(entries)
	}
	if len(p.Found) > 0 {
		var x Finding
		if err := json.Unmarshal(p.Found, &x); err != nil {
			return fmt.Errorf("%w: %w", errKept, err)
		}
		f.found([]Finding{x})
	}
	for _, b := range p.Policies {
		x, err := policy.Decode(b)
		if err != nil {
			return fmt.Errorf("%w: %w", errKept, err)
		}
		hash, err := x.Hash()
		if err != nil {
			return fmt.Errorf("%w: %w", errKept, err)
		}
		f.Auditor.known[hash] = x
		k.policies[hash] = true
	}
	for _, d := range p.Decisions {
		name, ok := k.names.In(string(d.Name))
		if !ok {
			return fmt.Errorf("%w: it has evidence of %s, which is in none of the folders that are looked at", errKept, d.Name)
		}
		if !k.policies[d.Decision.Policy] {
			return fmt.Errorf("%w: a decision under a policy that is not there", errKept)
		}
		f.Auditor.take(name, verified{decision: d.Decision, policy: f.Auditor.known[d.Decision.Policy]})
		f.done[name] = true
	}
	return nil
}

// resume goes on to a checkpoint that was kept, over leaves that were kept.
func (r *Reader) resume(leaves [][]byte, checkpoint []byte) ([]Entry, []Finding, error) {
	cp, err := r.Verifier.Open(checkpoint)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errKept, err)
	}
	entries, findings, err := r.take(leaves, cp)
	if err != nil {
		return nil, nil, err
	}
	if r.head.Size != cp.Size || r.head.Root != cp.Root {
		return nil, nil, fmt.Errorf("%w: its %d leaves do not hash to the checkpoint with them", errKept, cp.Size)
	}
	r.lied = r.lied || len(findings) > 0
	if !r.lied {
		r.newest = r.head
	}
	return entries, findings, nil
}

// read keeps leaves that lead to the reader's newest checkpoint. Those of a ledger
// that lied are none that should be gone on from.
func (k *keeper) read(entries []Entry, r *Reader) error {
	if k == nil || len(entries) == 0 || r.lied {
		return nil
	}
	p := keptPart{Checkpoint: r.head.Raw}
	for _, e := range entries {
		p.Leaves = append(binary.BigEndian.AppendUint16(p.Leaves, uint16(len(e.Raw))), e.Raw...)
	}
	return k.append(p)
}

// found keeps what the ledger did: a monitor does not forget it when it is
// started again.
func (k *keeper) found(x Finding) error {
	if k == nil {
		return nil
	}
	b, err := json.Marshal(x)
	if err != nil {
		return fmt.Errorf("monitor: %w", err)
	}
	return k.append(keptPart{Found: b})
}

// took keeps a decision, soon.
func (k *keeper) took(name string, v verified) error {
	if k == nil || v.err != nil {
		return nil // what is wrong with a file is looked at again each time
	}
	if !k.policies[v.Policy] {
		k.policies[v.Policy] = true
		k.part.Policies = append(k.part.Policies, v.encoded)
	}
	k.part.Decisions = append(k.part.Decisions, keptDecision{[]byte(k.names.Out(name)), v.decision})
	if len(k.part.Decisions) < batch {
		return nil
	}
	return k.flush()
}

// flush writes decisions that were not written yet, and what could not be written
// before.
func (k *keeper) flush() error {
	if k == nil {
		return nil
	}
	if len(k.part.Decisions) == 0 {
		return k.j.Flush()
	}
	p := k.part
	k.part = keptPart{}
	return k.append(p)
}

func (k *keeper) append(p keptPart) error {
	b, err := canon.Marshal(p)
	if err != nil {
		return fmt.Errorf("monitor: %w", err)
	}
	return k.j.Append(b)
}

// splitLeaves takes apart what read put together.
func splitLeaves(b []byte) ([][]byte, error) {
	var out [][]byte
	for len(b) > 0 {
		if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
			return nil, fmt.Errorf("%w: its leaves are cut", errKept)
		}
		n := 2 + int(binary.BigEndian.Uint16(b))
		out, b = append(out, slices.Clip(b[2:n])), b[n:]
	}
	return out, nil
}
