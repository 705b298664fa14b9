package monitor

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/lockgate/grant/stage"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/monitor/journal/journaltest"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// history is a ledger that grows, with the evidence beside it: drawn at random, and full of what a monitor finds.
type history struct {
	t        *rapid.T
	log      *fakeLog
	files    map[string][]byte
	policies []policy.Policy
	hashes   [][32]byte
	grants   []uint64 // their leaves
	now      int64    // ms
	n        int
}

func newHistory(t *rapid.T, log *fakeLog) *history {
	h := &history{t: t, log: log, files: map[string][]byte{}, now: 1_700_000_000_000}
	for i := range 2 {
		p := stage.DefaultPolicy(time.UnixMilli(h.now))
		p.Version = uint64(i + 1)
		p.Budgets = []policy.Budget{{Of: policy.BucketFleet, Per: policy.PerHour, Units: 60}, {Of: policy.BucketTenant, Per: policy.PerDay, Units: 40}}
		hash, err := p.Hash()
		if err != nil {
			t.Fatal(err)
		}
		h.policies, h.hashes = append(h.policies, p), append(h.hashes, hash)
	}
	return h
}

func word(b byte) [32]byte { return [32]byte{b, 1} }

// leaf appends one of any kind.
func (h *history) leaf() {
	h.now += rapid.Int64Range(-70_000, 600_000).Draw(h.t, "ms later")
	l := ledger.Leaf{Version: 1, AtUnixMS: h.now}
	small := func(what string, most byte) byte { return byte(rapid.IntRange(0, int(most)).Draw(h.t, what)) }
	switch small("kind", 9) {
	case 0:
		l.Kind, l.Epoch, l.Object = ledger.KindDirectory, uint64(1+small("epoch", 1)), word(1)
	case 1:
		hash := h.hashes[small("policy", 1)]
		l.Kind, l.PolicyHash, l.Object = ledger.KindPolicy, hash, hash
	case 2:
		l.Kind, l.Epoch, l.Object = ledger.KindRevocation, uint64(small("epoch", 3)), word(2)
	case 3:
		l.Kind, l.Units, l.Object = ledger.KindBurn, 10, word(3)
	case 4:
		l.Kind, l.Units, l.Object = ledger.KindDeposit, 10, word(4)
	case 5:
		h.log.leaves = append(h.log.leaves, []byte("no leaf of this program"))
		return
	default:
		l.Kind, l.Units, l.PolicyHash, l.Epoch = ledger.KindGrant, uint64(1+small("units", 19)), h.hashes[small("policy", 1)], uint64(1+small("epoch", 1))
		l.Object, l.Commitment, l.NotAfterMS = word(byte(len(h.log.leaves))), word(small("commitment", 1)), h.now+1000
		if small("burns", 2) == 0 {
			l.Burn = new(uint64(small("burn", 8)))
		}
		h.grants = append(h.grants, uint64(len(h.log.leaves)))
	}
	b, err := l.Encode()
	if err != nil {
		h.t.Fatal(err)
	}
	h.log.leaves = append(h.log.leaves, b)
}

// deposits are leaves that are as good as any.
func (h *history) deposits(n int) {
	for range n {
		h.now++
		b, err := ledger.Leaf{Version: 1, Kind: ledger.KindDeposit, AtUnixMS: h.now, Units: 1, Object: word(4)}.Encode()
		if err != nil {
			h.t.Fatal(err)
		}
		h.log.leaves = append(h.log.leaves, b)
	}
}

