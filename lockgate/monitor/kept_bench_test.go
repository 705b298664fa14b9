package monitor

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/grant/stage"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/monitor/journal/journaltest"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// BenchmarkGoOn goes on from ten thousand releases that were kept, with the evidence of each, of eight beacons.
func BenchmarkGoOn(b *testing.B) {
	const n = 10_000
	p := stage.DefaultPolicy(time.UnixMilli(1_700_000_000_000))
	hash, err := p.Hash()
	if err != nil {
		b.Fatal(err)
	}
	encoded, err := p.Encode()
	if err != nil {
		b.Fatal(err)
	}
	wide := func(i int, what byte) [32]byte { return identity.Hash("bench", []byte{what, byte(i), byte(i >> 8)}) }
	log, file := newFakeLog(b), &journaltest.Memory{}
	leaves := []ledger.Leaf{{Version: 1, Kind: ledger.KindDirectory, AtUnixMS: 1_700_000_000_000, Epoch: 1, Object: wide(0, 0)}, {Version: 1, Kind: ledger.KindPolicy, AtUnixMS: 1_700_000_000_000, PolicyHash: hash, Object: hash}}
	for i := range n {
		leaves = append(leaves, ledger.Leaf{Version: 1, Kind: ledger.KindGrant, AtUnixMS: 1_700_000_000_000 + int64(i), Units: 10, PolicyHash: hash, Epoch: 1, Object: wide(i, 1), Commitment: wide(i, 2), NotAfterMS: 1_700_000_060_000 + int64(i)})
	}
	for _, l := range leaves {
		raw, err := l.Encode()
		if err != nil {
			b.Fatal(err)
		}
		log.leaves = append(log.leaves, raw)
	}
	log.size = uint64(len(leaves))
	o := Options{Complete: true, verify: func(_ [32]byte, f []byte) verified {
		i := int(f[0]) | int(f[1])<<8
		d := decision{Core: identity.ID(wide(i%500, 3)), Chip: wide(i%500, 4), Tenant: "a tenant", Policy: hash, Epoch: 1, DecidedNS: leaves[i+2].AtUnixMS * 1e6, Touches: "DE",
			Nonce: wide(i, 5), Previous: wide(i, 6), Want: 10, Granted: true, Units: 10, Leaf: uint64(i + 2), Object: wide(i, 1), Commitment: wide(i, 2), LeaseUnits: 10, LeasePol: hash, HoldsNS: 1_700_000_060_000_000_000 + int64(i)*1e6}
		for j := range 8 {
			d.Heard = append(d.Heard, heard{identity.ID(wide(j, 7)), "Kassel, DE", earth.RTT(1_000_000 + i*j)})
		}
		return verified{decision: d, policy: p, encoded: encoded}
	}}
	begin := func() *Follower {
		r, err := NewReader(ReaderConfig{Source: log, Verifier: log.key})
		if err != nil {
			b.Fatal(err)
		}
		f := NewFollower(r, NewAuditor(o))
		if note, err := f.Keep(file, Names{}); err != nil || note != "" {
			b.Fatal(note, err)
		}
		return f
	}
	files := map[string][]byte{}
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("/evidence/20231114T%09d.000000000Z-granted-%08x.ursa", i, i))
		files[names[i]] = []byte{byte(i), byte(i >> 8)}
	}
	f := begin()
	if _, err := f.Round(b.Context(), names, func(name string) ([]byte, error) { return slices.Clone(files[name]), nil }, 1, nil); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	before := used(b)
	for b.Loop() {
		if r := begin().Auditor.Report(time.UnixMilli(1_700_000_100_000)); r.Opened != n || !r.Sound() {
			b.Fatal(r.Opened, r.Findings)
		}
	}
	b.ReportMetric(float64((used(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(len(file.Data))/n, "bytes/release")
}

// used is the processor time of this process.
func used(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