// evidence adds a file, in the order of names: of a release that is in the ledger, or will be, or of a refusal.
func (h *history) evidence() {
	small := func(what string, most int) int { return rapid.IntRange(0, most).Draw(h.t, what) }
	at := uint64(len(h.log.leaves) + small("early", 3))
	if len(h.grants) > 0 && small("of a grant", 3) > 0 {
		at = rapid.SampledFrom(h.grants).Draw(h.t, "grant")
	}
	core := identity.ID{byte(small("core", 3))}
	d := decision{Core: core, Chip: word(core[0]), Tenant: []string{"", "a", "b"}[small("tenant", 2)], Policy: h.hashes[small("policy", 1)], Epoch: uint64(1 + small("epoch", 1)),
		Revoked: uint64(small("revoked", 3)), DecidedNS: (h.now + int64(small("ms later", 200_000))) * 1e6, Touches: []string{"", "DE", "AT DE"}[small("touches", 2)],
		Nonce: word(byte(small("nonce", 40))), Previous: word(byte(small("previous", 9))), Want: uint64(small("want", 1)) << 62, Used: uint64(h.n), Held: uint64(small("held", 1)) << 61,
		Granted: small("granted", 5) > 0, Units: uint64(1 + small("units", 19)), Leaf: at}
	for i := range 3 {
		d.Heard = append(d.Heard, heard{identity.ID{9, byte(i)}, "Kassel, DE", earth.RTT(1_000_000 + 200_000*small("rtt", 3))})
	}
	if !d.Granted {
		d.RefusedBy, d.Heard = "verdict", nil
	} else {
		d.Object, d.Commitment, d.LeaseUnits, d.LeasePol, d.HoldsNS = word(byte(at)), word(0), d.Units, d.Policy, d.DecidedNS+int64(time.Hour)
	}
	file, err := canon.Marshal(d)
	if err != nil {
		h.t.Fatal(err)
	}
	if small("bad", 9) == 0 {
		file = append(file, 0)
	}
	h.files[fmt.Sprintf("%06d", h.n)] = file
	h.n++
}

func (h *history) names() []string { return slices.Sorted(maps.Keys(h.files)) }

// options of an audit that finds everything, and reads files as they are here.
func (h *history) options() Options {
	return Options{Complete: true, Hall: 2, Policies: h.policies[:1], Signed: true, verify: func(_ [32]byte, file []byte) verified {
		var d decision
		if err := canon.Unmarshal(file, &d, len(file)); err != nil {
			return verified{err: errors.New("bad")}
		}
		p := h.policies[slices.Index(h.hashes, d.Policy)]
		b, err := p.Encode()
		return verified{decision: d, policy: p, encoded: b, err: err}
	}}
}

// monitor is a process that begins, with what the file keeps.
func (h *history) monitor(file *journaltest.Memory) (f *Follower, note string) {
	r, err := NewReader(ReaderConfig{Source: h.log, Verifier: h.log.key})
	if err != nil {
		h.t.Fatal(err)
	}
	f = NewFollower(r, NewAuditor(h.options()))
	if file != nil {
		if note, err = f.Keep(file, Names{}); err != nil {
			h.t.Fatal(err)
		}
	}
	return f, note
}

// round of a process that may be killed in it.
func (h *history) round(f *Follower, killed bool) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	left := len(h.files) + 1
	if killed {
		left = rapid.IntRange(0, len(h.files)).Draw(h.t, "killed after")
	}
	_, err := f.Round(ctx, f.New(h.names()), func(name string) ([]byte, error) {
		if left--; left < 0 {
			cancel()
		}
		return h.files[name], nil
	}, 1, nil)
	return err
}

// twin is the slow and obvious monitor: it keeps nothing and reads everything, in one go.
func (h *history) twin() *Auditor {
	a := NewAuditor(h.options())
	for i, raw := range h.log.leaves[:h.log.size] {
		a.Read([]Entry{entryOf(uint64(i), raw)})
	}
	for _, name := range h.names() {
		a.Open(Opened{Name: name, File: h.files[name]})
	}
	return a
}

func (h *history) same(f *Follower, what string) {
	now := time.UnixMilli(h.now).Add(24 * time.Hour)
	got, err := json.MarshalIndent(f.Auditor.Report(now), "", " ")
	if err != nil {
		h.t.Fatal(err)
	}
	want, err := json.MarshalIndent(h.twin().Report(now), "", " ")
	if err != nil {
		h.t.Fatal(err)
	}
	if string(got) != string(want) {
		h.t.Fatalf("%s says\n%s\nand one that read everything\n%s", what, got, want)
	}
}

// TestKilledAnywhere: whatever a monitor was doing when it was killed, and whatever became of its file, the next one says in the
// end what one says that read everything.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	log := newFakeLog(t)
	resumed := 0
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t, log.clone())
		file := &journaltest.Memory{}
		f, _ := h.monitor(file)
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			for range rapid.IntRange(0, 25).Draw(t, "leaves") {
				h.leaf()
			}
			for range rapid.IntRange(0, 12).Draw(t, "files") {
				h.evidence()
			}
			h.log.size = uint64(len(h.log.leaves))
			file.Fail(rapid.SampledFrom([]journaltest.Fault{journaltest.None, journaltest.None, journaltest.NotApplied, journaltest.Torn, journaltest.Applied}).Draw(t, "fault"),
				rapid.IntRange(0, 2000).Draw(t, "torn at"))
			killed := rapid.Bool().Draw(t, "killed in the round")
			if err := h.round(f, killed); err == nil {
				h.same(f, "a monitor that lives")
			}
			file.Clear()
			if !killed && rapid.Bool().Draw(t, "lives") {
				continue
			}
			if n := len(file.Data); n > 0 {
				switch at := rapid.IntRange(0, n-1).Draw(t, "at"); rapid.IntRange(0, 5).Draw(t, "damage") {
				case 0:
					file.Data = file.Data[:at]
				case 1:
					file.Data[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
				}
			}
			f, _ = h.monitor(file)
			if f.Auditor.report.Opened > 0 {
				resumed++
			}
		}
		if err := h.round(f, false); err != nil {
			t.Fatal(err)
		}
		h.same(f, "a monitor that was killed")
		f, note := h.monitor(file)
		if note != "" || f.Reader.head.Size != h.log.size {
			t.Fatalf("%q: %d of %d leaves were kept", note, f.Reader.head.Size, h.log.size)
		}
		f.Reader.Source = unread{h.log}
		if err := h.round(f, false); err != nil {
			t.Fatal(err)
		}
		h.same(f, "a monitor that only read its file")
	})
	if resumed == 0 {
		t.Error("no monitor went on from what another kept")
	}
}

// unread is a log whose leaves must not be read again.
type unread struct{ *fakeLog }

func (unread) ReadEntryBundle(context.Context, uint64, uint8) ([]byte, error) {
	return nil, errors.New("leaves that were kept are read again")
}

// TestKeptAgainstTheLedger: a ledger that is not the one that was kept, or shorter, is a finding, which is not forgotten by
// starting again; and what was kept stands.
func TestKeptAgainstTheLedger(t *testing.T) {
	t.Parallel()
	log := newFakeLog(t)
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t, log.clone())
		n := rapid.IntRange(1, 400).Draw(t, "leaves")
		h.deposits(n)
		honest, file := h.log, &journaltest.Memory{}
		honest.size = uint64(n)
		f, _ := h.monitor(file)
		if err := h.round(f, false); err != nil {
			t.Fatal(err)
		}
		h.log = honest.clone()
		want := Forked
		if rapid.Bool().Draw(t, "shorter") && n > 1 {
			want, h.log.size = RolledBack, rapid.Uint64Range(1, uint64(n-1)).Draw(t, "size")
		} else {
			at := rapid.IntRange(0, n-1).Draw(t, "changed")
			h.log.leaves[at] = append(slices.Clone(h.log.leaves[at]), 0)
			h.deposits(rapid.IntRange(0, 400).Draw(t, "more"))
			h.log.size = uint64(len(h.log.leaves))
		}
		check := func(what string) {
			t.Helper()
			r := f.Auditor.Report(time.UnixMilli(h.now))
			if got := kindsOf(r.Findings, BadCheckpoint, RolledBack, Forked, BadRoot); !slices.Equal(got, []Kind{want}) || r.Leaves != uint64(n) {
				t.Fatalf("%s: %v, %d of %d leaves", what, got, r.Leaves, n)
			}
		}
		lying := h.log
		for _, what := range []string{"found", "and not forgotten"} {
			var note string
			if f, note = h.monitor(file); note != "" {
				t.Fatal(note)
			}
			if err := h.round(f, false); err != nil {
				t.Fatal(err)
			}
			check(what)
		}
		h.log = honest
		f, _ = h.monitor(file)
		if err := h.round(f, false); err != nil {
			t.Fatal(err)
		}
		if check("when the ledger tells the truth again"); lying == honest {
			t.Fatal("nothing was changed")
		}
	})
}

func kindsOf(list []Finding, of ...Kind) []Kind {
	var out []Kind
	for _, f := range list {
		if slices.Contains(of, f.Kind) {
			out = append(out, f.Kind)
		}
	}
	return out
}

// TestNotGoneOnFrom: under other keys, another trust, other folders, or with leaves that do not hash, everything is read again.
func TestNotGoneOnFrom(t *testing.T) {
	t.Parallel()
	log := newFakeLog(t)
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t, log.clone())
		for range 20 {
			h.leaf()
		}
		h.evidence()
		for name, file := range h.files {
			if len(file) > 0 && file[len(file)-1] == 0 && h.options().verify([32]byte{}, file).err != nil {
				h.files[name] = file[:len(file)-1] // a sound one
			}
		}
		h.log.size = 20
		file := &journaltest.Memory{}
		f, _ := h.monitor(file)
		if err := h.round(f, false); err != nil {
			t.Fatal(err)
		}
		kept := file.Bytes()
		begin := func(says string, change func(*Follower) Names) {
			t.Helper()
			file := &journaltest.Memory{Data: slices.Clone(kept)}
			f, _ := h.monitor(nil)
			note, err := f.Keep(file, change(f))
			if err != nil || !strings.Contains(note, says) || !strings.Contains(note, "from its first leaf") || f.Reader.head.Size != 0 || f.Auditor.report.Opened != 0 || len(f.done) != 0 {
				t.Fatalf("%q: %q, %v", says, note, err)
			}
			if err := h.round(f, false); err != nil {
				t.Fatal(err)
			}
			h.same(f, "a monitor that began again")
		}
		begin("under another trust", func(f *Follower) Names { f.Auditor.o.Trust = [32]byte{1}; return Names{} })
		begin("none of the folders", func(*Follower) Names {
			return Names{Out: func(n string) string { return n }, In: func(string) (string, bool) { return "", false }}
		})
		// Somebody who computes hashes, too, changes a leaf.
		at := slices.IndexFunc(h.log.leaves, func(l []byte) bool { return len(l) > 40 })
		raw := h.log.leaves[at]
		h.log.leaves[at] = append(slices.Clone(raw[:len(raw)-1]), raw[len(raw)-1]^1)
		forged := &journaltest.Memory{}
		g, _ := h.monitor(forged)
		var entries []Entry
		for i, l := range h.log.leaves {
			entries = append(entries, entryOf(uint64(i), l))
		}
		if err := g.kept.read(entries, f.Reader); err != nil {
			t.Fatal(err)
		}
		h.log.leaves[at] = raw
		kept = forged.Bytes()
		begin("do not hash", func(*Follower) Names { return Names{} })
	})
}

// FuzzReplay hands any bytes to a follower as what was kept.
func FuzzReplay(f *testing.F) {
	log := newFakeLog(f)
	part, err := canon.Marshal(keptPart{Leaves: binary.BigEndian.AppendUint16(nil, 0), Checkpoint: []byte("x"), Found: []byte("{}"),
		Decisions: []keptDecision{{Name: []byte("n")}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(part)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(ReaderConfig{Source: log, Verifier: log.key})
		if err != nil {
			t.Fatal(err)
		}
		w := NewFollower(r, NewAuditor(Options{}))
		err = w.replay(b, &keeper{names: Names{In: func(n string) (string, bool) { return n, true }}, policies: map[[32]byte]bool{}})
		if err == nil && (r.head.Size > 0 || w.Auditor.report.Opened > 0) {
			t.Fatal("something was taken in that nobody signed")
		}
		if err != nil && !errors.Is(err, errKept) {
			t.Fatal(err)
		}
	})
}
